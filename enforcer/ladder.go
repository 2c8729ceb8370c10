package enforcer

import (
	"time"

	"github.com/warder/warder/internal/decision"
)

// climb sets the offence and with it the life of a decision whose entity had the decision old last, nil for none.
func (c *Config) climb(q *asked, old *decision.Decision, now time.Time) {
	n := c.offence(q.Decision, old, now)
	factor := time.Duration(c.Ladder.Steps[min(n, len(c.Ladder.Steps))-1])
	ttl := c.MaxTTL.Std()
	if q.ttl <= ttl/factor {
		ttl = q.ttl * factor
	}
	q.Offence, q.Expires = n, q.from.Add(ttl)
}

// offence counts how often the entity was decided on. What a person or the rollback took back is forgiven; what still stands, or was only
// proposed or observed, counts no further.
func (c *Config) offence(d, old *decision.Decision, now time.Time) int {
	switch {
	case old == nil || old.State == decision.Revoked || now.Sub(old.Expires) > c.Ladder.Remember.Std():
		return 1
	case now.Before(old.Expires) || waited(old) || old.Wanted == decision.Observe && d.Wanted == decision.Enforce:
		return max(1, old.Offence)
	}
	return old.Offence + 1
}

// waited tells whether the decision was a proposal that nobody approved.
func waited(d *decision.Decision) bool {
	return d.State == decision.Proposed || d.Guardrail != "" && d.Guardrail != guardShared && d.Approver == ""
}
