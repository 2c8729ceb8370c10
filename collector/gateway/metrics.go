package gateway

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/event"
)

type metrics struct {
	requests       *prometheus.CounterVec
	seconds        prometheus.Histogram
	emitSeconds    prometheus.Histogram
	inflight       prometheus.Gauge
	connections    prometheus.Counter
	refused        *prometheus.CounterVec
	enforced       *prometheus.CounterVec
	lost           *prometheus.CounterVec
	upstreamErrors *prometheus.CounterVec
	jwks           *prometheus.CounterVec
	panics         prometheus.Counter
	byClass        [6]prometheus.Counter // requests, by the code's first digit
}

func newMetrics(reg prometheus.Registerer, set *active.Set) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_gateway_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, from float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "warder_gateway_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(from, 2.5, 14)})
	}
	m := &metrics{
		requests:    counter("requests_total", "Requests answered, by the class of the status code.", "class"),
		seconds:     histogram("request_seconds", "From a request's header to its event.", 0.0002),
		emitSeconds: histogram("emit_seconds", "What handing an event to the spool adds to a response.", 0.000002),
		inflight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "warder_gateway_requests_in_flight", Help: "Requests being answered, upgraded connections among them."}),
		connections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "warder_gateway_connections_total", Help: "Client connections accepted."}),
		refused:        counter("refused_total", "Connections and requests refused before a handler.", "reason"),
		enforced:       counter("enforced_total", "Requests that met a decision.", "action"),
		lost:           counter("events_lost_total", "Access events that did not reach the spool.", "reason"),
		upstreamErrors: counter("upstream_errors_total", "Requests without a response from the upstream.", "reason"),
		jwks:           counter("jwks_fetches_total", "Fetches of JSON Web Key Sets.", "result"),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "warder_gateway_panics_total", Help: "Requests whose handler panicked; always a fault to report."}),
	}
	for i, class := range []string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		m.byClass[i] = m.requests.WithLabelValues(class)
	}
	if reg == nil {
		return m, nil
	}
	decisions := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "warder_gateway_decisions", Help: "Decisions in force at this gateway."}, func() float64 { return float64(set.Len()) })
	ignored := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "warder_gateway_decisions_refused_total", Help: "Decisions not taken: invalid, or no room."},
		func() float64 { return float64(set.Refused()) })
	var errs []error
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.emitSeconds, m.inflight, m.connections, m.refused, m.enforced,
		m.lost, m.upstreamErrors, m.jwks, m.panics, decisions, ignored} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) answered(e *event.Event) {
	class := e.Response.Code / 100
	if class < 1 || class > 5 {
		class = 0
	}
	m.byClass[class].Inc()
	m.seconds.Observe(e.Request.Duration.Seconds())
}
