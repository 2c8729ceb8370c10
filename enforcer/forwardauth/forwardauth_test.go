package forwardauth

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/warder/warder/enforcer/claims"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/openloop"
)

func dec(id string, a decision.Action, value string, edit ...func(*decision.Decision)) *decision.Decision {
	d := &decision.Decision{Version: 1, ID: id, Action: a, Scope: decision.Address, Value: value, Mode: decision.Enforce, State: decision.Active,
		Creator: "person:x", Created: time.Now(), Expires: time.Now().Add(time.Hour), Reason: decision.Reason{Title: "why"}}
	for _, f := range edit {
		f(d)
	}
	return d
}

func open(t testing.TB, ds ...*decision.Decision) *active.Set {
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
	set.Apply(ds...)
	return set
}

func TestAnswers(t *testing.T) {
	observe := func(d *decision.Decision) { d.Mode = decision.Observe }
	set := open(t,
		dec("b", decision.Block, "192.0.2.1"), dec("o", decision.Block, "192.0.2.2", observe),
		dec("p", decision.Block, "mallory", func(d *decision.Decision) { d.Scope = decision.Principal }))
	limited := func() { // a bucket for each case
		set.Apply(dec("l", decision.Limit, "192.0.2.3", func(d *decision.Decision) {
			d.State, d.Rate = decision.Revoked, &decision.Rate{Requests: 1, Per: time.Hour, Burst: 1}
		}), dec("l", decision.Limit, "192.0.2.3", func(d *decision.Decision) {
			d.Rate = &decision.Rate{Requests: 1, Per: time.Hour, Burst: 1}
		}))
	}
	cfg := DefaultConfig()
	cfg.Headers = claims.Headers{Principal: "X-Warder-Principal"}
	reg := prometheus.NewRegistry()
	s, err := New(cfg, set, func(netip.Addr) (string, uint32) { return "SE", 64500 }, nil, reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path, peer, client, principal string
		times                               int
		status                              int
		header                              map[string]string
	}{
		{name: "nobody decided on", path: "/auth", client: "192.0.2.9", status: 200},
		{name: "block", path: "/auth", client: "192.0.2.1", status: 403, header: map[string]string{"X-Warder-Decision": "b", "X-Warder-Action": "block"}},
		{name: "block for NGINX", path: "/nginx", client: "192.0.2.1", status: 403, header: map[string]string{"X-Warder-Decision": "b", "X-Warder-Action": "block", "X-Warder-Status": "403"}},
		{name: "mark", path: "/nginx", client: "192.0.2.2", status: 200, header: map[string]string{"X-Warder-Decision": "o", "X-Warder-Action": "observe:block"}},
		{name: "limit, first", path: "/auth", client: "192.0.2.3", status: 200},
		{name: "limit, second", path: "/auth", client: "192.0.2.3", times: 1, status: 429, header: map[string]string{"X-Warder-Decision": "l", "X-Warder-Action": "limit", "Retry-After": "3600"}},
		{name: "limit for NGINX", path: "/nginx", client: "192.0.2.3", times: 1, status: 403, header: map[string]string{"X-Warder-Decision": "l", "X-Warder-Action": "limit", "Retry-After": "3600", "X-Warder-Status": "429"}},
		{name: "principal", path: "/auth", client: "192.0.2.9", principal: "mallory", status: 403, header: map[string]string{"X-Warder-Decision": "p", "X-Warder-Action": "block"}},
		{name: "a stranger may not ask", path: "/auth", peer: "198.51.100.1:80", client: "192.0.2.1", status: 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			limited()
			ask := func() *http.Response {
				r := httptest.NewRequest(http.MethodPost, tt.path, strings.NewReader("ignored"))
				r.RemoteAddr = "127.0.0.1:4711"
				if tt.peer != "" {
					r.RemoteAddr = tt.peer
				}
				r.Header.Set("X-Forwarded-For", "10.9.9.9, "+tt.client)
				r.Header.Set("X-Warder-Principal", tt.principal)
				w := httptest.NewRecorder()
				s.Handler().ServeHTTP(w, r)
				return w.Result()
			}
			for range tt.times {
				ask()
			}
			res := ask()
			if res.StatusCode != tt.status {
				t.Errorf("status %d, want %d", res.StatusCode, tt.status)
			}
			var got map[string]string
			for _, k := range []string{"X-Warder-Decision", "X-Warder-Action", "X-Warder-Status", "Retry-After"} {
				if v := res.Header.Get(k); v != "" {
					if got == nil {
						got = map[string]string{}
					}
					got[k] = v
				}
			}
			if d := cmp.Diff(tt.header, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	c := Config{TrustedPeers: []string{"x"}, TrustedProxies: []string{"10.0.0.0/99"}, Headers: claims.Headers{Tenant: "a b"}}
	c.TLS.ClientCAFile = "ca.pem"
	err := c.Validate()
	for _, want := range []string{"listen: is missing", "trusted_peers[0]:", "trusted_proxies[0]:", "headers.tenant:", "tls.client_ca_file:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in: %v", want, err)
		}
	}
	if _, err := New(c, nil, nil, nil, nil); err == nil {
		t.Error("New took it")
	}
}

// run serves on a free port until the test ends.
func run(t testing.TB, set *active.Set) string {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	s, err := New(cfg, set, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + s.Addr().String()
}

func TestRun(t *testing.T) {
	url := run(t, open(t, dec("b", decision.Block, "127.0.0.1")))
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Get(url + "/auth")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if want := `{"error":"blocked","decision":"b"}` + "\n"; res.StatusCode != 403 || string(body) != want {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// BenchmarkForwardAuth asks 5,000 times a second over kept-alive connections, with 100,000 decisions in force. The client writes and reads
// its connections itself, as a gateway's worker does: net/http's would cost several times what the server costs, on the same processors.
func BenchmarkForwardAuth(b *testing.B) {
	const workers, rate = 32, 5000
	ds := make([]*decision.Decision, 100_000)
	for i := range ds {
		ds[i] = dec(fmt.Sprint(i), decision.Block, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String())
	}
	addr := strings.TrimPrefix(run(b, open(b, ds...)), "http://")
	clients := make([]*client, workers)
	for i := range clients {
		clients[i] = dial(b, addr, fmt.Sprintf("192.0.2.%d", i))
	}
	ask := func(w int) {
		if err := clients[w].ask(); err != nil {
			b.Error(err)
		}
	}
	openloop.Run(500, rate, workers, ask)
	runtime.GC() // the set is built; do not measure its garbage
	n := max(b.N, rate)
	b.ResetTimer()
	took := openloop.Run(n, rate, workers, ask)
	b.ReportMetric(openloop.Quantile(took, 0.5), "p50-ms")
	b.ReportMetric(openloop.Quantile(took, 0.99), "p99-ms")
}

// client is a connection that asks the same question again and again.
type client struct {
	conn     net.Conn
	question []byte
	answers  *bufio.Reader
}

func dial(b *testing.B, addr, asksFor string) *client {
	b.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return &client{conn, fmt.Appendf(nil, "GET /auth HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: %s\r\n\r\n", addr, asksFor), bufio.NewReader(conn)}
}

// ask wants a 200 without a body.
func (c *client) ask() error {
	if _, err := c.conn.Write(c.question); err != nil {
		return err
	}
	status, err := c.answers.ReadString('\n')
	if err == nil && status != "HTTP/1.1 200 OK\r\n" {
		err = fmt.Errorf("answer %q", status)
	}
	for line := ""; err == nil && line != "\r\n"; {
		line, err = c.answers.ReadString('\n')
	}
	return err
}

func FuzzHeaders(f *testing.F) {
	cfg := DefaultConfig()
	cfg.Headers = claims.Headers{Principal: "P", Type: "T", Tenant: "N", Fingerprint: "F", Route: "R"}
	s, err := New(cfg, open(f, dec("b", decision.Block, "192.0.2.1")), nil, nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("1.1.1.1, 192.0.2.1", "curl", "alice", "api_key")
	f.Fuzz(func(t *testing.T, xff, agent, principal, kind string) {
		h := http.Header{"X-Forwarded-For": {xff}, "User-Agent": {agent}, "P": {principal}, "T": {kind}}
		q := s.subject(netip.MustParseAddr("127.0.0.1"), h)
		if !q.Address.IsValid() || q.Address.Is4In6() || q.Principal != principal || q.APIKey && principal == "" {
			t.Errorf("%+v", q)
		}
		if q := s.subject(netip.MustParseAddr("198.51.100.1"), h); q.Address != netip.MustParseAddr("198.51.100.1") {
			t.Error("a stranger's word was taken for an address")
		}
	})
}
