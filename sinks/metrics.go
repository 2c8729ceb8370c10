package sinks

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the dispatcher. The label sink is the configured name.
type metrics struct {
	alerts   *prometheus.CounterVec
	events   *prometheus.CounterVec
	attempts *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	delay    *prometheus.HistogramVec
	retrying *prometheus.GaugeVec
	unread   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_sinks_alerts_total",
			Help: "Alerts read for a sink by outcome: delivered, failed, repeat, filtered, shadow, silenced, old, undecodable."}, []string{"sink", "outcome"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_sinks_events_total",
			Help: "Access events read for a sink by outcome: delivered, failed, repeat, undecodable."}, []string{"sink", "outcome"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_sinks_attempts_total",
			Help: "Messages sent by result: ok, retry (may succeed later), refused."}, []string{"sink", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "warder_sinks_attempt_seconds",
			Help: "Duration of one attempt.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8)}, []string{"sink"}),
		delay: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "warder_sinks_delay_seconds",
			Help: "Time from an alert's arrival on the topic to its delivery.", Buckets: prometheus.ExponentialBuckets(0.005, 4, 10)}, []string{"sink"}),
		retrying: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "warder_sinks_retrying",
			Help: "1 while a sink waits to try again."}, []string{"sink"}),
		unread: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_sinks_deliveries_undecodable_total",
			Help: "Records on the deliveries topic that cannot be read and are ignored; their alerts may be sent again."}, []string{"sink"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.alerts, m.events, m.attempts, m.seconds, m.delay, m.retrying, m.unread} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register sink metrics: %w", err)
		}
	}
	return m, nil
}

// sinkMetrics are those of one sink.
type sinkMetrics struct {
	all      *metrics
	name     string
	seconds  prometheus.Observer
	delay    prometheus.Observer
	retrying prometheus.Gauge

	unreadable prometheus.Counter
}

func (m *metrics) of(name string) *sinkMetrics {
	return &sinkMetrics{all: m, name: name, seconds: m.seconds.WithLabelValues(name), delay: m.delay.WithLabelValues(name),
		retrying: m.retrying.WithLabelValues(name), unreadable: m.unread.WithLabelValues(name)}
}

func (m *sinkMetrics) alert(o outcome) { m.all.alerts.WithLabelValues(m.name, string(o)).Inc() }
func (m *sinkMetrics) event(o outcome) { m.all.events.WithLabelValues(m.name, string(o)).Inc() }

func (m *sinkMetrics) attempt(retry bool, err error, took time.Duration) {
	result := "ok"
	switch {
	case err != nil && retry:
		result = "retry"
	case err != nil:
		result = "refused"
	}
	m.all.attempts.WithLabelValues(m.name, result).Inc()
	m.seconds.Observe(took.Seconds())
}

// certain tells whether a result of sender.deliver will not change: delivered, refused or given up.
func certain(err error) bool {
	var final *finalError
	return err == nil || errors.As(err, &final)
}
