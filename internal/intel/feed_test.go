//go:build data

package intel_test

import (
	"os"
	"testing"

	"github.com/warder/warder/internal/intel"
)

// TestFeed reads a public list from the file that WARDER_INTEL_LIST names; it is not in the repository, so the test has
// a build tag: WARDER_INTEL_LIST=FILE go test -tags data ./internal/intel
func TestFeed(t *testing.T) {
	path := os.Getenv("WARDER_INTEL_LIST")
	if path == "" {
		t.Fatal("WARDER_INTEL_LIST does not name a list of addresses")
	}
	l, err := intel.Open(intel.Source{Name: "feed", Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if r := l.Reports()["feed"]; r.Entries == 0 || r.Refused > 0 {
		t.Errorf("%+v", r)
	}
}
