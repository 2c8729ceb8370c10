package active

import (
	"time"

	"github.com/warder/warder/internal/decision"
)

// Refusing returns the block or challenge that is enforced against the request at the time, nil when there is none: the same as Check finds,
// without asking the switch, and without taking a token of a limit. The decision is shared: do not change it.
func (s *Set) Refusing(q *decision.Subject, at time.Time) *decision.Decision {
	if s.count.Load() == 0 {
		return nil
	}
	f := found{worst: enforceChallenge}
	s.find(q, at.UnixNano(), &f)
	if d := f.best[enforceBlock]; d != nil {
		return d
	}
	return f.best[enforceChallenge]
}
