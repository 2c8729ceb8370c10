package waf

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Why a request was not judged.
const (
	skipBudget   = "budget"   // the batch's time was over
	skipSample   = "sample"   // not in the sample
	skipSize     = "size"     // longer than max_size, or too many parameters
	skipEnforced = "enforced" // a decision of Warder's refused it: detection does not look at it
	skipKnown    = "known"    // the tap brought a firewall's opinion
	skipFailed   = "failed"   // Coraza panicked, or the event cannot be read
)

type metrics struct {
	evaluated prometheus.Counter
	matched   prometheus.Counter
	skipped   *prometheus.CounterVec
	seconds   prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		evaluated: prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_waf_evaluated_total",
			Help: "Requests that the web application firewall judged."}),
		matched: prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_waf_matched_total",
			Help: "Requests for which a rule of the web application firewall fired."}),
		skipped: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_waf_skipped_total",
			Help: "Requests that the web application firewall did not judge, by reason."}, []string{"reason"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "warder_waf_seconds",
			Help: "Time to judge one request.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 12)}),
	}
	for _, r := range []string{skipBudget, skipSample, skipSize, skipEnforced, skipKnown, skipFailed} {
		m.skipped.WithLabelValues(r)
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.evaluated, m.matched, m.skipped, m.seconds} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register firewall metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) skip(reason string) { m.skipped.WithLabelValues(reason).Inc() }
