package detector

import (
	"slices"

	"github.com/axiomhq/hyperloglog"

	"github.com/warder/warder/internal/alert"
)

const (
	// slicesPerWindow is the resolution of a sliding window that is no longer kept event by event.
	slicesPerWindow = 64
	// sketchPrecision gives sketches of 4 KiB with a standard error of 1.04/√4096 = 1.6 %.
	sketchPrecision = 12
	sketchBytes     = 1<<sketchPrecision + 100
	// sketchRefresh is how many events a sketch's estimate may be old; estimating walks through all registers.
	sketchRefresh = 64
)

// sliced is a window made of slices aligned to the epoch: a sliding window of a busy group (keep slices, of which the newest is
// filling), a tumbling window (one slice as long as the window), or a session with many events (one slice without end).
//
// A sliding window covers between keep-1 and keep slices: it never counts an event that has left, and may leave early what is
// in the oldest 64th of its size.
type sliced struct {
	*layout
	width, keep int64
	exact       int // distinct values told apart exactly
	last        int64
	cells       []cell // non-empty ones, oldest first
	totals      []total
	sketches    []sketch // nil until a distinct passes the bound; then one per aggregate
	tail        []ref    // newest events, oldest first
	untailed    bool     // there are none
}

// cell is one slice.
type cell struct {
	no     int64 // time / width
	first  int64 // time of its oldest event
	events int64
	sums   []total // per aggregate: its share of the total; nothing for distinct
	sketch []*hyperloglog.Sketch
}

// sketch is a distinct over all cells once it is only estimated.
type sketch struct {
	all   *hyperloglog.Sketch // nil: still exact
	since int                 // values added since the estimate
}

var _ span = (*sliced)(nil)

func newSliced(l *layout, width, keep int64, exact int) *sliced {
	return &sliced{layout: l, width: max(width, 1), keep: keep, exact: exact, totals: make([]total, len(l.kinds))}
}

func (s *sliced) slot64(t int64) int64 { return floorDiv(t, s.width) }
func (s *sliced) newest() int64        { return s.last }

func (s *sliced) holds(t int64) bool { return len(s.cells) > 0 && t >= s.cells[0].first && t <= s.last }

func (s *sliced) near(t int64) bool {
	if s.gap > 0 && len(s.cells) > 0 {
		return s.inSession(t, s.cells[0].first, s.last)
	}
	d := s.slot64(t) - s.slot64(s.last)
	return d > -s.keep && d < s.keep || s.last == 0
}

func (s *sliced) add(e []uint64, texts []Arg) {
	t := int64(e[wordTime])
	if t > s.last {
		s.last = t
		s.prune()
	}
	c := s.cell(t)
	c.first = min(c.first, t)
	c.events++
	for i, k := range s.kinds {
		if e[wordMask]&(1<<i) == 0 {
			continue
		}
		s.count(i, k, c, e, texts)
	}
	if !s.untailed {
		s.remember(ref{t, e[wordID], e[wordID2]})
	}
}

// cell finds or makes the slice of the time.
func (s *sliced) cell(t int64) *cell {
	no := s.slot64(t)
	at := len(s.cells)
	for at > 0 && s.cells[at-1].no > no {
		at--
	}
	if at > 0 && s.cells[at-1].no == no {
		return &s.cells[at-1]
	}
	s.cells = slices.Insert(s.cells, at, cell{no: no, first: t, sums: make([]total, len(s.kinds))})
	return &s.cells[at]
}

// prune lets go of the slices that the window has left behind.
func (s *sliced) prune() {
	gone := s.slot64(s.last) - s.keep
	n := 0
	for n < len(s.cells) && s.cells[n].no <= gone {
		for i, k := range s.kinds {
			s.uncount(i, k, &s.cells[n])
		}
		n++
	}
	if n == 0 {
		return
	}
	s.cells = slices.Delete(s.cells, 0, n)
	for i, k := range s.kinds {
		switch k {
		case kindDistinct:
			s.forget(i, gone)
		case kindMin, kindMax:
			s.extremes(i, k)
		}
	}
}

