package gateway

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/warder/warder/collector"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/event"
	"go.uber.org/goleak"
)

var _ collector.Tap = (*Gateway)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test.
const patience = 20 * time.Second

// bench is a running gateway with everything around it.
type bench struct {
	t      testing.TB
	gw     *Gateway
	set    *active.Set
	reg    *prometheus.Registry
	url    string
	client *http.Client
	stop   func()

	mu     sync.Mutex
	onEmit func(*event.Event) error
	events chan *event.Event
}

// newSet opens an empty decision set.
func newSet(t testing.TB, path string) *active.Set {
	t.Helper()
	if path == "" {
		path = filepath.Join(t.TempDir(), "decisions")
	}
	set, err := active.Open(path, nil)
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

// start runs a gateway; change adapts the default configuration. Its log is discarded.
func start(t testing.TB, upstream string, change func(*Config)) *bench {
	t.Helper()
	return startWith(t, newSet(t, ""), upstream, change)
}

func startWith(t testing.TB, set *active.Set, upstream string, change func(*Config)) *bench {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	cfg.DataDir = t.TempDir()
	cfg.Timeouts.Drain = config.Duration(patience)
	if upstream != "" {
		cfg.Routes = []Route{{Upstream: Upstreams{upstream}}}
	}
	if change != nil {
		change(&cfg)
	}
	b := &bench{t: t, set: set, reg: prometheus.NewRegistry(), events: make(chan *event.Event, 1<<16)}
	var err error
	if b.gw, err = New(cfg, set, slog.New(slog.DiscardHandler), b.reg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.gw.Run(ctx, b.emit) }()
	select {
	case <-b.gw.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
	b.url = "http://" + b.gw.Addr().String()
	if cfg.TLS.CertFile != "" {
		b.url = "https://" + b.gw.Addr().String()
	}
	b.client = newClient(t, nil)
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(b.stop)
	t.Cleanup(b.client.CloseIdleConnections)
	return b
}

func newClient(t testing.TB, tc *tls.Config) *http.Client {
	tr := &http.Transport{TLSClientConfig: tc, DisableCompression: true, MaxIdleConnsPerHost: 64, Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (b *bench) emit(_ context.Context, e *event.Event) error {
	b.mu.Lock()
	hook := b.onEmit
	b.mu.Unlock()
	if hook != nil {
		if err := hook(e); err != nil {
			return err
		}
	}
	b.events <- e
	return nil
}

func (b *bench) hook(f func(*event.Event) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.onEmit = f
}

// event returns the next event.
func (b *bench) event() *event.Event {
	b.t.Helper()
	select {
	case e := <-b.events:
		return e
	case <-time.After(patience):
		b.t.Fatal("no event")
		return nil
	}
}

// do sends a request and returns the response with its body read, and the event.
func (b *bench) do(method, path string, h http.Header, body io.Reader) (*http.Response, string, *event.Event) {
	b.t.Helper()
	req, err := http.NewRequest(method, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	for k, v := range h {
		req.Header[k] = v
	}
	if host := h.Get("Host"); host != "" {
		req.Host = host
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res, string(text), b.event()
}

func (b *bench) get(path string, header ...string) (*http.Response, string, *event.Event) {
	b.t.Helper()
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return b.do(http.MethodGet, path, h, nil)
}

// raw sends bytes over a new connection and returns everything that comes back until the gateway closes.
func (b *bench) raw(text string) string {
	b.t.Helper()
	c, err := net.Dial("tcp", b.gw.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		b.t.Fatal(err)
	}
	answer, _ := io.ReadAll(c)
	return string(answer)
}

// metric returns the sum of a metric's values over the labels that match "name=value".
func (b *bench) metric(name string, labels ...string) (sum float64) {
	b.t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			have := []string{}
			for _, l := range m.GetLabel() {
				have = append(have, l.GetName()+"="+l.GetValue())
			}
			if slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(have, l) }) {
				continue
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// eventually waits for a condition that no channel announces.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); !cond(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("never: " + what)
		}
	}
}

// echo is an upstream that tells what it was asked.
func echo(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Got-Uri", r.RequestURI)
		w.Header().Set("X-Got-Host", r.Host)
		w.Header().Set("X-Got-Size", http.StatusText(http.StatusOK))
		for k, v := range r.Header {
			w.Header()["Got-"+k] = v
		}
		_, _ = w.Write(append([]byte("echo:"), body...))
	}))
	t.Cleanup(s.Close)
	return s
}

func active5m(id string, change func(*decision.Decision)) *decision.Decision {
	now := time.Now()
	d := &decision.Decision{
		Version: decision.Version, ID: id, Action: decision.Block, Scope: decision.Address, Value: "127.0.0.1", Mode: decision.Enforce,
		State: decision.Active, Creator: "rule:test", Created: now.Add(-time.Second), Expires: now.Add(5 * time.Minute),
	}
	if change != nil {
		change(d)
	}
	return d
}

