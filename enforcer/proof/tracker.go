// Package proof tells whether what was decided is done: which gateways have which decisions in force, what they refused, and where reality
// has drifted from the decisions. docs/proof.md is its manual.
package proof

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/internal/decision"
)

// Govern returns the block or challenge that is enforced against a request at a time, whatever the global switch says; nil when there is
// none. It takes no token of a limit, and is safe for concurrent use.
type Govern func(q *decision.Subject, at time.Time) *decision.Decision

// Tracker compares what was decided with what gateways acknowledge and with what taps see. All methods are safe for concurrent use. What it
// holds is bounded; see the limits in this package.
type Tracker struct {
	cfg    Config
	govern Govern
	log    *slog.Logger
	m      *metrics
	now    func() time.Time

	refusing atomic.Int64 // enforced blocks and challenges in force; 0: Seen has nothing to ask

	mu        sync.Mutex
	topic     topic
	observe   bool      // the global switch
	switched  time.Time // since when
	decisions *decisions
	gateways  map[string]*gateway
	listening time.Time // the first acknowledgement; zero before
	lastLeft  time.Time // when a gateway was stopped in order last
	leaks     map[leakKey]*leak
	told      map[toldKey]*told
}

var _ enforcer.Proof = (*Tracker)(nil)

// New returns a tracker. reg may be nil.
func New(cfg Config, govern Govern, log *slog.Logger, reg prometheus.Registerer) (*Tracker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := &Tracker{cfg: cfg, govern: govern, log: log, now: time.Now, topic: topic{head: -1}, decisions: newDecisions(),
		gateways: map[string]*gateway{}, leaks: map[leakKey]*leak{}, told: map[toldKey]*told{}}
	var err error
	if t.m, err = newMetrics(reg); err != nil {
		return nil, fmt.Errorf("proof: register metrics: %w", err)
	}
	return t, nil
}

// Decided takes a decision from the decisions topic, in its order. at is when it was written; for one that has just come it is when it came,
// so that other machines' clocks do not matter.
func (t *Tracker) Decided(d *decision.Decision, offset int64, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.topic.wrote(offset, at)
	t.m.forgotten.WithLabelValues("decision").Add(float64(t.decisions.take(d, offset, at)))
	t.refusing.Store(t.decisions.refusing)
}

// Switched takes the global switch from the decisions topic.
func (t *Tracker) Switched(s decision.Switch, offset int64, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.topic.wrote(offset, at)
	if observe := s.Mode == decision.Observe; observe != t.observe {
		t.observe, t.switched = observe, at
	}
}

// Passed takes any other record of the decisions topic: gateways acknowledge it too.
func (t *Tracker) Passed(offset int64, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.topic.wrote(offset, at)
}
