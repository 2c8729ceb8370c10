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

// counters has one for each service and answer: finding a labelled one for every question would cost more than the answer.
type counters map[[2]string]prometheus.Counter

func newMetrics(reg prometheus.Registerer) (counters, error) {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_envoy_answers_total",
		Help: "Questions of Envoy about requests, by service and answer."}, []string{"service", "answer"})
	c := counters{}
	for _, s := range []string{serviceAuth, serviceLimit} {
		for _, a := range []string{answerPassed, answerMarked, answerRefused} {
			c[[2]string{s, a}] = vec.WithLabelValues(s, a)
		}
	}
	if reg == nil {
		return c, nil
	}
	if err := reg.Register(vec); err != nil {
		return nil, fmt.Errorf("register Envoy metrics: %w", err)
	}
	return c, nil
}
