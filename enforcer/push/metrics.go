package push

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	calls       *prometheus.CounterVec
	seconds     prometheus.Histogram
	held        prometheus.Gauge
	unsupported prometheus.Gauge
	repaired    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, gateway string) *metrics {
	f := promauto.With(prometheus.WrapRegistererWith(prometheus.Labels{"gateway": gateway}, reg))
	return &metrics{
		calls: f.NewCounterVec(prometheus.CounterOpts{Name: "warder_push_syncs_total",
			Help: "Calls that brought a gateway in line, by result: ok, failed."}, []string{"result"}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{Name: "warder_push_sync_seconds",
			Help: "Time that one call took.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}),
		held: f.NewGauge(prometheus.GaugeOpts{Name: "warder_push_held_decisions", Help: "Decisions in force at the gateway."}),
		unsupported: f.NewGauge(prometheus.GaugeOpts{Name: "warder_push_unsupported_decisions",
			Help: "Decisions in force that the gateway cannot express: they do nothing there."}),
		repaired: f.NewCounter(prometheus.CounterOpts{Name: "warder_push_repaired_total",
			Help: "Entries that were found missing or foreign when the gateway's own state was read back."}),
	}
}

func (m *metrics) synced(took time.Duration, held, unsupported, repaired int, err error) {
	m.seconds.Observe(took.Seconds())
	m.unsupported.Set(float64(unsupported))
	m.repaired.Add(float64(max(0, repaired)))
	if err != nil {
		m.calls.WithLabelValues("failed").Inc()
		return
	}
	m.calls.WithLabelValues("ok").Inc()
	m.held.Set(float64(held))
}
