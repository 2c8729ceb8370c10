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

// counters has one for each answer: finding a labelled one for every question would cost more than the answer.
type counters map[string]prometheus.Counter

func newMetrics(reg prometheus.Registerer) (counters, error) {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_forwardauth_answers_total",
		Help: "Questions of gateways about requests, by answer."}, []string{"answer"})
	c := counters{}
	for _, a := range []string{answerPassed, answerMarked, answerRefused, answerStranger} {
		c[a] = vec.WithLabelValues(a)
	}
	if reg == nil {
		return c, nil
	}
	if err := reg.Register(vec); err != nil {
		return nil, fmt.Errorf("register forward-auth metrics: %w", err)
	}
	return c, nil
}
