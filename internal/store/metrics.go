package store

import "github.com/prometheus/client_golang/prometheus"

// metrics are the store's; the table label has four values.
type metrics struct {
	inserted *prometheus.CounterVec
	repeats  *prometheus.CounterVec
	failures *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// newMetrics registers with reg unless it is nil.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		inserted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "warder_store_inserted_total", Help: "Rows inserted into ClickHouse.",
		}, []string{"table"}),
		repeats: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "warder_store_repeats_total", Help: "Records that were not inserted because the table has them.",
		}, []string{"table"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "warder_store_insert_failures_total", Help: "Inserts that failed; they are tried again.",
		}, []string{"table"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "warder_store_insert_seconds", Help: "How long an insert took.", Buckets: prometheus.ExponentialBuckets(0.002, 2.5, 10),
		}, []string{"table"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.inserted, m.repeats, m.failures, m.seconds} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
