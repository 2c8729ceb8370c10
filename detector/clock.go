package detector

import (
	"encoding/binary"

	"github.com/warder/warder/internal/event"
)

// confirmations is how many records in a row must agree before a tap's clock follows a jump.
const confirmations = 4

// tapClock is how far one tap has come. Records carry times that cannot be trusted one by one (an access log may be garbled, a
// host's clock may be wrong), and there is no wall clock to hold them against. So the clock follows small steps at once and a
// jump, forward or back, only when several records in a row say the same. It decides nothing but what may be forgotten.
type tapClock struct {
	key  uint64 // the tap, as in the first half of an event.ID
	now  int64  // nanoseconds since 1970
	jump int64  // where the last far-off record was
	runs int    // records in a row near jump

	timers  timers  // what becomes due as the clock moves on
	over    bool    // nothing more is expected of it, see Shard.EndTap
	told    int64   // what other shards were told of it
	reports []int64 // how far it has come by partition of the events topic, as other shards say

	dropped uint64 // the tap's own count of lost events, as last seen
}

// observe takes a record's time and tells whether it was too far off to be followed.
func (c *tapClock) observe(t, maxJump int64) (odd bool) {
	if c.now == 0 {
		c.now = t
		return false
	}
	if near(t, c.now, maxJump) {
		c.now, c.runs = max(c.now, t), 0
		return false
	}
	switch {
	case c.runs > 0 && near(t, c.jump, maxJump):
		c.runs++
		c.jump = t
	case c.runs > 0 && t > c.now && c.jump > c.now:
		// Records that come so seldom that no two are near one another: all of them say that it is at least the earliest.
		c.runs++
		c.jump = min(c.jump, t)
	default:
		c.runs, c.jump = 1, t
	}
	if c.runs >= confirmations {
		c.now, c.runs = c.jump, 0
	}
	return true
}

// near tells whether two times are at most d apart. Times are in 1970 to 2262, so that nothing overflows.
func near(a, b, d int64) bool { return a-b <= d && b-a <= d }

// clocks has the taps that a shard heard.
type clocks struct {
	taps map[uint64]*tapClock
	last *tapClock // most records come from the tap of the record before
	max  int
}

// tap returns the clock of the tap that made the id. Above the bound all further taps share one clock.
func (c *clocks) tap(id event.ID) *tapClock {
	key := binary.BigEndian.Uint64(id[:8])
	if c.last != nil && c.last.key == key {
		return c.last
	}
	t := c.taps[key]
	if t == nil {
		if len(c.taps) >= c.max {
			key = 0
		}
		t = c.byKey(key)
	}
	c.last = t
	return t
}

func (c *clocks) byKey(key uint64) *tapClock {
	t := c.taps[key]
	if t == nil {
		t = &tapClock{key: key}
		c.taps[key] = t
	}
	return t
}

// maxLosses bounds the remembered losses; the oldest are added together above it.
const maxLosses = 256

// loss says that a tap reported n lost events at a time.
type loss struct {
	at int64
	n  uint64
}

// losses remembers what taps had to drop, for the coverage of alerts. Ordered by time.
type losses []loss

// report takes a tap's running count of lost events. A lower count than before is a tap that started anew.
func (l *losses) report(c *tapClock, dropped uint64, first bool) {
	if dropped > c.dropped && !first {
		l.add(loss{c.now, dropped - c.dropped})
	}
	c.dropped = dropped
}

func (l *losses) add(x loss) {
	s := append(*l, x)
	for i := len(s) - 1; i > 0 && s[i].at < s[i-1].at; i-- {
		s[i], s[i-1] = s[i-1], s[i]
	}
	if len(s) > maxLosses {
		s[1].n += s[0].n
		s = append(s[:0], s[1:]...)
	}
	*l = s
}

// since sums up what was lost at or after the time.
func (l losses) since(at int64) uint64 {
	n := uint64(0)
	for i := len(l) - 1; i >= 0 && l[i].at >= at; i-- {
		n += l[i].n
	}
	return n
}
