package forwardauth

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// What gateways were answered.
const (
	answerPassed   = "passed"
	answerMarked   = "marked"   // it passes, with the decision's id for the log
	answerRefused  = "refused"  // 401, 403 or 429
	answerStranger = "stranger" // 503: the peer may not ask
)

func newMetrics(reg prometheus.Registerer) (*prometheus.CounterVec, error) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_forwardauth_answers_total",
		Help: "Questions of gateways about requests, by answer."}, []string{"answer"})
	for _, a := range []string{answerPassed, answerMarked, answerRefused, answerStranger} {
		c.WithLabelValues(a)
	}
	if reg == nil {
		return c, nil
	}
	if err := reg.Register(c); err != nil {
		return nil, fmt.Errorf("register forward-auth metrics: %w", err)
	}
	return c, nil
}