func TestEventOfARequest(t *testing.T) {
	b := start(t, echo(t).URL, func(c *Config) {
		c.Headers.Capture = []string{"X-Tenant", "x-api-key", "x-absent"}
		c.Routes[0].Name = "shop"
	})
	before := time.Now()
	res, text, e := b.do("POST", "/a%2Fb/../c?q=1;x=%zz&y", http.Header{
		"User-Agent": {"test/1"}, "Referer": {"http://ref.example/?a=b"}, "X-Tenant": {"blue", "red"}, "X-Api-Key": {"secret"},
		"X-Request-Id": {"req-1"}, "Host": {"shop.example:80"},
	}, strings.NewReader("hello"))
	if res.StatusCode != 200 || text != "echo:hello" {
		t.Fatalf("%d %q", res.StatusCode, text)
	}
	if got := res.Header.Get("X-Got-Uri"); got != "/a%2Fb/../c?q=1;x=%zz&y" {
		t.Errorf("upstream got %q", got)
	}
	if got := res.Header.Get("X-Got-Host"); got != "shop.example:80" {
		t.Errorf("upstream got host %q", got)
	}
	if e.Time.Before(before) || e.Request.Duration <= 0 || e.Source.Port == 0 || e.Principal.ID == "" {
		t.Errorf("time %s, duration %s, port %d, principal %q", e.Time, e.Request.Duration, e.Source.Port, e.Principal.ID)
	}
	want := event.RequestInfo{
		ID: "req-1", Method: "POST", Scheme: "http", Protocol: "HTTP/1.1", Host: "shop.example:80", Path: "/a%2Fb/../c", Query: "q=1;x=%zz&y",
		UserAgent: "test/1", Referer: "http://ref.example/?a=b", Headers: map[string]string{"x-tenant": "blue, red", "x-api-key": redacted},
		Size: 5, Duration: e.Request.Duration,
	}
	if diff := cmp.Diff(want, e.Request); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(event.ResponseInfo{Code: 200, Size: 10, ContentType: "text/plain; charset=utf-8"}, e.Response); diff != "" {
		t.Error(diff)
	}
	if e.Source.Address.String() != "127.0.0.1" || e.Source.Peer.IsValid() || e.API.Name != "shop" || e.Kind != event.Request {
		t.Errorf("source %+v, api %+v", e.Source, e.API)
	}
}

func TestRequestIDIsMadeAndSentOn(t *testing.T) {
	b := start(t, echo(t).URL, nil)
	for _, given := range []string{"", strings.Repeat("x", 129), "a b", "a\"b"} {
		res, _, e := b.get("/", "X-Request-Id", given)
		if len(e.Request.ID) != 32 || res.Header.Get("Got-X-Request-Id") != e.Request.ID {
			t.Errorf("given %q: event %q, upstream %q", given, e.Request.ID, res.Header.Get("Got-X-Request-Id"))
		}
	}
}

func TestPathsGoAsSent(t *testing.T) {
	b := start(t, echo(t).URL, nil)
	for _, uri := range []string{"/", "//double//slash", "/a/./b/../c", "/%2e%2e/%2E", "/a|b^c{d}", "/a'b\"<c>", "/\xc3\xa9", "/x%41", "/?", "/a;b=c?d?e", "/a+b%20c"} {
		answer := b.raw("GET " + uri + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		e := b.event()
		if !strings.Contains(answer, "X-Got-Uri: "+strings.TrimSuffix(uri, "?")) || e.Request.Path != strings.Split(uri, "?")[0] {
			t.Errorf("%q: event has %q, upstream answered %s", uri, e.Request.Path, answer)
		}
	}
}

func TestEmitFailuresDoNotHurt(t *testing.T) {
	b := start(t, echo(t).URL, nil)
	b.hook(func(*event.Event) error { return io.ErrShortWrite })
	res, err := b.client.Get(b.url)
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	res.Body.Close()
	if n := b.metric("warder_gateway_events_lost_total", "reason=error"); n != 1 {
		t.Errorf("%v lost events counted", n)
	}
}

func TestSlowSpoolIsBounded(t *testing.T) {
	up := echo(t)
	cfg := DefaultConfig()
	cfg.Listen, cfg.Routes = "127.0.0.1:0", []Route{{Upstream: Upstreams{up.URL}}}
	cfg.Timeouts.Emit = config.Duration(time.Millisecond)
	g, err := New(cfg, newSet(t, ""), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- g.Run(ctx, func(ctx context.Context, _ *event.Event) error { <-ctx.Done(); return ctx.Err() })
	}()
	<-g.Ready()
	client := newClient(t, nil)
	res, err := client.Get("http://" + g.Addr().String())
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	res.Body.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
