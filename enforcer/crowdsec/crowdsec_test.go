package crowdsec

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crowdsecurity/crowdsec/pkg/models"
	csbouncer "github.com/crowdsecurity/go-cs-bouncer"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
)

const goodKey = "0123456789abcdef0123456789abcdef"

func dec(id string, a decision.Action, scope decision.Scope, value string, edit ...func(*decision.Decision)) *decision.Decision {
	d := &decision.Decision{Version: 1, ID: id, Action: a, Scope: scope, Value: value, Mode: decision.Enforce, State: decision.Active,
		Creator: "person:x", Created: time.Now(), Expires: time.Now().Add(4*time.Hour - time.Millisecond), Reason: decision.Reason{Rule: "stuffing"}}
	switch a {
	case decision.Limit:
		d.Rate = &decision.Rate{Requests: 1, Per: time.Hour, Burst: 2}
	case decision.Challenge:
		d.Status = 401
	}
	for _, f := range edit {
		f(d)
	}
	return d
}

func revoke(d *decision.Decision) *decision.Decision {
	c := *d
	c.State = decision.Revoked
	return &c
}

func configured() Config {
	c := DefaultConfig()
	c.Listen = "127.0.0.1:0"
	c.Bouncers = []Bouncer{{Name: "edge", Key: config.NewSecret(goodKey)}}
	return c
}

