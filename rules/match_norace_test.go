//go:build !race

package rules_test

import (
	"net/netip"
	"testing"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// TestMatchDoesNotAllocate is left out under the race detector, which makes sync.Pool forget at random.
func TestMatchDoesNotAllocate(t *testing.T) {
	set, err := rules.Load(rules.Packs())
	if err != nil {
		t.Fatal(err)
	}
	set = set.Only(func(r *rules.Rule) bool { return r.Window.Type == rules.None })
	var dst []rules.Match
	e := &event.Event{Source: event.Source{Address: netip.MustParseAddr("203.0.113.9")},
		Request:  event.RequestInfo{Method: "GET", Path: "/blog/post", Query: "page=2", UserAgent: "Mozilla/5.0 (X11; Linux x86_64)", Referer: "https://example.com/"},
		Response: event.ResponseInfo{Code: 200, Size: 100}}
	if n := testing.AllocsPerRun(1000, func() { dst = set.Match(e, dst[:0]) }); n != 0 {
		t.Errorf("%v allocations for an event that matches nothing", n)
	}
}
