package apipark

import (
	"context"
	"encoding/json"
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

// admin is Apinto's admin port for strategies, and the gateway that obeys them: it keeps what it is given, checks the key, refuses what
// its drivers would not take, and answers requests by what it holds.
type admin struct {
	mu     sync.Mutex
	held   map[string]strategy
	counts map[string]int64
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
	if r.Header.Get("Authorization") != key {
		say(w, 401, map[string]string{"message": "unauthorized"})
		return
	}
	if a.fail != 0 {
		say(w, a.fail, map[string]string{"message": "no luck with " + key})
		return
	}
	status, body := a.do(r)
	if a.half && r.Method != http.MethodGet {
		status, body = 500, map[string]string{"message": "etcd timeout"}
	}
	say(w, status, body)
}

func say(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (a *admin) do(r *http.Request) (status int, body any) {
	name, one := strings.CutPrefix(r.URL.Path, "/api/strategy/")
	if !one {
		list := []map[string]string{}
		for n, s := range a.held {
			list = append(list, map[string]string{"id": n + "@strategy", "name": n, "driver": s.Driver, "profession": "strategy"})
		}
		return 200, list
	}
	s, ok := a.held[name]
	switch r.Method {
	case http.MethodGet, http.MethodDelete:
		if !ok {
			return 404, map[string]string{"message": "worker-data not exits"}
		}
		if r.Method == http.MethodDelete {
			delete(a.held, name)
			a.writes++
		}
		return 200, s
	}
	var in strategy
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return 400, map[string]string{"message": err.Error()}
	}
	if why := wrong(in); why != "" {
		return 400, map[string]string{"message": why}
	}
	a.held[name] = in
	a.writes++
	return 200, in
}

// wrong is what the drivers check.
func wrong(s strategy) string {
	if s.Priority < 1 || s.Priority > 999 {
		return "priority value not allow"
	}
	for name, values := range s.Filters {
		for _, v := range values {
			if name == "ip" && !network(v).IsValid() {
				return "ip format error: " + v
			}
		}
		if !slices.Contains([]string{"ip", "application"}, name) || len(values) == 0 {
			return "unknown filter " + name
		}
	}
	switch {
	case s.Driver == "visit" && s.Visit != nil && s.Limiting == nil && s.Visit.Rule == "refuse":
	case s.Driver == "limiting" && s.Limiting != nil && s.Visit == nil && len(s.Limiting.Metrics) > 0:
	default:
		return "not the driver's configuration"
	}
	return ""
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
	for _, s := range a.held { // APIPark's order of plugins: visit goes before limiting
		if s.Visit != nil && meets(s, q) {
			return gatewaytest.Answer{Status: 403}, nil
		}
	}
	for name, s := range a.held {
		if s.Limiting == nil || !meets(s, q) {
			continue
		}
		a.counts[name]++
		if n := s.Limiting.Query; a.counts[name] > max(n.Second, n.Minute, n.Hour) {
			return gatewaytest.Answer{Status: s.Limiting.Response.Status, RetryAfter: s.Limiting.Response.Headers[0].Value}, nil
		}
	}
	return gatewaytest.Answer{Status: 200}, nil
}

// meets tells whether the request passes every filter.
func meets(s strategy, q gatewaytest.Request) bool {
	for name, values := range s.Filters {
		if !slices.ContainsFunc(values, func(v string) bool {
			return name == "application" && matches(v, q.Principal) || name == "ip" && network(v).Contains(q.Address)
		}) {
			return false
		}
	}
	return true
}

// matches reads a filter's value as Apinto's checkers do, as far as a hostile one would go: "*" is everybody, "!=x" all others, "x*" a
// beginning, "~=x" an expression.
func matches(pattern, v string) bool {
	switch {
	case strings.Trim(pattern, "=* ") == "":
		return true
	case strings.HasPrefix(pattern, "!"):
		return "!="+v != pattern
	case strings.HasPrefix(pattern, "~="), strings.HasPrefix(pattern, "^="):
		return true
	case strings.HasSuffix(pattern, "*"), strings.HasPrefix(pattern, "*"):
		return strings.Contains(v, strings.Trim(pattern, "*"))
	}
	return pattern == v
}

func open(t *testing.T, token string) (*admin, func() *Gateway) {
	t.Helper()
	a := &admin{held: map[string]strategy{}, counts: map[string]int64{}}
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
			Size: func(context.Context) (int, error) {
				a.mu.Lock()
				defer a.mu.Unlock()
				return len(a.held), nil
			},
			Tamper: func(context.Context) error {
				a.mu.Lock()
				defer a.mu.Unlock()
				clear(a.held)
				a.held[own+"refuse_ip"] = strategy{Driver: "visit", Priority: 1, Visit: &visit{"refuse"},
					Filters: map[string][]string{"ip": {gatewaytest.Foreign.String()}}}
				return nil
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
	a.held["theirs"] = strategy{Driver: "visit"}
	delete(a.held, own+"refuse_ip")
	if n, err := g.Sync(t.Context(), want, true); err != nil || n != 1 || len(a.held) != 2 {
		t.Errorf("%d repaired, %d held, error %v", n, len(a.held), err)
	}
	if _, err := g.Sync(t.Context(), nil, true); err != nil || len(a.held) != 1 {
		t.Errorf("%d held, error %v: somebody else's stays", len(a.held), err)
	}
	_, start = open(t, "wrong")
	if _, err := start().Sync(t.Context(), want, true); err == nil || !strings.Contains(err.Error(), `is "key" right`) {
		t.Errorf("error %v", err)
	}
}

// A gateway that does not answer holds nobody up for longer than the driver allows, and what comes later is tried again.
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
	if _, err := g.Sync(t.Context(), []*decision.Decision{block("203.0.113.1")}, false); err != nil || len(a.held) != 1 {
		t.Errorf("%d held, error %v", len(a.held), err)
	}
}

func person(id string) *decision.Decision {
	return gatewaytest.New(decision.Block, decision.Term{Scope: decision.Principal, Value: id})
}

// What a gateway would read as a pattern must not reach it: a client chooses its name, and "*" would refuse everybody.
func TestSupports(t *testing.T) {
	g := &Gateway{}
	address := decision.Term{Scope: decision.Address, Value: "203.0.113.1"}
	cidr := decision.Term{Scope: decision.CIDR, Value: "203.0.113.0/24"}
	daily := gatewaytest.New(decision.Limit, address)
	daily.Rate.Per = 24 * time.Hour
	for want, ds := range map[bool][]*decision.Decision{
		true: {block("203.0.113.1"), gatewaytest.New(decision.Block, cidr), gatewaytest.New(decision.Limit, address), person("alice@example.com"), person("key:1f")},
		false: {gatewaytest.New(decision.Challenge, address), gatewaytest.New(decision.Limit, cidr), daily,
			gatewaytest.New(decision.Block, decision.Term{Scope: decision.UserAgent, Value: "x"}), person("*"), person("!=nobody"), person("**"),
			person("!"), person("a*"), person("^=a"), person("~=.*"), person("~=("), person("foo=bar"), person("a b"), person(" "),
			gatewaytest.New(decision.Block, address, decision.Term{Scope: decision.UserAgent, Value: "x"})},
	} {
		for _, d := range ds {
			if err := g.Supports(d); (err == nil) != want {
				t.Errorf("%s of %s: %v", d.Action, d.Entity(), err)
			}
		}
	}
	many := make([]*decision.Decision, 10_001)
	for i := range many {
		many[i] = block(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String())
	}
	if _, err := g.Sync(t.Context(), many, false); err == nil || !strings.Contains(err.Error(), "limit is") {
		t.Errorf("a list without a bound: %v", err)
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
