package app_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/warder/warder/collector/gateway"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/demo"
)

// BenchmarkTripToRefusal measures the whole loop with everything embedded: from sending the request that trips a rule to the
// first refused request of the same client, which asks again every half millisecond while customers shop. The goal of
// `warder demo` is a 99th percentile below 50 ms.
func BenchmarkTripToRefusal(b *testing.B) {
	shop := httptest.NewServer(demo.Shop())
	defer shop.Close()
	cfg := app.DefaultConfig()
	cfg.DataDir = b.TempDir()
	cfg.Admin.Listen, cfg.API.Listen = "", ""
	cfg.Gateway.Listen = "127.0.0.1:0"
	cfg.Gateway.TrustedProxies = []string{"127.0.0.0/8"}
	cfg.Gateway.Routes = []gateway.Route{{Upstream: gateway.Upstreams{shop.URL}}}
	cfg.Enforcer.Enforce, cfg.Enforcer.MaxNewPerMinute = true, 1_000_000
	cfg.Enforcer.MaxShare, cfg.Enforcer.Approval.Share = 1, 1 // the offenders are a large part of this traffic
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	a, err := app.New(b.Context(), cfg, app.Roles(), log)
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
		demo.NewTraffic(url, 40, func(demo.Attacker) {}, func(string, time.Time) {}).Run(ctx, time.Hour)
	}()

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}, Timeout: 10 * time.Second}
	var ms []float64
	for n := 0; b.Loop(); n++ {
		ms = append(ms, float64(tripToRefusal(b, client, url, fmt.Sprintf("2001:db8:bad:%x::%x", n>>16, n&0xffff)).Microseconds())/1000)
	}
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

// tripToRefusal attacks once from the address and asks until it is refused.
func tripToRefusal(b *testing.B, client *http.Client, url, address string) time.Duration {
	b.Helper()
	get := func(path string) int {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url+path, nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", address)
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	start := time.Now()
	get("/api/v1/search?q=1%27%20UNION%20SELECT%20name%2Cpassword%20FROM%20users--%20-")
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for get("/api/v1/products") != http.StatusForbidden {
		if time.Since(start) > 10*time.Second {
			b.Fatalf("%s was not refused within 10 s", address)
		}
		<-tick.C
	}
	return time.Since(start)
}
