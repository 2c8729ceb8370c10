package detector

import (
	"math"

	"github.com/warder/warder/rules"
)

// span is the content of one window of one group. It ends at the newest event that it has seen.
type span interface {
	// near tells whether an event at t counts in the window, or moves it on by less than its size.
	near(t int64) bool
	// holds tells whether t is between the oldest and the newest event.
	holds(t int64) bool
	newest() int64
	// add counts an entry; it must be near. texts has, for each aggregate that is a top, the entry's text; it may be nil
	// when there is none.
	add(entry []uint64, texts []Arg)
	// values appends the aggregates.
	values(dst []rules.Value) []rules.Value
	// evidence returns the time of the oldest counted event, how many there are, and the newest of them, oldest first.
	evidence() (start int64, count int64, newest []ref)
	// cost estimates the memory in bytes.
	cost() int
}

// ref names a counted event.
type ref struct {
	time    int64
	id, id2 uint64
}

// total is one aggregate over a span, or over one slice of it.
type total struct {
	// n is a count; the whole part of a sum; how many events fulfil a ratio's condition; how many different values a distinct
	// has; the least or greatest number (math.Float64bits).
	n     int64
	micro int64 // millionths of a sum; 1: a least or greatest number must be looked for anew; 1: a top is summarised
	count int64 // events that count in the aggregate; not kept for distinct
	more  *more // nil until there is some
}

// more is what some aggregates need beyond numbers.
type more struct {
	// seen has, for distinct, how many entries hold a value (ring) or the newest slice that holds it (slices); for one slice
	// of a top, how many events have a value.
	seen    map[uint64]int64
	numbers []float64 // of a quantile in a ring, ascending
	hist    histogram // of a quantile in slices
	top     topTable
}

func (t *total) extra() *more {
	if t.more == nil {
		t.more = &more{}
	}
	return t.more
}

func (t *total) seen() map[uint64]int64 {
	if t.more == nil {
		return nil
	}
	return t.more.seen
}

func (t *total) addNumber(bits uint64, sign int64) {
	whole, micro := split(bits)
	t.n += sign * whole
	t.micro += sign * micro
}

// sum counts an entry of an aggregate that is additive, or with sign -1 takes it back.
func (l *layout) sum(t *total, i int, e []uint64, sign int64) {
	switch l.kinds[i] {
	case kindSum, kindAvg:
		t.addNumber(e[l.slot[i]], sign)
	case kindRatio:
		if e[wordMask]&(holdBit<<i) != 0 {
			t.n += sign
		}
	default:
		t.n += sign
	}
	t.count += sign
}

// addTotal adds another's additive parts, or with sign -1 takes them away.
func (t *total) addTotal(o *total, sign int64) {
	t.n += sign * o.n
	t.micro += sign * o.micro
	t.count += sign * o.count
}

// number is a sum as one number.
func (t *total) number() float64 {
	return float64(t.n+t.micro/1e6) + float64(t.micro%1e6)/1e6
}

// value is the aggregate as the condition sees it, of those that need nothing but the total. first and last are the span's.
func (l *layout) value(t *total, k kind, first, last int64) rules.Value {
	v := float64(t.n)
	switch k {
	case kindSum:
		v = t.number()
	case kindAvg:
		v = share(t.number(), t.count)
	case kindRatio:
		v = share(v, t.count)
	case kindMin, kindMax:
		v = math.Float64frombits(uint64(t.n))
	case kindRate:
		v /= l.seconds(first, last)
	}
	return rules.Value{Number: v}
}

// share is n of all; 0 when there is nothing.
func share(n float64, all int64) float64 {
	if all == 0 {
		return 0
	}
	return n / float64(all)
}

// seconds is what a rate is taken over: the window's size, or how long a session has lasted, at least a second.
func (l *layout) seconds(first, last int64) float64 {
	if l.gap > 0 {
		return float64(max(last-first, 1e9)) / 1e9
	}
	return float64(l.size) / 1e9
}

// extreme brings a least or greatest number up to date with one more.
func (t *total) extreme(k kind, bits uint64) {
	v, old := math.Float64frombits(bits), math.Float64frombits(uint64(t.n))
	if t.count == 0 || k == kindMin && v < old || k == kindMax && v > old {
		t.n = int64(bits)
	}
	t.count++
}

// rank is which of n ascending numbers the quantile is, from 1: the nearest rank. The small number is for products such as
// 0.07*100, which is a little above 7.
func rank(q float64, n int64) int64 {
	return max(1, min(n, int64(math.Ceil(q*float64(n)-1e-9))))
}

const (
	costSpan  = 100 // a span's own fields and headers
	costTotal = 32
	costMore  = 96
	costSeen  = 32 // one entry of a map of hashes
)

func (t *total) cost() int {
	if t.more == nil {
		return costTotal
	}
	m := t.more
	return costTotal + costMore + costSeen*len(m.seen) + 8*cap(m.numbers) + m.hist.cost() + m.top.cost()
}
