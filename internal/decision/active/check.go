package active

import (
	"time"

	"github.com/warder/warder/internal/decision"
)

// Check returns what the decisions say to a request. A limit takes one token of its bucket when it governs. It neither locks nor
// allocates. The decision is shared: do not change it.
func (s *Set) Check(q *decision.Subject, now time.Time) decision.Verdict {
	d := s.Lookup(q.Address, q.Principal, now)
	if d == nil {
		return decision.Verdict{}
	}
	v := decision.Verdict{Decision: d, Observed: d.Mode != decision.Enforce || s.Observing()}
	switch d.Action {
	case decision.Block:
		v.Status = 403
	case decision.Challenge:
		v.Status = d.Status
		if d.Status == 429 {
			v.RetryAfter = seconds(d.Expires.Sub(now))
		}
	case decision.Limit:
		ok, after := s.Allow(d, now)
		if ok {
			return decision.Verdict{}
		}
		v.Status, v.RetryAfter = 429, seconds(after)
	}
	if v.Observed {
		v.Status, v.RetryAfter = 0, 0
	}
	return v
}

// seconds rounds up, to at least 1.
func seconds(d time.Duration) int { return int(max(1, (d+time.Second-1)/time.Second)) }

// Observing tells whether the global switch makes every decision observe.
func (s *Set) Observing() bool { return s.observing.Load() }

// Throw sets the global switch: with Observe nothing is refused, whatever the decisions say. Followers are told of every decision
// whose effective mode changes. The snapshot keeps it.
func (s *Set) Throw(m decision.Mode) {
	s.write.Lock()
	defer s.write.Unlock()
	if s.observing.Swap(m == decision.Observe) == (m == decision.Observe) {
		return
	}
	var cs []Change
	for d := range s.All() {
		if d.Mode == decision.Enforce {
			c := *d
			c.Mode = decision.Observe
			if m == decision.Observe {
				cs = append(cs, Change{Old: d, New: &c})
			} else {
				cs = append(cs, Change{Old: &c, New: d})
			}
		}
	}
	s.tell(cs)
	s.markDirty()
}

// Change is one entity's decision as it was and as it is. Modes are effective: with the switch on Observe every decision observes.
type Change struct {
	Old, New *decision.Decision // nil: there was, is none
}

// Follow calls fn with everything that is held now, and then with every change, in order, until stop is called: also with
// what expires, within about a second. fn is called while the set is locked for writers: it must be quick and must not call
// Apply, Sync, Throw, Follow or stop.
func (s *Set) Follow(fn func([]Change)) (stop func()) {
	s.write.Lock()
	defer s.write.Unlock()
	var cs []Change
	for d := range s.All() {
		cs = append(cs, Change{New: s.effective(d)})
	}
	f := &follower{fn}
	s.followers = append(s.followers, f)
	fn(cs)
	return func() {
		s.write.Lock()
		defer s.write.Unlock()
		for i, g := range s.followers {
			if g == f {
				s.followers = append(s.followers[:i:i], s.followers[i+1:]...)
				return
			}
		}
	}
}

type follower struct{ fn func([]Change) }

// tell passes changes on. The caller holds s.write.
func (s *Set) tell(cs []Change) {
	if len(cs) == 0 {
		return
	}
	for _, f := range s.followers {
		f.fn(cs)
	}
}

func (s *Set) effective(d *decision.Decision) *decision.Decision {
	if d == nil || d.Mode != decision.Enforce || !s.Observing() {
		return d
	}
	c := *d
	c.Mode = decision.Observe
	return &c
}

// Position is the offset of the last record of the decisions topic that was taken; -1 before the first.
func (s *Set) Position() int64 { return s.position.Load() }

// Mark says that everything on the decisions topic up to the offset was given to Apply or Sync.
func (s *Set) Mark(offset int64) { s.position.Store(offset) }
