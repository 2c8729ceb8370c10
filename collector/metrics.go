package collector

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	events     prometheus.Counter
	shipped    prometheus.Counter
	shipErrors prometheus.Counter
	shipTime   prometheus.Histogram
	heartbeats *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		events: prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_collector_events_total",
			Help: "Events that taps emitted."}),
		shipped: prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_collector_shipped_total",
			Help: "Events that the broker acknowledged."}),
		shipErrors: prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_collector_ship_errors_total",
			Help: "Attempts to ship a batch that failed and were repeated."}),
		shipTime: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "warder_collector_ship_seconds",
			Help: "Time from reading a batch from the spool to the broker's acknowledgement.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}),
		heartbeats: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_collector_heartbeats_total",
			Help: "Heartbeats by what became of them."}, []string{"result"}),
	}
	return m, register(reg, m.events, m.shipped, m.shipErrors, m.shipTime, m.heartbeats)
}

// register tolerates reg == nil: then nothing is exposed.
func register(reg prometheus.Registerer, cs ...prometheus.Collector) error {
	if reg == nil {
		return nil
	}
	for _, c := range cs {
		if err := reg.Register(c); err != nil {
			return fmt.Errorf("register collector metrics: %w", err)
		}
	}
	return nil
}
