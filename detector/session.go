package detector

import "math"

// forever is the size of a ring, or the width of a slice, that time does not end: that of a session.
const forever = math.MaxInt64 / 4

// inSession tells whether an event at t belongs to the session from first to last: it is less than the gap away from it, and the
// session does not reach its greatest length by it.
func (l *layout) inSession(t, first, last int64) bool {
	return t < last+l.gap && t > first-l.gap && max(last, t)-min(first, t) < l.size
}

// prefer chooses between two windows to which an event at t can belong: of sessions the one that it lies within, otherwise the one
// that is further. Two sessions that an event between them could join stay two.
func (l *layout) prefer(a, b span, t int64) bool {
	if l.gap > 0 && a.holds(t) != b.holds(t) {
		return a.holds(t)
	}
	return a.newest() >= b.newest()
}
