package detector

import (
	"cmp"
	"container/heap"
	"strings"

	"github.com/warder/warder/internal/alert"
)

// timer says when something becomes due because time passes without an event. Each entity has at most one, in the queue of
// the tap that touched it last: it is due when that tap's clock is past the time. Timers are no part of a snapshot; they
// follow from the entities' state.
type timer struct {
	due   int64
	table *table
	n     *entity
	clock *tapClock // whose queue it is in; nil when it is not set
	at    int       // in the queue
}

// timed is a span that has a timer.
type timed interface {
	span
	alarm() *timer
	// next returns when the span wants to be woken; 0 for never.
	next() int64
	// wake does what became due before a time, which is past next.
	wake(t *table, n *entity, until int64, dst []*alert.Alert) []*alert.Alert
}

// timers is a queue in a total order, so that what fires first does not depend on how the queue came about.
type timers []*timer

func (q timers) Len() int { return len(q) }

func (q timers) Less(i, j int) bool {
	a, b := q[i], q[j]
	return cmp.Or(cmp.Compare(a.due, b.due), strings.Compare(a.table.name, b.table.name), strings.Compare(a.n.seat.key, b.n.seat.key)) < 0
}

func (q timers) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push implements heap.Interface.
func (q *timers) Push(x any) {
	t := x.(*timer)
	t.at = len(*q)
	*q = append(*q, t)
}

// Pop implements heap.Interface.
func (q *timers) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return t
}

// arm sets the entity's timer to what its span wants now.
func (t *table) arm(n *entity) {
	x, ok := n.cur.(timed)
	if !ok {
		return
	}
	due, tm, clock := x.next(), x.alarm(), n.tap
	if clock.over {
		clock = &t.shard.ended
	}
	if tm.clock != nil && (tm.clock != clock || due == 0) {
		t.disarm(n)
	}
	switch {
	case due == 0:
	case tm.clock == nil:
		*tm = timer{due: due, table: t, n: n, clock: clock}
		heap.Push(&clock.timers, tm)
	case tm.due > due:
		tm.due = due
		heap.Fix(&tm.clock.timers, tm.at)
	} // a timer that is early is put off when it comes up: most are put off with every event
}

// disarm takes the entity's timer out of its queue.
func (t *table) disarm(n *entity) {
	if x, ok := n.cur.(timed); ok {
		if tm := x.alarm(); tm.clock != nil {
			heap.Remove(&tm.clock.timers, tm.at)
			tm.clock = nil
		}
	}
}

// waits tells whether something will become due for the entity: its time is ahead of its tap's cautious clock.
func (n *entity) waits() bool {
	x, ok := n.cur.(timed)
	return ok && x.alarm().clock != nil
}

// fire does what became due on the clock before a time, and what is left of taps that have ended.
func (s *Shard) fire(c *tapClock, until int64, dst []*alert.Alert) []*alert.Alert {
	for _, q := range []*timers{&c.timers, &s.ended.timers} {
		for len(*q) > 0 && (*q)[0].due < until {
			tm := (*q)[0]
			t, n := tm.table, tm.n
			x := n.cur.(timed)
			if due := x.next(); due > tm.due {
				tm.due = due
				heap.Fix(q, tm.at)
				continue
			}
			t.disarm(n)
			dst = x.wake(t, n, until, dst)
			t.arm(n)
			t.settle(n)
		}
	}
	return dst
}

// Advance takes the time of a request that no rule matched, like Process does, for who matches apart from the shard. It appends
// the alerts that time alone raised to dst.
func (s *Shard) Advance(o *Origin, dst []*alert.Alert) []*alert.Alert {
	c := s.observe(o.ID, o.Time, o.Dropped)
	s.observed = o.ID
	dst = s.pass(c, o, dst)
	s.expireNext(2)
	return dst
}

// pass does what became due now that the clock has come further, and tells the shards that own other groups.
func (s *Shard) pass(c *tapClock, o *Origin, dst []*alert.Alert) []*alert.Alert {
	if c == nil {
		return dst
	}
	if s.farTimed && c.now >= c.told+tellEvery {
		c.told = c.now
		s.cfg.Forward(&MatchRecord{Clock: true, Event: o.ID, Time: timeOf(c.now)})
	}
	if len(c.timers) > 0 || len(s.ended.timers) > 0 {
		dst = s.fire(c, c.now, dst)
	}
	return dst
}

// EndTap says that nothing more comes from the tap of an event, for who reads one log after the other: what it left to become
// due becomes so by the clocks of the taps that follow. It is no part of a snapshot.
func (s *Shard) EndTap(o *Origin) {
	c := s.clocks.tap(o.ID)
	c.over = true
	for len(c.timers) > 0 {
		tm := heap.Pop(&c.timers).(*timer)
		tm.clock = &s.ended
		heap.Push(&s.ended.timers, tm)
	}
}

const (
	// tellEvery is how far a tap's clock moves, in nanoseconds, before other shards are told.
	tellEvery = 5e9
	// maxSources bounds the partitions of the events topic whose clocks a shard waits for.
	maxSources = 4096
)

// report takes how far a tap has come in one of the partitions of the events topic.
func (c *tapClock) report(source, sources int, at int64) {
	if sources < 1 || sources > maxSources || source < 0 || source >= sources {
		return
	}
	if len(c.reports) != sources {
		old := c.reports
		c.reports = make([]int64, sources)
		copy(c.reports, old)
	}
	c.reports[source] = at
}

// horizon is how far the tap has come in all partitions of the events topic; 0 when one of them was not heard of.
func (c *tapClock) horizon() int64 {
	if len(c.reports) == 0 {
		return 0
	}
	least := c.reports[0]
	for _, at := range c.reports[1:] {
		least = min(least, at)
	}
	return least
}

// processClock takes another shard's word for how far a tap has come.
func (s *Shard) processClock(m *MatchRecord, dst []*alert.Alert) []*alert.Alert {
	s.stats.Heartbeats++
	c := s.observe(m.Event, m.Time, 0)
	if c == nil {
		return dst
	}
	c.report(m.Partition, m.Sources, m.Time.UnixNano())
	dst = s.fire(c, c.horizon(), dst)
	for range s.tables {
		s.expireNext(4)
	}
	return dst
}
