package kong

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
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

// admin is Kong's Admin API for plugins, and the gateway that obeys them: it keeps what it is given, checks the token, refuses what Kong's
// schemas do not allow, and answers requests by what it holds.
type admin struct {
	mu        sync.Mutex
	plugins   map[string]stored // by id
	consumers map[string]bool   // nil: everybody is one
	counts    map[string]int
	fail      int           // answered instead, when set
	half      bool          // a write takes effect, and the answer is a 500
	hang      chan struct{} // requests wait for it when it is not nil
	page      int           // plugins in a page
	writes    int
}

// stored is a plugin, and whose it is.
type stored struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Enabled  bool           `json:"enabled"`
	Tags     []string       `json:"tags"`
	Config   map[string]any `json:"config"`
	Consumer string         `json:"-"`
}

func (a *admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.hang != nil {
		<-a.hang
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Header.Get("Kong-Admin-Token") != key {
		say(w, 401, map[string]string{"message": "Unauthorized"})
		return
	}
	if a.fail != 0 {
		say(w, a.fail, map[string]string{"message": "An unexpected error occurred for " + key})
		return
	}
	status, body := a.do(r)
	if a.half && r.Method != http.MethodGet {
		status, body = 500, map[string]string{"message": "An unexpected error occurred"}
	}
	say(w, status, body)
}

func say(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		_ = json.NewEncoder(w).Encode(body)
	}
}

func (a *admin) do(r *http.Request) (status int, body any) {
	notFound := map[string]string{"message": "Not found"}
	parts := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	consumer := ""
	if parts[0] == "consumers" && len(parts) == 4 {
		consumer, _ = url.PathUnescape(parts[1])
		if a.consumers != nil && !a.consumers[consumer] {
			return 404, notFound
		}
		parts = parts[2:]
	}
	if len(parts) == 1 {
		return 200, a.list(r.URL.Query())
	}
	id := parts[1]
	p, ok := a.plugins[id]
	switch {
	case r.Method == http.MethodDelete:
		delete(a.plugins, id)
		a.writes++
		return 204, nil
	case r.Method == http.MethodGet && !ok:
		return 404, notFound
	case r.Method == http.MethodGet:
		return 200, p
	}
	var in stored
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if r.Header.Get("Content-Type") != "application/json" || d.Decode(&in) != nil {
		return 400, map[string]string{"message": "Cannot parse JSON body"}
	}
	in.ID, in.Consumer = id, consumer
	if why := violation(in); why != "" {
		return 400, map[string]any{"message": "schema violation (" + why + ")", "name": "schema violation", "code": 2}
	}
	for other, q := range a.plugins {
		if other != id && q.Name == in.Name && q.Consumer == consumer {
			return 409, map[string]any{"message": "UNIQUE violation detected", "name": "unique constraint violation", "code": 5}
		}
	}
	a.plugins[id] = in
	a.writes++
	return 200, in
}

