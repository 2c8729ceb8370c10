package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
)

// BenchmarkOverhead compares, in one run, the upstream itself, net/http/httputil's reverse proxy, and the gateway with all it adds:
// event, decision lookup, credentials. p50 and p99 are of one client that sends one request after the other.
func BenchmarkOverhead(b *testing.B) {
	payload := make([]byte, 1024)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(payload) }))
	defer up.Close()
	target, err := url.Parse(up.URL)
	if err != nil {
		b.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() },
		Transport: &http.Transport{MaxIdleConnsPerHost: maxIdlePerHost, DisableCompression: true},
	})
	defer proxy.Close()
	gw := start(b, up.URL, nil)
	gw.gw.emit = func(context.Context, *event.Event) error { return nil }
	gw.set.Apply(active5m("elsewhere", func(d *decision.Decision) { d.Value = "192.0.2.1" }))
	for _, bm := range []struct{ name, url string }{{"direct", up.URL}, {"reverseproxy", proxy.URL}, {"gateway", gw.url}} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			took := make([]time.Duration, 0, 1<<20)
			for b.Loop() {
				began := time.Now()
				req, err := http.NewRequest(http.MethodGet, bm.url+"/api/items?x=1", nil)
				if err != nil {
					b.Fatal(err)
				}
				req.Header.Set("X-Api-Key", "k")
				res, err := gw.client.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
