package app_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warder/warder/collector/gateway"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/demo"
)

const (
	offenders = 1000
	customers = 400                  // about 500 requests a second
	apart     = 5 * time.Millisecond // offenders begin so long after each other
	warmUp    = 300                  // offenders that are not counted: a Kafka that has just started compiles itself meanwhile
)

// BenchmarkRequestToActive measures how long an attack takes to become a decision in force at the built-in gateway: from sending
// the request that trips a rule to the moment at which every look-up sees the block. A thousand offenders, two hundred a second, while
// four hundred customers shop. Goals at the 99th percentile: 10 ms on the embedded broker, 25 ms on real Kafka.
func BenchmarkRequestToActive(b *testing.B) {
	b.Run("embedded", func(b *testing.B) { requestToActive(b, nil, "auto") })
	b.Run("embedded-low-engine", func(b *testing.B) { requestToActive(b, nil, "low") }) // engine.priority
	if brokers := os.Getenv("WARDER_KAFKA"); brokers != "" {
		b.Run("kafka", func(b *testing.B) { requestToActive(b, strings.Split(brokers, ","), "low") })
	}
}

func requestToActive(b *testing.B, brokers []string, priority string) {
	shop := httptest.NewServer(demo.Shop())
	defer shop.Close()
	cfg := app.DefaultConfig()
	cfg.DataDir = b.TempDir()
	cfg.Admin.Listen, cfg.API.Listen = "", ""
	cfg.Kafka.Brokers, cfg.Engine.Priority = brokers, priority
	cfg.Gateway.Listen = "127.0.0.1:0"
	cfg.Gateway.TrustedProxies = []string{"127.0.0.0/8"}
	cfg.Gateway.Routes = []gateway.Route{{Upstream: gateway.Upstreams{shop.URL}}}
	cfg.Enforcer.Enforce, cfg.Enforcer.MaxNewPerMinute = true, 1_000_000
	cfg.Enforcer.MaxShare, cfg.Enforcer.Approval.Share = 1, 1 // the offenders are a large part of this traffic
	a, err := app.New(b.Context(), cfg, app.Roles(), slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	<-a.Up()
	url := "http://" + a.Gateway().Addr().String()
	background := make(chan struct{})
	go func() {
		defer close(background)
		demo.NewTraffic(url, customers, func(demo.Attacker) {}, func(string, time.Time) {}).Run(ctx, time.Hour)
	}()
	w := watchActive(a.Decisions())
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}, Timeout: 10 * time.Second}
	run := time.Now().UnixNano() >> 10 & 0xffffffff // a Kafka that runs on knows the addresses of earlier runs
	for i := range warmUp {
		w.attack(b, client, url, fmt.Sprintf("2001:db9:%x:%x::%x", run>>16, run&0xffff, i))
	}
	var ms []float64
	pace := time.NewTicker(apart)
	defer pace.Stop()
	for n := 0; b.Loop(); n++ {
		for i := range offenders {
			<-pace.C
			ms = append(ms, w.attack(b, client, url, fmt.Sprintf("2001:db8:%x:%x:%x::%x", run>>16, run&0xffff, n, i)))
		}
	}
	w.stop()
	client.CloseIdleConnections()
	stop()
	<-background
	if err := <-done; err != nil {
		b.Error(err)
	}
	slices.Sort(ms)
	b.ReportMetric(ms[len(ms)/2], "ms-p50")
	b.ReportMetric(ms[len(ms)*99/100], "ms-p99")
	b.ReportMetric(ms[len(ms)-1], "ms-max")
}

// activeWatch notes when an address's decision came into force.
type activeWatch struct {
	mu   sync.Mutex
	at   map[string]chan time.Time
	stop func()
}

func watchActive(set *active.Set) *activeWatch {
	w := &activeWatch{at: map[string]chan time.Time{}}
	w.stop = set.Follow(func(cs []active.Change) {
		now := time.Now()
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, c := range cs {
			if c.New == nil {
				continue
			}
			if ch := w.at[c.New.Value]; ch != nil {
				ch <- now
				delete(w.at, c.New.Value)
			}
		}
	})
	return w
}

// attack sends the request and returns the milliseconds until the block is in force.
func (w *activeWatch) attack(b *testing.B, client *http.Client, url, address string) float64 {
	b.Helper()
	ch := make(chan time.Time, 1)
	w.mu.Lock()
	w.at[netip.MustParseAddr(address).String()] = ch
	w.mu.Unlock()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url+"/api/v1/search?q=1%27%20UNION%20SELECT%20name%2Cpassword%20FROM%20users--%20-", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", address)
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	select {
	case at := <-ch:
		return float64(at.Sub(start).Microseconds()) / 1000
	case <-time.After(10 * time.Second):
		b.Fatalf("%s was not blocked within 10 s", address)
		return 0
	}
}