// list is a page of the plugins with the tag.
func (a *admin) list(q url.Values) map[string]any {
	var ids []string
	for id, p := range a.plugins {
		if slices.Contains(p.Tags, q.Get("tags")) && id > q.Get("offset") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	out := map[string]any{"next": nil}
	if len(ids) > a.page {
		ids = ids[:a.page]
		out["offset"] = ids[a.page-1]
	}
	data := []stored{}
	for _, id := range ids {
		data = append(data, a.plugins[id])
	}
	out["data"] = data
	return out
}

// violation is what Kong's schemas say to a plugin.
func violation(p stored) string {
	fields := map[string][]string{"ip-restriction": {"deny", "status"}, "request-termination": {"status_code", "content_type", "body"},
		"rate-limiting": {"second", "minute", "hour", "limit_by", "policy"}}[p.Name]
	if fields == nil {
		return "name: plugin '" + p.Name + "' not enabled"
	}
	for f := range p.Config {
		if !slices.Contains(fields, f) {
			return "config." + f + ": unknown field"
		}
	}
	switch p.Name {
	case "ip-restriction":
		for _, s := range denied(p) {
			if !network(s).IsValid() {
				return "config.deny: invalid ip or cidr range: '" + s + "'"
			}
		}
		if len(denied(p)) == 0 {
			return "at least one of these fields must be non-empty: 'config.allow', 'config.deny'"
		}
	case "rate-limiting":
		if p.Config["second"] == nil && p.Config["minute"] == nil && p.Config["hour"] == nil {
			return "at least one of these fields must be non-empty: 'config.second', …"
		}
	}
	return ""
}

func denied(p stored) (out []string) {
	list, _ := p.Config["deny"].([]any)
	for _, v := range list {
		s, _ := v.(string)
		out = append(out, s)
	}
	return out
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
	var limited []stored
	for _, p := range a.plugins {
		if !p.Enabled || p.Consumer != "" && p.Consumer != q.Principal {
			continue
		}
		switch p.Name {
		case "request-termination":
			return gatewaytest.Answer{Status: int(p.Config["status_code"].(float64))}, nil
		case "rate-limiting":
			limited = append(limited, p)
		}
		for _, s := range denied(p) {
			if network(s).Contains(q.Address) {
				return gatewaytest.Answer{Status: int(p.Config["status"].(float64))}, nil
			}
		}
	}
	for _, p := range limited {
		if a.counts[p.ID]++; a.counts[p.ID] > int(p.Config["minute"].(float64)) {
			return gatewaytest.Answer{Status: 429, RetryAfter: "60"}, nil
		}
	}
	return gatewaytest.Answer{Status: 200}, nil
}

func open(t *testing.T, token string) (*admin, func() *Gateway) {
	t.Helper()
	a := &admin{plugins: map[string]stored{}, counts: map[string]int{}, page: 3}
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
				a.mu.Lock()
				clear(a.plugins)
				a.mu.Unlock()
				return g.write(ctx, []string{gatewaytest.Foreign.String()})
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
	delete(a.plugins, networksID)
	if n, err := g.Sync(t.Context(), want, true); err != nil || n != 1 || len(a.plugins) != 1 {
		t.Errorf("%d repaired, error %v", n, err)
	}
	a.plugins["other"] = stored{Name: "ip-restriction"}
	if _, err := g.Sync(t.Context(), nil, true); err != nil || len(a.plugins) != 1 {
		t.Errorf("%d plugins, error %v: somebody else's stays", len(a.plugins), err)
	}
	_, start = open(t, "wrong")
	if _, err := start().Sync(t.Context(), want, true); err == nil || !strings.Contains(err.Error(), `is "key" right`) {
		t.Errorf("error %v", err)
	}
	for n, d := range map[int]*decision.Decision{10_001: block("203.0.113.1"), maxConsumers + 1: limit("alice")} {
		if _, err := g.Sync(t.Context(), slices.Repeat([]*decision.Decision{d}, n), true); err == nil {
			t.Errorf("%d decisions have no bound", n)
		}
	}
}

func limit(consumer string) *decision.Decision {
	return gatewaytest.New(decision.Limit, decision.Term{Scope: decision.Principal, Value: consumer})
}

// What somebody changed is repaired, what another owner has is left alone, and a principal that Kong does not know holds nobody up.
func TestConsumers(t *testing.T) {
	a, start := open(t, key)
	a.consumers = map[string]bool{"alice": true, "bob": true}
	g := start()
	refuse := gatewaytest.New(decision.Block, decision.Term{Scope: decision.Principal, Value: "bob"})
	stranger := gatewaytest.New(decision.Block, decision.Term{Scope: decision.Principal, Value: "a/stranger?x=1"})
	want := []*decision.Decision{stranger, refuse, limit("alice"), limit("bob")}
	if _, err := g.Sync(t.Context(), want, true); err != nil || len(a.plugins) != 3 {
		t.Fatalf("%d plugins, error %v", len(a.plugins), err)
	}
	for id, p := range a.plugins {
		if p.Name == "rate-limiting" && p.Consumer == "alice" {
			p.Config["minute"] = 1e6
			a.plugins[id] = p
		}
	}
	a.plugins["foreign"] = stored{ID: "foreign", Name: "rate-limiting", Enabled: true, Tags: []string{"warder"}, Consumer: "carol"}
	a.plugins["theirs"] = stored{ID: "theirs", Name: "rate-limiting", Enabled: true, Tags: []string{"theirs"}, Consumer: "dave"}
	if n, err := g.Sync(t.Context(), want, true); err != nil || n != 2 || len(a.plugins) != 4 {
		t.Errorf("%d repaired, %d plugins, error %v", n, len(a.plugins), err)
	}
	a.consumers["a/stranger?x=1"] = true // it signed up
	if _, err := g.Sync(t.Context(), want, false); err != nil || len(a.plugins) != 5 {
		t.Errorf("%d plugins, error %v", len(a.plugins), err)
	}
	if _, err := start().Sync(t.Context(), nil, true); err != nil || len(a.plugins) != 1 {
		t.Errorf("%d plugins, error %v: theirs stays", len(a.plugins), err)
	}
}

// A Kong that does not answer holds nobody up for longer than the driver allows, and what comes later is tried again.
func TestHangs(t *testing.T) {
	a, start := open(t, key)
	g := start()
	a.hang = make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := g.Sync(ctx, []*decision.Decision{limit("alice")}, true); err == nil {
		t.Error("no answer is no success")
	}
	close(a.hang)
	if _, err := g.Sync(t.Context(), []*decision.Decision{limit("alice")}, false); err != nil || len(a.plugins) != 1 {
		t.Errorf("%d plugins, error %v", len(a.plugins), err)
	}
}

func TestSupports(t *testing.T) {
	_, start := open(t, key)
	g := start()
	daily := limit("alice")
	daily.Rate.Per = 24 * time.Hour
	address := decision.Term{Scope: decision.Address, Value: "203.0.113.1"}
	for _, d := range []*decision.Decision{daily, gatewaytest.New(decision.Limit, address), gatewaytest.New(decision.Challenge, address),
		gatewaytest.New(decision.Challenge, decision.Term{Scope: decision.Principal, Value: "alice"}),
		gatewaytest.New(decision.Block, address, decision.Term{Scope: decision.Principal, Value: "alice"}),
		gatewaytest.New(decision.Block, decision.Term{Scope: decision.Country, Value: "DE"})} {
		if g.Supports(d) == nil {
			t.Errorf("%s of %s cannot be expressed", d.Action, d.Entity())
		}
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

func TestDecode(t *testing.T) {
	c := DefaultConfig()
	text := "name: edge\nurl: https://kong:8444\nkey: abc\nresync: 1m\ntls: {server_name: kong}\n"
	if err := config.Decode("x.yaml", []byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if c.Name != "edge" || c.Admin.URL != "https://kong:8444" || c.Push.Resync.Std().Minutes() != 1 || c.Push.Timeout == 0 || c.Admin.TLS.ServerName != "kong" {
		t.Errorf("%+v", c)
	}
}
