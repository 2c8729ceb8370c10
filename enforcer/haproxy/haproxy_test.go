package haproxy

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/internal/decision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig {
		f, cfg := fresh(t)
		return rig(t, cfg, func(_ context.Context, q gatewaytest.Request) (gatewaytest.Answer, error) { return f.ask(q), nil })
	})
}

func fresh(t *testing.T) (*fake, Config) {
	t.Helper()
	dir := t.TempDir()
	cfg := DefaultConfig()
	cfg.Address, cfg.Maps = "unix://"+dir+"/admin.sock", "/maps"
	cfg.Scopes = []decision.Scope{decision.Principal, decision.UserAgent}
	return startFake(t, dir), cfg
}

func open(t *testing.T) (*fake, *Gateway) {
	t.Helper()
	f, cfg := fresh(t)
	g, err := New(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	return f, g
}

func block(a string) *decision.Decision {
	return gatewaytest.New(decision.Block, decision.Term{Scope: decision.Address, Value: a})
}

// One change is one small request, however much is held.
func TestOneChange(t *testing.T) {
	f, g := open(t)
	a, b := block("203.0.113.1"), block("203.0.113.2")
	for _, want := range [][]*decision.Decision{{a}, {a, b}} {
		if n, err := g.Sync(t.Context(), want, false); err != nil || n > 1 {
			t.Fatal(n, err)
		}
	}
	f.requests = nil
	if _, err := g.Sync(t.Context(), []*decision.Decision{b}, false); err != nil {
		t.Fatal(err)
	}
	want := []string{"show info", "del map /maps/refuse_ip.map 203.0.113.1"}
	if diff := cmp.Diff(want, f.requests); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	longer := *b
	longer.Expires = longer.Expires.Add(time.Hour)
	if _, err := g.Sync(t.Context(), []*decision.Decision{&longer}, false); err != nil {
		t.Fatal(err)
	}
	if last := f.requests[len(f.requests)-1]; !strings.HasPrefix(last, "set map /maps/refuse_ip.map 203.0.113.2 ") {
		t.Errorf("an extension is %q", last)
	}
}

// A reload of HAProxy loses what the runtime API put into the maps: the next call of any kind sees that.
func TestReload(t *testing.T) {
	f, g := open(t)
	want := []*decision.Decision{block("203.0.113.1")}
	for _, lose := range []bool{false, true} {
		if lose {
			f.reload()
		}
		if n, err := g.Sync(t.Context(), want, false); err != nil || n != 1 {
			t.Fatalf("%d repaired, error %v, want 1", n, err)
		}
		if a := f.ask(gatewaytest.Request{Address: gatewaytest.Foreign}); a.Status != 200 {
			t.Error("another client is refused")
		}
		if n := len(f.maps["/maps/refuse_ip.map"]); n != 1 {
			t.Errorf("%d entries, want 1", n)
		}
	}
}

func TestErrors(t *testing.T) {
	f, g := open(t)
	f.fail = "out of memory error.\n\x1b[1m"
	want := []*decision.Decision{block("203.0.113.1")}
	if _, err := g.Sync(t.Context(), want, false); err == nil || !strings.Contains(err.Error(), "out of memory") || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("error %v", err)
	}
	f.fail = ""
	if _, err := g.Sync(t.Context(), want, false); err != nil {
		t.Errorf("the next try: %v", err)
	}
	g.cfg.Maps = "/elsewhere"
	if _, err := g.Sync(t.Context(), nil, true); err == nil || !strings.Contains(err.Error(), "docs/gateways/haproxy.md") {
		t.Errorf("error %v, want what to do", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Sync(ctx, nil, true); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestSupports(t *testing.T) {
	_, g := open(t)
	limit := gatewaytest.New(decision.Limit, decision.Term{Scope: decision.Address, Value: "203.0.113.1"})
	limit.Rate.Per = 2 * time.Hour
	id := block("203.0.113.1")
	id.ID = "a b"
	for want, d := range map[string]*decision.Decision{
		"combinations": gatewaytest.New(decision.Block, decision.Term{Scope: decision.Address, Value: "203.0.113.1"}, decision.Term{Scope: decision.Route, Value: "/"}),
		"\"scopes\"":   gatewaytest.New(decision.Block, decision.Term{Scope: decision.Country, Value: "XX"}),
		"action log":   gatewaytest.New(decision.Log, decision.Term{Scope: decision.Address, Value: "203.0.113.1"}),
		"hour":         limit,
		"id is not":    id,
	} {
		if err := g.Supports(d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestRate(t *testing.T) {
	for want, r := range map[string]decision.Rate{
		"10:1:1":            {Requests: 10, Per: time.Second, Burst: 20},
		"2:60:31":           {Requests: 2, Per: time.Minute, Burst: 2},
		"10:1:1 ":           {Requests: 1, Per: 100 * time.Millisecond, Burst: 1},
		"20:60:4":           {Requests: 10, Per: 30 * time.Second, Burst: 2},
		"1073741824:3600:1": {Requests: 1 << 40, Per: time.Hour, Burst: 2},
	} {
		if got := rate(&r); got != strings.TrimSpace(want) {
			t.Errorf("%+v is %s, want %s", r, got, want)
		}
	}
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for key, change := range map[string]func(*Config){
		"name":      func(c *Config) { c.Name = "" },
		"address":   func(c *Config) { c.Address = "unix://relative" },
		"maps":      func(c *Config) { c.Maps = "/a b;clear map x" },
		"scopes[0]": func(c *Config) { c.Scopes[0] = decision.CIDR },
		"resync":    func(c *Config) { c.Resync = 0 },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), key+": ") {
			t.Errorf("%v does not name %s", err, key)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add("0x56170c871b20 203.0.113.0/24 1795000000:abc:403:block\n\n")
	f.Add("Unknown map identifier. Please use #<id> or <file>.\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		err := lines(strings.NewReader(text), func(line string) error {
			k, v, err := entryOf(line)
			if err == nil && (k == "" || strings.Contains(k, " ") || len(k)+len(v) > maxLine) {
				t.Errorf("entry %q %q", k, v)
			}
			return err
		})
		if err != nil && strings.ContainsAny(err.Error(), "\r\n\x1b") {
			t.Errorf("error %q", err)
		}
	})
}
