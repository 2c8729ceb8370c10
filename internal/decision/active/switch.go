package active

import "github.com/warder/warder/internal/decision"

// Observing tells whether the global switch makes every decision observe.
func (s *Set) Observing() bool { return s.observing.Load() }

// Throw sets the global switch: with Observe nothing is refused, whatever the decisions say. Readers see it at once and for all
// decisions together. Followers are told of every decision whose effective mode changes. The snapshot keeps it.
func (s *Set) Throw(m decision.Mode) {
	s.write.Lock()
	defer s.write.Unlock()
	observe := m == decision.Observe
	if s.observing.Swap(observe) == observe {
		return
	}
	s.tell(s.thrown(observe))
	s.markDirty()
}

// thrown returns what a throw of the switch changes; nothing when nobody asks.
func (s *Set) thrown(observe bool) (cs []Change) {
	if len(s.followers) == 0 {
		return nil
	}
	for d := range s.All() {
		if d.Mode != decision.Enforce {
			continue
		}
		if observe {
			cs = append(cs, Change{Old: d, New: observed(d)})
		} else {
			cs = append(cs, Change{Old: observed(d), New: d})
		}
	}
	return cs
}

// effective returns the decision as it is in force under the switch.
func (s *Set) effective(d *decision.Decision) *decision.Decision {
	if d == nil || d.Mode != decision.Enforce || !s.Observing() {
		return d
	}
	return observed(d)
}

func observed(d *decision.Decision) *decision.Decision {
	c := *d
	c.Mode = decision.Observe
	return &c
}
