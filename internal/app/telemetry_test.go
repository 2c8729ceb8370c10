package app_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/synthetic"
)

// The metrics of a made-up history are ones that Warder has: what is built on the one works on the other.
func TestSyntheticMetricsAreReal(t *testing.T) {
	r := newRig(t, ownEngine)
	<-r.app.Up()
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	have := map[string]bool{}
	described := make(chan *prometheus.Desc)
	go func() {
		defer close(described)
		r.app.Registry().Describe(described)
	}()
	for d := range described {
		have[name.FindStringSubmatch(d.String())[1]] = true
	}
	for _, n := range synthetic.MetricNames() {
		if !have[n] {
			t.Errorf("Warder has no metric %s: change internal/synthetic/series.tsv", n)
		}
	}
}

// What a process says of itself under /metrics, and how its sinks fare, is in the store.
func TestTelemetryIsStored(t *testing.T) {
	r := newRig(t, func(c *app.Config) { c.Telemetry.Interval = config.Duration(time.Second) })
	r.closes("203.0.113.9")
	conn := r.conn()
	holds := func(what, sql string) {
		t.Helper()
		r.wait(what, func() bool {
			var n uint64
			return conn.QueryRow(t.Context(), sql).Scan(&n) == nil && n > 0 // it fails until the store has made the database
		})
	}
	holds("the delivery", `SELECT count() FROM deliveries WHERE sink = 'hook' AND kind = 'webhook' AND result = 'delivered' AND attempt = 1
		AND alert IN (SELECT id FROM alerts)`)
	holds("a counter of the gateway", "SELECT count() FROM metrics WHERE name = 'warder_gateway_requests_total' AND labels['class'] = '2xx' AND value >= 3 AND kind = 'counter'")
	holds("a histogram", "SELECT count() FROM metrics WHERE name = 'warder_enforcer_decision_latency_seconds_bucket' AND labels['le'] = '+Inf' AND value >= 1")
	holds("its name", "SELECT count() FROM metrics WHERE endsWith(instance, '/up')")
}
