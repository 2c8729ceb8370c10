package envoy

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// The services, and what Envoy was answered.
const (
	serviceAuth  = "ext_authz"
	serviceLimit = "ratelimit"

	answerPassed  = "passed"
	answerMarked  = "marked" // it passes, with the decision's id for the log
	answerRefused = "refused"
)

func newMetrics(reg prometheus.Registerer) (*prometheus.CounterVec, error) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_envoy_answers_total",
		Help: "Questions of Envoy about requests, by service and answer."}, []string{"service", "answer"})
	for _, s := range []string{serviceAuth, serviceLimit} {
		for _, a := range []string{answerPassed, answerMarked, answerRefused} {
			c.WithLabelValues(s, a)
		}
	}
	if reg == nil {
		return c, nil
	}
	if err := reg.Register(c); err != nil {
		return nil, fmt.Errorf("register Envoy metrics: %w", err)
	}
	return c, nil
}
