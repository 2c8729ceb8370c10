package store

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the store's; the table label has one value a table that is written to.
type metrics struct {
	inserted *prometheus.CounterVec
	repeats  *prometheus.CounterVec
	failures *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// newMetrics registers with reg unless it is nil. A store that is opened again, as after a server that could not be reached, goes
// on with the metrics that are registered.
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
	var errs [4]error
	m.inserted, errs[0] = registered(reg, m.inserted)
	m.repeats, errs[1] = registered(reg, m.repeats)
	m.failures, errs[2] = registered(reg, m.failures)
	m.seconds, errs[3] = registered(reg, m.seconds)
	return m, errors.Join(errs[:]...)
}

// registered returns c, or the collector of the same name that is registered already.
func registered[C prometheus.Collector](reg prometheus.Registerer, c C) (C, error) {
	err := reg.Register(c)
	var same prometheus.AlreadyRegisteredError
	if errors.As(err, &same) {
		if old, ok := same.ExistingCollector.(C); ok {
			return old, nil
		}
	}
	return c, err
}
