//go:build unix

package app

import (
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/warder/warder/rules"
)

// TestPipeAmongRules checks that a pipe that nobody writes to does not hold up the load.
func TestPipeAmongRules(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe.yaml")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := rules.Load(RuleFiles{}, name)
	if err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("%v", err)
	}
	if st, err := fs.Stat(RuleFiles{}, name); err != nil || st.Mode().IsRegular() {
		t.Errorf("%v, %v", st, err)
	}
}