// forget takes values out of a distinct that were last seen in a slice that is gone.
func (s *sliced) forget(i int, gone int64) {
	tot := &s.totals[i]
	if s.estimated(i) {
		s.merge(i)
		return
	}
	seen := tot.seen()
	for h, no := range seen {
		if no <= gone {
			delete(seen, h)
		}
	}
	tot.n = int64(len(seen))
}

func (s *sliced) estimated(i int) bool { return s.sketches != nil && s.sketches[i].all != nil }

func (s *sliced) addValue(i int, c *cell, hash uint64) {
	tot := &s.totals[i]
	if s.estimated(i) {
		c.sketchOf(i, len(s.kinds)).InsertHash(hash)
		sk := &s.sketches[i]
		sk.all.InsertHash(hash)
		if sk.since++; sk.since >= sketchRefresh {
			s.estimate(i)
		}
		return
	}
	m := tot.extra()
	if m.seen == nil {
		m.seen = map[uint64]int64{}
	}
	if no, ok := m.seen[hash]; !ok || c.no > no {
		m.seen[hash] = c.no
	}
	tot.n = int64(len(m.seen))
	if len(m.seen) > s.exact {
		s.toSketch(i)
	}
}

// toSketch gives up telling the values of a distinct apart.
func (s *sliced) toSketch(i int) {
	for h, no := range s.totals[i].seen() {
		for at := range s.cells {
			if s.cells[at].no == no {
				s.cells[at].sketchOf(i, len(s.kinds)).InsertHash(h)
				break
			}
		}
	}
	s.totals[i].more = nil
	s.merge(i)
}

// merge makes the sketch over all cells anew.
func (s *sliced) merge(i int) {
	if s.sketches == nil {
		s.sketches = make([]sketch, len(s.kinds))
	}
	all := newSketch()
	for _, c := range s.cells {
		if c.sketch != nil && c.sketch[i] != nil {
			_ = all.Merge(c.sketch[i]) // fails only for different precisions; there is one
		}
	}
	s.sketches[i].all = all
	s.estimate(i)
}

func (s *sliced) estimate(i int) {
	s.sketches[i].since = 0
	s.totals[i].n = int64(s.sketches[i].all.Estimate())
}

// sketchOf returns the cell's sketch of aggregate i out of n.
func (c *cell) sketchOf(i, n int) *hyperloglog.Sketch {
	if c.sketch == nil {
		c.sketch = make([]*hyperloglog.Sketch, n)
	}
	if c.sketch[i] == nil {
		c.sketch[i] = newSketch()
	}
	return c.sketch[i]
}

// newSketch returns a dense sketch: its registers depend on the values alone, not on the order they came in.
func newSketch() *hyperloglog.Sketch {
	sk, err := hyperloglog.NewSketch(sketchPrecision, false)
	if err != nil {
		panic("detector: " + err.Error()) // the precision is a constant that the library supports
	}
	return sk
}

// remember keeps the newest events in time order, a few more than an alert shows, so that not every event moves them all.
func (s *sliced) remember(r ref) {
	if len(s.tail) >= 2*alert.MaxEvents {
		n := copy(s.tail, s.tail[len(s.tail)-alert.MaxEvents:])
		s.tail = s.tail[:n]
	}
	at := len(s.tail)
	for at > 0 && s.tail[at-1].time > r.time {
		at--
	}
	s.tail = slices.Insert(s.tail, at, r)
}

func (s *sliced) evidence() (start, count int64, newest []ref) {
	for i := range s.cells {
		count += s.cells[i].events
	}
	if len(s.cells) > 0 {
		start = s.cells[0].first
	}
	newest = s.tail[max(0, len(s.tail)-alert.MaxEvents):]
	for len(newest) > 0 && newest[0].time < start {
		newest = newest[1:]
	}
	return start, count, newest
}

func (s *sliced) cost() int {
	n := costSpan + 24*cap(s.tail) + 72*cap(s.cells)
	for i := range s.cells {
		for j := range s.cells[i].sums {
			n += s.cells[i].sums[j].cost()
		}
	}
	for i := range s.totals {
		n += s.totals[i].cost()
		if s.estimated(i) {
			n += (len(s.cells) + 1) * sketchBytes
		}
	}
	return n
}
