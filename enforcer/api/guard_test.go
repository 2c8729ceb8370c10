package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

func TestGuardForgives(t *testing.T) {
	now := time.Now()
	g := newGuard([]Token{{Name: "a", Token: config.NewSecret("right"), Role: Read}}, func() time.Time { return now })
	try := func(token, from string) int {
		_, p := g.identify(&http.Request{RemoteAddr: from, Header: http.Header{"Authorization": {"Bearer " + token}}})
		if p == nil {
			return 200
		}
		return p.Status
	}
	const peer = "[2001:db8:1:2::3]:80"
	for range maxFailures {
		try("wrong", peer)
	}
	if got := []int{try("right", peer), try("right", "[2001:db8:1:2::4]:80"), try("right", "[2001:db8:1:3::4]:80"), try("right", "203.0.113.9:1")}; cmp.Diff([]int{429, 429, 200, 200}, got) != "" {
		t.Errorf("got %v", got)
	}
	now = now.Add(failureEvery)
	if got := []int{try("wrong", peer), try("right", peer)}; cmp.Diff([]int{401, 429}, got) != "" {
		t.Errorf("after a while: got %v", got)
	}
	now = now.Add(failureEvery)
	if got := try("right", peer); got != 200 {
		t.Errorf("later: got %d", got)
	}
}

func TestGuardIsBounded(t *testing.T) {
	now := time.Now()
	g := newGuard(nil, func() time.Time { return now })
	for range 3 {
		g.failed(netip.MustParsePrefix("203.0.113.9/32"))
	}
	for i := range maxPeers + 100 {
		g.failed(netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.1/32", i>>8, i&255)))
	}
	if len(g.peers) != maxPeers || g.peers[netip.MustParsePrefix("203.0.113.9/32")].failures != 3 {
		t.Errorf("%d peers; the worst one: %+v", len(g.peers), g.peers[netip.MustParsePrefix("203.0.113.9/32")])
	}
	now = now.Add(time.Hour)
	g.failed(netip.MustParsePrefix("203.0.113.1/32"))
	if len(g.peers) != 1 {
		t.Errorf("%d peers are remembered after an hour", len(g.peers))
	}
}

func TestReplays(t *testing.T) {
	now := time.Now()
	s := newReplays(func() time.Time { return now })
	begin := func(key string) string {
		d, p := s.begin(key, []byte("body"))
		switch {
		case p != nil:
			return p.Code
		case d != nil:
			return d.ID
		}
		return "new"
	}
	got := []string{begin("a"), begin("a")}
	s.end("a", &Decision{ID: "id"})
	got = append(got, begin("a"))
	now = now.Add(keepKeys + 1)
	got = append(got, begin("a"))
	s.end("a", nil)
	got = append(got, begin("a"))
	if diff := cmp.Diff([]string{"new", "conflict", "id", "new", "new"}, got); diff != "" {
		t.Error(diff)
	}
	for i := range maxKeys + 10 {
		now = now.Add(1)
		begin(fmt.Sprint(i))
	}
	if len(s.made) != maxKeys || begin("a") != "new" {
		t.Errorf("%d keys are remembered", len(s.made))
	}
}

// Whatever the decoder accepts makes a valid decision.
func FuzzDecodeAdd(f *testing.F) {
	f.Add([]byte(`{"terms":[{"scope":"source.address","value":"203.0.113.9"}],"ttl":"15m"}`))
	f.Add([]byte(`{"action":"limit","rate":{"requests":1,"per":"1s","burst":2},"terms":[{"scope":"source.asn","value":"AS1"},{"scope":"api.route","value":"/"}],"ttl":"1d"}`))
	f.Add([]byte(`{"action":"challenge","status":401,"mode":"observe","terms":[{"scope":"source.cidr","value":"::/0"}],"ttl":"1ns","note":"n"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, p := decodeAdd(b)
		if p != nil {
			if p.Status != 400 || p.Detail == "" {
				t.Fatalf("%+v", p)
			}
			return
		}
		at := time.Unix(1e9, 0)
		d := decision.Decision{Version: decision.Version, ID: "id", Action: r.Action, Scope: r.Terms[0].Scope, Value: r.Terms[0].Value, And: r.Terms[1:],
			Rate: r.Rate, Status: r.Status, Mode: r.Mode, State: decision.Active, Created: at, Expires: at.Add(r.TTL), Note: r.Note}
		if err := d.Validate(); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
	})
}
