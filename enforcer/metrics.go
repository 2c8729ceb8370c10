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
}

func newMetrics(reg prometheus.Registerer, active func() float64) *metrics {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "warder_enforcer_active_decisions", Help: "Decisions in force."}, active)
	return &metrics{
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
