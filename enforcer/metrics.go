package enforcer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/warder/warder/internal/decision"
)

type metrics struct {
	made    *prometheus.CounterVec
	skipped *prometheus.CounterVec
	held    *prometheus.CounterVec
	latency prometheus.Histogram
	// forgotten counts ended decisions that the ladder no longer remembers, because more than maxEnded are remembered.
	forgotten prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, l *ledger) *metrics {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "warder_enforcer_active_decisions", Help: "Decisions in force."},
		func() float64 { return float64(l.active()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "warder_enforcer_share_in_use_ratio",
		Help: "Part of successful requests that the refusing decisions in force touched when they were made, added up; bounded by max_share."}, l.shareInUse)
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "warder_enforcer_switch_enforce",
		Help: "1 when the global switch lets gateways refuse requests, 0 when it has them observe."}, l.switchPosition)
	return &metrics{
		forgotten: f.NewCounter(prometheus.CounterOpts{Name: "warder_enforcer_forgotten_total",
			Help: "Ended decisions that were forgotten before their time because too many are remembered; their entities start the ladder anew."}),
		made: f.NewCounterVec(prometheus.CounterOpts{Name: "warder_enforcer_decisions_total",
			Help: "Decisions made, by action, mode and state."}, []string{"action", "mode", "state"}),
		skipped: f.NewCounterVec(prometheus.CounterOpts{Name: "warder_enforcer_skipped_total",
			Help: "Responses that made no new decision, by reason."}, []string{"reason"}),
		held: f.NewCounterVec(prometheus.CounterOpts{Name: "warder_enforcer_guardrail_total",
			Help: "Decisions that a guardrail turned into proposals."}, []string{"guardrail"}),
		latency: f.NewHistogram(prometheus.HistogramOpts{Name: "warder_enforcer_decision_latency_seconds",
			Help:    "From the time of the request that tripped a rule to its decision.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}),
	}
}

func (m *metrics) decided(d *decision.Decision, now time.Time) {
	m.made.WithLabelValues(string(d.Action), string(d.Mode), string(d.State)).Inc()
	m.latency.Observe(now.Sub(d.Reason.EventTime).Seconds())
}