func open(t testing.TB) *active.Set {
	t.Helper()
	set, err := active.Open(filepath.Join(t.TempDir(), "set"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	return set
}

// server is not run: its handler is asked.
func server(t testing.TB, set *active.Set, cfg Config) *Server {
	t.Helper()
	s, err := New(cfg, set, nil, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.unfollow)
	return s
}

func call(s *Server, method, target, body string, header ...string) (int, string) {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("X-Api-Key", goodKey)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// told is a stream's answer in short: "ban Ip 192.0.2.1".
func told(t *testing.T, s *Server, query string) (fresh, gone []string) {
	t.Helper()
	status, body := call(s, "GET", "/v1/decisions/stream?"+query, "")
	var res struct{ New, Deleted []item }
	if err := json.Unmarshal([]byte(body), &res); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	for _, i := range res.New {
		fresh = append(fresh, i.Type+" "+i.Scope+" "+i.Value)
	}
	for _, i := range res.Deleted {
		if i.Duration != "-1s" {
			t.Errorf("deleted with duration %s", i.Duration)
		}
		gone = append(gone, i.Type+" "+i.Scope+" "+i.Value)
	}
	return fresh, gone
}

func TestStream(t *testing.T) {
	block := dec("b", decision.Block, decision.Address, "192.0.2.1")
	type step struct {
		do          func(*active.Set)
		query       string
		fresh, gone []string
	}
	apply := func(ds ...*decision.Decision) func(*active.Set) { return func(s *active.Set) { s.Apply(ds...) } }
	for _, tt := range []struct {
		name   string
		limits string
		steps  []step
	}{
		{name: "startup, delta, deletion", steps: []step{
			{do: apply(block), query: "startup=true", fresh: []string{"ban Ip 192.0.2.1"}},
			{query: "startup=false"},
			{do: apply(dec("r", decision.Block, decision.CIDR, "198.51.100.0/24")), fresh: []string{"ban Range 198.51.100.0/24"}},
			{do: apply(revoke(block)), gone: []string{"ban Ip 192.0.2.1"}},
			{}, {query: "startup=true", fresh: []string{"ban Range 198.51.100.0/24"}}}},
		{name: "deleted and made again between two polls", steps: []step{
			{do: apply(block), fresh: []string{"ban Ip 192.0.2.1"}},
			{do: apply(revoke(block), dec("b2", decision.Block, decision.Address, "192.0.2.1")), fresh: []string{"ban Ip 192.0.2.1"}}}},
		{name: "observed, limited, logged and combined are not told", steps: []step{
			{do: apply(dec("o", decision.Block, decision.Address, "192.0.2.2", func(d *decision.Decision) { d.Mode = decision.Observe }),
				dec("l", decision.Limit, decision.Address, "192.0.2.3"),
				dec("a", decision.Block, decision.Address, "192.0.2.4", func(d *decision.Decision) { d.And = []decision.Term{{Scope: decision.Route, Value: "/login"}} }))}}},
		{name: "limits on request", limits: captcha, steps: []step{
			{do: apply(dec("l", decision.Limit, decision.Address, "192.0.2.3")), fresh: []string{"captcha Ip 192.0.2.3"}}}},
		{name: "other scopes on request", steps: []step{
			{do: apply(dec("p", decision.Block, decision.Principal, "alice"))},
			{query: "scopes=ip,Username", fresh: []string{"ban username alice"}}}},
		{name: "filters", steps: []step{
			{do: apply(block), query: "scenarios_containing=other"}, {query: "scenarios_not_containing=stuff"}, {query: "origins=cscli"},
			{query: "scenarios_containing=stuff&origins=warder&community_pull=false", fresh: []string{"ban Ip 192.0.2.1"}}}},
		{name: "the global switch takes everything back", steps: []step{
			{do: apply(block), fresh: []string{"ban Ip 192.0.2.1"}},
			{do: func(s *active.Set) { s.Throw(decision.Observe) }, gone: []string{"ban Ip 192.0.2.1"}},
			{do: func(s *active.Set) { s.Throw(decision.Enforce) }, fresh: []string{"ban Ip 192.0.2.1"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := open(t)
			cfg := configured()
			cfg.LimitsAs = tt.limits
			s := server(t, set, cfg)
			for i, st := range tt.steps {
				if st.do != nil {
					st.do(set)
				}
				fresh, gone := told(t, s, st.query)
				if d := cmp.Diff([][]string{st.fresh, st.gone}, [][]string{fresh, gone}); d != "" {
					t.Errorf("step %d: %s", i, d)
				}
			}
		})
	}
}

// A value that a bouncer still has, by another action or scope, is not told as deleted until that ends too: bouncers delete by the value.
func TestStillActive(t *testing.T) {
	block, wall := dec("b", decision.Block, decision.Address, "192.0.2.1"), dec("c", decision.Challenge, decision.Address, "192.0.2.1")
	named := dec("n", decision.Block, decision.Principal, "192.0.2.1")
	s := server(t, open(t), configured())
	for i, st := range []struct {
		c           active.Change
		fresh, gone []string
	}{
		{c: active.Change{New: block}, fresh: []string{"ban Ip 192.0.2.1"}},
		{c: active.Change{New: wall}},
		{c: active.Change{Old: block}, fresh: []string{"captcha Ip 192.0.2.1"}},
		{c: active.Change{New: named}, fresh: []string{"ban username 192.0.2.1"}},
		{c: active.Change{Old: wall}},
		{c: active.Change{Old: named}, gone: []string{"captcha Ip 192.0.2.1", "ban username 192.0.2.1"}},
		{c: active.Change{New: named}, fresh: []string{"ban username 192.0.2.1"}},
	} {
		s.state.take([]active.Change{st.c})
		fresh, gone := told(t, s, "scopes=ip,username")
		if d := cmp.Diff([][]string{st.fresh, st.gone}, [][]string{fresh, gone}); d != "" {
			t.Errorf("step %d: %s", i, d)
		}
	}
}

// The exact bytes that bouncers get.
func TestRaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := open(t)
		s := server(t, set, configured())
		set.Apply(dec("0123456789abcdef0123456789abcdef", decision.Block, decision.Address, "192.0.2.1"),
			dec("r", decision.Block, decision.CIDR, "198.51.100.0/24", func(d *decision.Decision) { d.Expires = d.Created.Add(900 * time.Millisecond) }))
		one := `{"duration":"3h59m59s","id":1505690413417391,"origin":"warder","scenario":"stuffing","scope":"Ip","type":"ban","uuid":"01234567-89ab-cdef-0123-456789abcdef","value":"192.0.2.1"}`
		two := `{"duration":"1s","id":ID,"origin":"warder","scenario":"stuffing","scope":"Range","type":"ban","uuid":"r","value":"198.51.100.0/24"}`
		ids := strings.NewReplacer("1505690413417391", jsonID("0123456789abcdef0123456789abcdef"), "ID", jsonID("r"))
		for _, tt := range []struct {
			name, method, target, body string
			header                     []string
			status                     int
			want                       string
		}{
			{name: "health", method: "GET", target: "/health", status: 200, want: `{"status":"up"}`},
			{name: "wrong key", method: "GET", target: "/v1/decisions", header: []string{"X-Api-Key", "wrong"}, status: 403, want: `{"message":"access forbidden"}`},
			{name: "no key", method: "GET", target: "/v1/decisions/stream", header: []string{"X-Api-Key", ""}, status: 403, want: `{"message":"access forbidden"}`},
			{name: "no match is null", method: "GET", target: "/v1/decisions?ip=192.0.2.9", status: 200, want: "null"},
			{name: "address", method: "GET", target: "/v1/decisions?ip=192.0.2.1", status: 200, want: "[" + one + "]"},
			{name: "address in range, below a second", method: "GET", target: "/v1/decisions?ip=::ffff:198.51.100.7", status: 200, want: "[" + two + "]"},
			{name: "value and scope", method: "GET", target: "/v1/decisions?scope=ip&value=192.0.2.1", status: 200, want: "[" + one + "]"},
			{name: "other scope", method: "GET", target: "/v1/decisions?scope=range&value=192.0.2.1", status: 200, want: "null"},
			{name: "other type", method: "GET", target: "/v1/decisions?ip=192.0.2.1&type=captcha", status: 200, want: "null"},
			{name: "range in range", method: "GET", target: "/v1/decisions?range=198.51.100.0/25", status: 200, want: "[" + two + "]"},
			{name: "what a range contains", method: "GET", target: "/v1/decisions?range=192.0.0.0/16&contains=false", status: 200, want: "[" + one + "]"},
			{name: "not an address", method: "GET", target: "/v1/decisions?ip=x", status: 400, want: `{"message":"ip: \"x\" is not an address"}`},
			{name: "head", method: "HEAD", target: "/v1/decisions/stream", status: 200},
			{name: "head of list", method: "HEAD", target: "/v1/decisions?ip=192.0.2.1", status: 200},
			{name: "stream: head did not move the cursor", method: "GET", target: "/v1/decisions/stream", status: 200, want: `{"new":[` + one + "," + two + `],"deleted":[]}`},
			{name: "stream: nothing new", method: "GET", target: "/v1/decisions/stream", status: 200, want: `{"new":[],"deleted":[]}`},
			{name: "heartbeat", method: "GET", target: "/v1/heartbeat", status: 200},
			{name: "usage metrics", method: "POST", target: "/v1/usage-metrics", body: "\x1f\x8b", header: []string{"Content-Encoding", "gzip"}, status: 201},
			{name: "too many metrics", method: "POST", target: "/v1/usage-metrics", body: strings.Repeat("x", maxMetrics+1), status: 413, want: `{"message":"the metrics are too large"}`},
			{name: "wrong login", method: "POST", target: "/v1/watchers/login", body: `{"machine_id":"edge","password":"x"}`, status: 401,
				want: `{"code":401,"message":"incorrect Username or Password"}`},
			{name: "no such call", method: "DELETE", target: "/v1/decisions", status: 404, want: `{"message":"page or method not found"}`},
		} {
			status, body := call(s, tt.method, tt.target, tt.body, tt.header...)
			if status != tt.status || body != ids.Replace(tt.want) {
				t.Errorf("%s: %d %s, want %d %s", tt.name, status, body, tt.status, ids.Replace(tt.want))
			}
		}
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
}

func jsonID(id string) string {
	b, _ := json.Marshal(number(id))
	return string(b)
}

func TestLogin(t *testing.T) {
	s := server(t, open(t), configured())
	_, body := call(s, "POST", "/v1/watchers/login", `{"machine_id":"edge","password":"`+goodKey+`"}`)
	var res struct{ Token, Expire string }
	if err := json.Unmarshal([]byte(body), &res); err != nil || res.Token == "" {
		t.Fatal(body, err)
	}
	if _, err := time.Parse(time.RFC3339, res.Expire); err != nil {
		t.Error(err)
	}
	for token, want := range map[string]int{res.Token: 200, res.Token + "x": 403, "a.b": 403, "": 403} {
		if got, _ := call(s, "GET", "/v1/heartbeat", "", "X-Api-Key", "", "Authorization", "Bearer "+token); got != want {
			t.Errorf("token %q: %d", token, got)
		}
	}
	if _, ok := s.guard.bearer(res.Token, time.Now().Add(2*tokenLife)); ok {
		t.Error("a token never ends")
	}
}

// What was revoked while nobody ran is found against the snapshot, and told.
func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "set")
	set, err := active.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	set.Apply(dec("b", decision.Block, decision.Address, "192.0.2.1"))
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	if set, err = active.Open(path, nil); err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	s := server(t, set, configured())
	set.Sync()
	fresh, gone := told(t, s, "startup=false")
	if d := cmp.Diff([][]string{nil, {"ban Ip 192.0.2.1"}}, [][]string{fresh, gone}); d != "" {
		t.Error(d)
	}
}

func TestBounds(t *testing.T) {
	c := cursors{at: map[reader]cursor{}}
	now := time.Now()
	for i := range maxCursors + 10 {
		c.set(reader{query: string(rune(i))}, 1, now.Add(time.Duration(i)))
	}
	if len(c.at) != maxCursors || c.get(reader{query: string(rune(0))}) != 0 {
		t.Errorf("%d cursors", len(c.at))
	}
	st := newState("")
	d := dec("b", decision.Block, decision.Address, "192.0.2.1")
	st.take([]active.Change{{New: d}})
	st.take([]active.Change{{Old: d}})
	everything := &filter{}
	if _, gone, _ := st.since(0, everything, now); len(gone) != 1 {
		t.Error("the deletion is not there")
	}
	if _, gone, _ := st.since(0, everything, now.Add(keepDeleted+time.Second)); len(gone) != 0 || len(st.places) != 0 {
		t.Error("the deletion is kept for ever")
	}
}

func TestValidate(t *testing.T) {
	if err := configured().Validate(); err != nil {
		t.Error(err)
	}
	k := config.NewSecret(goodKey)
	err := Config{LimitsAs: "x", Bouncers: []Bouncer{{Key: config.NewSecret("short")}, {Name: "a", Key: k}, {Name: "a", Key: k}}}.Validate()
	for _, want := range []string{"listen:", "limits_as:", "bouncers[0].name:", "bouncers[0].key:", "bouncers[2].name:", "bouncers[2].key:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in: %v", want, err)
		}
	}
	if err := DefaultConfig().Validate(); err == nil {
		t.Error("nobody could ask")
	}
}

