package proof

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	gateways  *prometheus.GaugeVec
	drifts    *prometheus.CounterVec
	recovered *prometheus.CounterVec
	untold    prometheus.Counter
	leaks     prometheus.Counter
	refusals  *prometheus.CounterVec
	forgotten *prometheus.CounterVec
	ack       prometheus.Histogram
}

// newMetrics registers with reg unless it is nil.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		gateways: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "warder_proof_gateways", Help: "Gateways, by state."}, []string{"state"}),
		drifts:   counters("warder_proof_drifts_total", "Drifts that were told, by kind.", "kind"),
		recovered: counters("warder_proof_recoveries_total",
			"Drifts that were told and are over, by kind.", "kind"),
		untold: prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_proof_untold_total",
			Help: "Attempts to tell a drift that failed; each is tried again within a second."}),
		leaks: prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_proof_leaks_total",
			Help: "Requests that got through although a decision forbids them."}),
		refusals: counters("warder_proof_refusals_total",
			"Requests that a decision answered, by whether the decision is remembered (known, unknown).", "decision"),
		forgotten: counters("warder_proof_forgotten_total",
			"Decisions, gateways and leaks that there was no room for.", "what"),
		ack: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "warder_proof_ack_seconds",
			Help:    "From a record of the decisions topic to a gateway's acknowledgement, for each gateway, sampled every 100 ms.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.gateways, m.drifts, m.recovered, m.untold, m.leaks, m.refusals, m.forgotten, m.ack} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
