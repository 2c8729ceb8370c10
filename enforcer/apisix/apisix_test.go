package apisix

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "s3cret-token"

// admin is APISIX's Admin API for global rules: it keeps what it is given, checks the token, validates as its schema does.
type admin struct {
	mu     sync.Mutex
	rules  map[string]rule
	fail   int           // answered instead, when set
	half   bool          // a write takes effect, and the answer is a 500
	hang   chan struct{} // requests wait for it when it is not nil
	writes int
}

func (a *admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.hang != nil {
		<-a.hang
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Header.Get("X-API-KEY") != key {
		say(w, 401, `{"description":"wrong apikey","error_msg":"failed to check token"}`)
		return
	}
	if a.fail != 0 {
		say(w, a.fail, `{"message":"An unexpected error occurred for `+key+`"}`)
		return
	}
	status, body := a.do(r)
	if a.half && r.Method != http.MethodGet {
		status, body = 500, `{"message":"An unexpected error occurred"}`
	}
	say(w, status, body)
}

func say(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func (a *admin) do(r *http.Request) (status int, body string) {
	p, ok := a.rules[r.URL.Path]
	switch r.Method {
	case http.MethodGet:
		if !ok {
			return 404, `{"message":"Key not found"}`
		}
		b, _ := json.Marshal(map[string]any{"key": r.URL.Path, "value": p, "modifiedIndex": 7, "createdIndex": 7})
		return 200, string(b)
	case http.MethodDelete:
		if !ok {
			return 404, `{"message":"Key not found"}`
		}
		delete(a.rules, r.URL.Path)
		a.writes++
		return 200, `{"key":"` + r.URL.Path + `","deleted":"1"}`
	}
	var in rule
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if r.Header.Get("Content-Type") != "application/json" || d.Decode(&in) != nil {
		return 400, `{"message":"Cannot parse JSON body"}`
	}
	if n := in.Plugins.Networks; n != nil {
		for _, s := range n.Blacklist {
			if !network(s).IsValid() {
				return 400, `{"error_msg":"failed to check the configuration of plugin ip-restriction err: invalid ip address: ` + s + `"}`
			}
		}
		if len(n.Blacklist) == 0 {
			return 400, `{"error_msg":"failed to check the configuration of plugin ip-restriction err: expect array to have at least 1 items"}`
		}
	}
	if c := in.Plugins.Consumers; c != nil && (len(c.Blacklist) == 0 || c.Type != "consumer_name" || c.Code < 200) {
		return 400, `{"error_msg":"failed to check the configuration of plugin consumer-restriction err: value should match only one schema"}`
	}
	a.rules[r.URL.Path] = in
	a.writes++
	b, _ := json.Marshal(in)
	return 200, string(b)
}

func network(s string) netip.Prefix {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	p, _ := netip.ParsePrefix(s)
	return p
}

func (a *admin) ask(_ context.Context, q gatewaytest.Request) (gatewaytest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.rules {
		if n := p.Plugins.Networks; n != nil && slices.ContainsFunc(n.Blacklist, func(s string) bool { return network(s).Contains(q.Address) }) {
			return gatewaytest.Answer{Status: 403}, nil
		}
		if c := p.Plugins.Consumers; c != nil && slices.Contains(c.Blacklist, q.Principal) {
			return gatewaytest.Answer{Status: c.Code}, nil
		}
	}
	return gatewaytest.Answer{Status: 200}, nil
}

func open(t *testing.T, token string) (*admin, func() *Gateway) {
	t.Helper()
	a := &admin{rules: map[string]rule{}}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	cfg := DefaultConfig()
	cfg.Admin.URL, cfg.Admin.Key = srv.URL, config.NewSecret(token)
	return a, func() *Gateway {
		g, err := New(cfg, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		return g
	}
}

func TestConformance(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig {
		a, start := open(t, key)
		g := start()
		return &gatewaytest.Rig{
			Sync: func(ctx context.Context, want ...*decision.Decision) error {
				_, err := g.Sync(ctx, want, false)
				return err
			},
			Ask: a.ask, Supports: g.Supports,
			Restart: func(context.Context) error { g = start(); return nil },
			Tamper: func(ctx context.Context) error {
				var r rule
				r.Plugins.Networks = &networks{Blacklist: []string{gatewaytest.Foreign.String()}}
				return g.write(ctx, r)
			},
		}
	})
}

func block(v string) *decision.Decision {
	return gatewaytest.New(decision.Block, decision.Term{Scope: decision.Address, Value: v})
}

func TestFailures(t *testing.T) {
	a, start := open(t, key)
	g := start()
	want := []*decision.Decision{block("203.0.113.1")}
	a.fail = 500
	if _, err := g.Sync(t.Context(), want, true); err == nil || !strings.Contains(err.Error(), "500") || strings.Contains(err.Error(), key) {
		t.Errorf("error %v", err)
	}
	a.fail, a.half = 0, true
	if _, err := g.Sync(t.Context(), want, false); err == nil {
		t.Error("a 500 is no success")
	}
	a.half = false
	for range 3 {
		if _, err := g.Sync(t.Context(), want, false); err != nil {
			t.Error(err)
		}
	}
	if a.writes != 1 {
		t.Errorf("%d writes, want one: what was half done is found done", a.writes)
	}
	delete(a.rules, path)
	if n, err := g.Sync(t.Context(), want, true); err != nil || n != 1 || len(a.rules) != 1 {
		t.Errorf("%d repaired, error %v", n, err)
	}
	a.rules["/apisix/admin/global_rules/1"] = rule{}
	if _, err := g.Sync(t.Context(), nil, true); err != nil || len(a.rules) != 1 {
		t.Errorf("%d rules, error %v: somebody else's stays", len(a.rules), err)
	}
	_, start = open(t, "wrong")
	if _, err := start().Sync(t.Context(), want, true); err == nil || !strings.Contains(err.Error(), `is "key" right`) {
		t.Errorf("error %v", err)
	}
	if _, err := g.Sync(t.Context(), slices.Repeat(want, 10_001), true); err == nil {
		t.Error("a list without a bound")
	}
}

func TestSupports(t *testing.T) {
	_, start := open(t, key)
	g := start()
	address, alice := decision.Term{Scope: decision.Address, Value: "203.0.113.1"}, decision.Term{Scope: decision.Principal, Value: "alice"}
	for _, d := range []*decision.Decision{gatewaytest.New(decision.Limit, alice), gatewaytest.New(decision.Challenge, address),
		gatewaytest.New(decision.Block, address, alice), gatewaytest.New(decision.Block, decision.Term{Scope: decision.Principal, Value: "a b"}),
		gatewaytest.New(decision.Block, decision.Term{Scope: decision.Country, Value: "DE"})} {
		if g.Supports(d) == nil {
			t.Errorf("%s of %s cannot be expressed", d.Action, d.Entity())
		}
	}
}

// One global rule has both plugins: either list may come and go alone.
func TestConsumers(t *testing.T) {
	a, start := open(t, key)
	g := start()
	alice := gatewaytest.New(decision.Block, decision.Term{Scope: decision.Principal, Value: "alice"})
	for _, want := range [][]*decision.Decision{{block("203.0.113.1"), alice}, {alice}, {block("203.0.113.1")}, {}} {
		if n, err := g.Sync(t.Context(), want, false); err != nil {
			t.Fatalf("%d repaired, error %v", n, err)
		}
		r := a.rules[path]
		if got := differences(r, rule{}); got != len(want) {
			t.Errorf("%d entries, want %d", got, len(want))
		}
	}
	if _, err := g.Sync(t.Context(), []*decision.Decision{alice}, false); err != nil {
		t.Fatal(err)
	}
	r := a.rules[path]
	weak := *r.Plugins.Consumers
	weak.Code = 200
	r.Plugins.Consumers = &weak
	a.rules[path] = r
	if n, err := g.Sync(t.Context(), []*decision.Decision{alice}, true); err != nil || n != 1 || a.rules[path].Plugins.Consumers.Code != 403 {
		t.Errorf("%d repaired, error %v: %+v", n, err, a.rules[path].Plugins.Consumers)
	}
}

// An APISIX that does not answer holds nobody up for longer than the driver allows, and what comes later is tried again.
func TestHangs(t *testing.T) {
	a, start := open(t, key)
	g := start()
	a.hang = make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := g.Sync(ctx, []*decision.Decision{block("203.0.113.1")}, true); err == nil {
		t.Error("no answer is no success")
	}
	close(a.hang)
	if _, err := g.Sync(t.Context(), []*decision.Decision{block("203.0.113.1")}, false); err != nil || len(a.rules) != 1 {
		t.Errorf("%d rules, error %v", len(a.rules), err)
	}
}

func TestConfig(t *testing.T) {
	c := Config{}
	err := c.Validate()
	for _, k := range []string{"name", "url", "resync"} {
		if err == nil || !strings.Contains(err.Error(), k+": ") {
			t.Errorf("%v does not name %s", err, k)
		}
	}
}