// start runs a server until stop.
func start(t *testing.T, set *active.Set, listen string) (addr string, stop func()) {
	t.Helper()
	cfg := configured()
	cfg.Listen = listen
	s, err := New(cfg, set, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	return s.Addr().String(), func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// The real client of bouncers: everything, deltas, deletions, across a restart.
func TestStreamBouncer(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	set := open(t)
	set.Apply(dec("a", decision.Block, decision.Address, "192.0.2.1"))
	addr, stop := start(t, set, "127.0.0.1:0")
	b := &csbouncer.StreamBouncer{APIKey: goodKey, APIUrl: "http://" + addr, TickerInterval: "20ms", UserAgent: "test/1"}
	if err := b.Init(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx) }()
	has := map[string]bool{}
	until := func(want string) {
		t.Helper()
		late := time.After(10 * time.Second)
		for {
			names := ""
			for _, v := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
				if has[v] {
					names += v[8:]
				}
			}
			if names == want {
				return
			}
			select {
			case d := <-b.Stream:
				note(has, d)
			case <-late:
				t.Fatalf("the bouncer has %q, want %q", names, want)
			}
		}
	}
	until("1")
	set.Apply(dec("b", decision.Block, decision.Address, "192.0.2.2"))
	until("12")
	stop()
	_, stop = start(t, set, addr)
	set.Apply(revoke(dec("a", decision.Block, decision.Address, "192.0.2.1")), dec("c", decision.Block, decision.Address, "192.0.2.3"))
	until("23")
	cancel()
	for ended := false; !ended; {
		select {
		case <-b.Stream:
		case <-done:
			ended = true
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	stop()
}

func note(has map[string]bool, d *models.DecisionsStreamResponse) {
	for _, x := range d.New {
		has[*x.Value] = true
	}
	for _, x := range d.Deleted {
		delete(has, *x.Value)
	}
}

func TestLiveBouncer(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	set := open(t)
	set.Apply(dec("r", decision.Block, decision.CIDR, "198.51.100.0/24"))
	addr, stop := start(t, set, "127.0.0.1:0")
	defer stop()
	ask := func(key, value string) (int, error) {
		b := &csbouncer.LiveBouncer{APIKey: key, APIUrl: "http://" + addr, UserAgent: "test/1"}
		if err := b.Init(); err != nil {
			t.Fatal(err)
		}
		res, err := b.Get(value)
		if err != nil {
			return 0, err
		}
		return len(*res), nil
	}
	for value, want := range map[string]int{"198.51.100.7": 1, "192.0.2.1": 0} {
		if n, err := ask(goodKey, value); n != want || err != nil {
			t.Errorf("%s: %d decisions, %v", value, n, err)
		}
	}
	if _, err := ask("wrong", "192.0.2.1"); err == nil || !strings.Contains(err.Error(), "access forbidden") {
		t.Errorf("wrong key: %v", err)
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("startup=true&scopes=ip,range&origins=warder&scenarios_containing=a")
	f.Add("ip=2001:db8::1&contains=false")
	f.Add("range=192.0.2.0/24&contains=false")
	e := &entry{key{scopeIP, "192.0.2.1"}, ban, dec("a", decision.Block, decision.Address, "192.0.2.1")}
	f.Fuzz(func(t *testing.T, query string) {
		v, _ := url.ParseQuery(query)
		q, _ := streamQuery(v)
		q.takes(e)
		q, keys, err := listQuery(v)
		if err == nil {
			q.takes(e)
		}
		if len(keys) > 130 {
			t.Errorf("%d keys", len(keys))
		}
	})
}

// BenchmarkStartup sends a bouncer's first answer with 1,000,000 decisions. state-MB is what Warder keeps for bouncers beside the set,
// load-ms what it takes to build it.
func BenchmarkStartup(b *testing.B) {
	const n = 1_000_000
	cs := make([]active.Change, n)
	for i := range cs {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()
		cs[i].New = dec(fmt.Sprintf("%032x", i), decision.Block, decision.Address, a)
	}
	before := heap()
	st := newState("")
	began := time.Now()
	st.take(cs)
	st.named(nil, began)
	load := time.Since(began)
	s := &Server{state: st, guard: newGuard(configured()), cursors: cursors{at: map[reader]cursor{}}}
	kept := heap() - before
	b.ReportAllocs()
	w := &discard{h: http.Header{}}
	for b.Loop() {
		w.n = 0
		r := httptest.NewRequest("GET", "/v1/decisions/stream?startup=true", nil)
		if out := s.stream(w, r, "edge"); out != outcomeOK {
			b.Fatal(out)
		}
	}
	b.ReportMetric(float64(load.Milliseconds()), "load-ms")
	b.ReportMetric(float64(kept)/1e6, "state-MB")
	b.ReportMetric(float64(w.n)/1e6, "answer-MB")
	if w.n < 100*n {
		b.Errorf("the answer has %d bytes", w.n)
	}
	runtime.KeepAlive(cs)
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// discard counts an answer's bytes.
type discard struct {
	h http.Header
	n int
}

func (d *discard) Header() http.Header { return d.h }
func (d *discard) WriteHeader(int)     {}
func (d *discard) Write(b []byte) (int, error) {
	d.n += len(b)
	return len(b), nil
}

// A verified certificate stands for a key; one that nobody verified does not.
func TestCertificate(t *testing.T) {
	cfg := configured()
	s := server(t, open(t), cfg)
	r := httptest.NewRequest("GET", "/v1/heartbeat", nil)
	r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Subject: pkix.Name{CommonName: "edge-2"}}}}}
	if _, ok := s.guard.who(r, time.Now()); ok {
		t.Error("a certificate counts without client_ca_file")
	}
	s.guard.certs = true
	if name, ok := s.guard.who(r, time.Now()); !ok || name != "edge-2" {
		t.Errorf("%q %v", name, ok)
	}
	r.TLS.VerifiedChains = nil
	if _, ok := s.guard.who(r, time.Now()); ok {
		t.Error("a certificate counts that nobody verified")
	}
}
