package store

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// stretch is a day of the events table: its first and last time in nanoseconds, both included, and how many rows it has.
type stretch struct {
	first, last int64
	rows        uint64
}

// stretches lists the days that have events within the span, oldest first, cut to the span; rows of a day that is cut are estimated.
// ClickHouse knows the answer without reading rows.
func (r *Searcher) stretches(ctx context.Context, q *question, b *budget) ([]stretch, error) {
	first, last := int64(math.MinInt64), int64(math.MaxInt64)
	st := &statement{head: "SELECT toYYYYMMDD(e.time) AS day, min(e.time), max(e.time), count() FROM events AS e", tail: "GROUP BY day ORDER BY day"}
	if !q.span.Since.IsZero() {
		at := storedTime(q.span.Since)
		first = at.UnixNano()
		st.where("day >= {since:UInt32}")
		st.param("since", yyyymmdd(at))
	}
	if !q.span.Until.IsZero() {
		at := storedTime(q.span.Until).Add(-1)
		last = at.UnixNano()
		st.where("day <= {until:UInt32}")
		st.param("until", yyyymmdd(at))
	}
	var out []stretch
	err := r.ask(ctx, "look which days have events", st, b, func(rows driver.Rows) error {
		var day uint32
		var from, to time.Time
		var d stretch
		if err := rows.Scan(&day, &from, &to, &d.rows); err != nil {
			return err
		}
		d.first, d.last = from.UnixNano(), to.UnixNano()
		if q.fresh != nil {
			d = q.fresh.cut(day, d)
		}
		if d = d.cut(first, last); d.first <= d.last {
			out = append(out, d)
		}
		return nil
	})
	return out, err
}

func yyyymmdd(t time.Time) uint32 {
	y, m, d := t.UTC().Date()
	return uint32(max(y, 0)*10000 + int(m)*100 + d)
}

// cut narrows the stretch to [first, last], with its share of the rows. What is left is empty when its last is before its first.
func (s stretch) cut(first, last int64) stretch {
	whole := s.last - s.first + 1
	out := stretch{first: max(s.first, first), last: min(s.last, last)}
	if out.first <= out.last {
		out.rows = uint64(math.Ceil(float64(s.rows) * float64(out.last-out.first+1) / float64(whole)))
	}
	return out
}

// How many rows a slice has, by estimate.
const (
	firstSlice = 20_000
	leastSlice = 2_000
	mostSlice  = 4_000_000
	mostInGo   = 1_000_000 // where each row is looked at in Go
)

// slicer hands out the stretches in pieces, so that the newest (or oldest) events are found without sorting all of them. Inside it, time
// runs towards the past; for the oldest first it is turned round.
type slicer struct {
	left   []stretch // in time order, the next at the end
	oldest bool
	rows   float64 // of the next piece
	most   float64
}

func newSlicer(all []stretch, oldestFirst bool, most float64) *slicer {
	s := &slicer{left: slices.Clone(all), oldest: oldestFirst, rows: min(firstSlice, most), most: most}
	if oldestFirst {
		slices.Reverse(s.left)
		for i, d := range s.left {
			s.left[i] = stretch{first: -d.last, last: -d.first, rows: d.rows}
		}
	}
	return s
}

// next returns the next piece, both ends included; false at the end.
func (s *slicer) next() (first, last int64, ok bool) {
	if len(s.left) == 0 {
		return 0, 0, false
	}
	want := s.rows
	last = s.left[len(s.left)-1].last
	for len(s.left) > 0 && want >= 1 {
		d := s.left[len(s.left)-1]
		s.left = s.left[:len(s.left)-1]
		if first = d.first; float64(d.rows) > want {
			width := max(1, int64(float64(d.last-d.first+1)*want/float64(d.rows)))
			if first = d.last - width + 1; width > int64(time.Hour) {
				first = s.hour(first)
			}
			if first > d.first {
				s.left = append(s.left, d.cut(d.first, first-1))
			}
			first = max(first, d.first)
		}
		want -= float64(d.rows)
	}
	if s.oldest {
		return -last, -first, true
	}
	return first, last, true
}

// hour moves the end of a piece to the next border of an hour, by which the table is sorted.
func (s *slicer) hour(at int64) int64 {
	const hour = int64(time.Hour)
	if s.oldest { // at is negated: -at becomes the last nanosecond of an hour
		return -((-at/hour+1)*hour - 1)
	}
	return at / hour * hour
}

// learn fits the size of pieces to how the last one went.
func (s *slicer) learn(took time.Duration, full bool) {
	switch {
	case full || took > time.Second:
		s.rows = max(leastSlice, s.rows/2)
	case took < 300*time.Millisecond:
		s.rows = min(s.most, s.rows*4)
	}
}
