package stage

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/detector"
)

// metrics are the stage's own. Labels are topics, rule ids and fixed reasons.
type metrics struct {
	in         *prometheus.CounterVec // topic
	out        *prometheus.CounterVec // topic
	dropped    *prometheus.CounterVec // reason
	alerts     *prometheus.CounterVec // rule
	irregular  *prometheus.CounterVec // kind
	latency    prometheus.Histogram
	entities   prometheus.Gauge
	bytes      prometheus.Gauge
	partitions prometheus.Gauge
	saves      *prometheus.CounterVec // result
	saveBytes  prometheus.Histogram
	saveTime   prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	const p = "warder_detector_"
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: p + name, Help: help}, []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: p + name, Help: help})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: p + name, Help: help, Buckets: buckets})
	}
	m := &metrics{
		in:        vec("records_in_total", "Records read, repeats and retries included.", "topic"),
		out:       vec("records_out_total", "Records produced.", "topic"),
		dropped:   vec("records_dropped_total", "Records or matches not counted: undecodable, repeat, stale (rule not loaded), untimed.", "reason"),
		alerts:    vec("alerts_total", "Alerts, by rule.", "rule"),
		irregular: vec("irregular_total", "late, odd (time far from its tap's), evicted, forgotten, expired, suppressed, failed (condition), mark_evicted.", "kind"),
		latency: histogram("alert_latency_seconds", "From an alert's event time to its acknowledgement by the brokers.",
			[]float64{1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 5, 30, 300}),
		entities:   gauge("entities", "Groups remembered."),
		bytes:      gauge("window_bytes", "Estimated memory of all windows."),
		partitions: gauge("partitions", "Partitions owned, of events and matches."),
		saves:      vec("checkpoints_total", "Checkpoints, by result: ok, failed, unreadable.", "result"),
		saveBytes:  histogram("checkpoint_bytes", "Size of a checkpoint before compression.", prometheus.ExponentialBuckets(1<<10, 8, 8)),
		saveTime:   histogram("checkpoint_pause_seconds", "How long taking a checkpoint held up detection.", prometheus.ExponentialBuckets(1e-4, 4, 8)),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.in, m.out, m.dropped, m.alerts, m.irregular, m.latency, m.entities, m.bytes,
		m.partitions, m.saves, m.saveBytes, m.saveTime} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register detector metrics: %w", err)
		}
	}
	return m, nil
}

// ruleErrors shows how often evaluations of each rule failed; the rules count that themselves. It implements
// prometheus.Collector.
type ruleErrors struct {
	stage *Stage
	desc  *prometheus.Desc
}

func newRuleErrors(s *Stage) *ruleErrors {
	return &ruleErrors{s, prometheus.NewDesc("warder_detector_rule_errors_total",
		"Evaluations of a rule that failed and were taken as no match, for example for a header that is not there.", []string{"rule"}, nil)}
}

// Describe implements prometheus.Collector.
func (c *ruleErrors) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c *ruleErrors) Collect(ch chan<- prometheus.Metric) {
	for _, r := range c.stage.set.Load().Rules() {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(r.Errors()), r.ID)
	}
}

// observe adds what a shard did since the last time.
func (m *metrics) observe(old, now detector.Stats) {
	m.dropped.WithLabelValues("stale").Add(float64(now.Stale - old.Stale))
	m.dropped.WithLabelValues("untimed").Add(float64(now.Untimed - old.Untimed))
	for kind, n := range map[string]uint64{
		"late": now.Late - old.Late, "odd": now.Odd - old.Odd, "evicted": now.Evicted - old.Evicted, "forgotten": now.Forgotten - old.Forgotten,
		"expired": now.Expired - old.Expired, "suppressed": now.Suppressed - old.Suppressed, "failed": now.Failed - old.Failed,
		"suspended": now.Suspended - old.Suspended, "skipped": now.Skipped - old.Skipped,
	} {
		m.irregular.WithLabelValues(kind).Add(float64(n))
	}
	m.entities.Add(float64(now.Entities - old.Entities))
	m.bytes.Add(float64(now.Bytes - old.Bytes))
}
