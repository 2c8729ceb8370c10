package traffic

import (
	"math"
	"time"
)

// What Fell must have seen to be sure.
const (
	minBefore   = 3  // slices
	minAfter    = 2  // slices
	minExpected = 50 // good requests after t, had nothing changed
	minSigma    = 4  // standard deviations
)

// Fell compares the rate of good requests since t with the one before: fall is 0 (not fallen) to 1 (nothing left). Only slices that
// are complete, by what every tap was heard of, count: it knows nothing of t for some twenty seconds, and longer while events are late.
//
// sure is true when fall is no accident: with the rate of B requests in b slices before, E = B·a/b were to be expected in the a
// slices after; A came. If nothing had changed, A-E would have the variance E(1+a/b) (the test for two Poisson rates with their
// difference, see Ng and Tang, Testing the equality of two Poisson means using the rate ratio, 2005, statistic W1), and four
// standard deviations are exceeded once in thirty thousand times. A slice in which nothing at all was heard, not even a tap's heartbeat,
// says nothing of the service: then nothing is sure.
func (m *Meter) Fell(t time.Time) (fall float64, sure bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	turn, last := number(t), number(m.heard(now).Add(-late))-1
	var before, after, b, a float64
	heard := int64(0)
	m.each(func(s *slice) {
		switch {
		case s.number < turn:
			before += float64(s.good)
			b++
		case s.number > turn && s.number <= last:
			after += float64(s.good)
			heard++
		}
	})
	a = float64(last - turn)
	if b < minBefore || a < minAfter || heard < int64(a) {
		return 0, false
	}
	expected := before * a / b
	if expected <= after {
		return 0, expected >= minExpected
	}
	sure = expected >= minExpected && (expected-after) >= minSigma*math.Sqrt(expected*(1+a/b))
	return 1 - after/expected, sure
}
