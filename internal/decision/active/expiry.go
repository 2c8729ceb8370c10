package active

import (
	"math"
	"time"

	"github.com/warder/warder/internal/decision"
)

// ending is a decision and when it expires, in Unix nanoseconds.
type ending struct {
	until int64
	d     *decision.Decision
}

// endings is a binary heap, the next expiry first. It also has decisions that left the set before their time, until it is more than
// half of them. Set.write guards it.
type endings []ending

func (h *endings) push(until int64, d *decision.Decision) {
	if until == math.MaxInt64 {
		return
	}
	*h = append(*h, ending{until, d})
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[up].until <= s[i].until {
			return
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

// pop removes the first, which must exist.
func (h *endings) pop() *decision.Decision {
	s := *h
	d := s[0].d
	last := len(s) - 1
	s[0], s[last] = s[last], ending{}
	s = s[:last]
	for i := 0; ; {
		low := 2*i + 1
		if low+1 < last && s[low+1].until < s[low].until {
			low++
		}
		if low >= last || s[i].until <= s[low].until {
			break
		}
		s[low], s[i] = s[i], s[low]
		i = low
	}
	*h = s
	return d
}

// sweep removes what has expired and tells the followers. Look-ups do not depend on it. It visits nothing else.
func (s *Set) sweep(now time.Time) {
	s.write.Lock()
	defer s.write.Unlock()
	b := newBatch(s)
	for len(s.endings) > 0 && s.endings[0].until <= now.UnixNano() {
		d := s.endings.pop()
		// A newer decision may have taken the place since.
		if e, err := entityOf(d); err == nil && b.chain(&e).find(&e) == d {
			b.remove(&e, d)
		}
	}
	s.publish(b)
}

// forget drops what left the set before its time, when that is the greater part. The caller holds s.write.
func (s *Set) forget() {
	if len(s.endings) <= 2*s.Len()+1024 {
		return
	}
	s.endings = nil
	for d := range s.All() {
		s.endings.push(untilOf(d), d)
	}
}
