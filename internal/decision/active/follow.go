package active

import (
	"slices"

	"github.com/warder/warder/internal/decision"
)

// Change is one entity's decision as it was and as it is. Modes are effective: with the switch on Observe every decision observes.
type Change struct {
	Old, New *decision.Decision // nil: there was, is none
}

// Follow calls fn with everything that is held now, perhaps nothing, and then with every change, in order, until stop is called: also
// with what expires, within about a second. fn is called while the set is locked for writers: it must be quick and must not
// call Apply, Sync, Throw, Follow or stop. The same decision may come as another copy each time: compare keys and ids.
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
		s.followers = slices.DeleteFunc(s.followers, func(g *follower) bool { return g == f })
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

// Position is the offset of the last record of the decisions topic that was taken; -1 before the first. A snapshot may be older than
// the topic, so it is not kept across restarts: it is -1 again until the topic was read.
func (s *Set) Position() int64 { return s.position.Load() }

// Mark says that everything on the decisions topic up to the offset was given to Apply, Sync or Throw.
func (s *Set) Mark(offset int64) { s.position.Store(offset) }
