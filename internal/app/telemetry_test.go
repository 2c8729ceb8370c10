package app_test

import (
	"testing"
	"time"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/config"
)

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
