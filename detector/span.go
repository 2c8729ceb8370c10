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

// total is one aggregate over a span, or over one slice of it. There is one for each aggregate of each group, so it is small: what
// the two numbers hold depends on the kind.
type total struct {
	// n is a count; the whole part of a sum; how many events fulfil a ratio's condition; how many different values a distinct
	// has; the least or greatest number (math.Float64bits); of a quantile or top, how many events count.
	n int64
	// micro is a sum's millionths; of an average, its millionths and, above averageBits, how many events count; of a ratio, how
	// many events count; of a least or greatest number, twice that, plus 1 when the number must be looked for anew.
	micro int64
	more  *more // nil until there is some
}

// averageBits is the room for the millionths of an average, which are from 0 to below a million.
const averageBits = 20

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

// addAverage adds to an average's sum and count. The whole part takes up what is above the millionths' room.
func (t *total) addAverage(whole, micro, count int64) {
	micro += t.micro & (1<<averageBits - 1)
	count += t.micro >> averageBits
	carry := floorDiv(micro, 1e6)
	t.n += whole + carry
	t.micro = count<<averageBits | (micro - carry*1e6)
}

// average is what addAverage added up, as a share.
func (t *total) average() float64 {
	return share(float64(t.n)+float64(t.micro&(1<<averageBits-1))/1e6, t.micro>>averageBits)
}

// sum counts an entry of an aggregate that is additive, or with sign -1 takes it back.
func (l *layout) sum(t *total, i int, e []uint64, sign int64) {
	switch l.kinds[i] {
	case kindSum:
		t.addNumber(e[l.slot[i]], sign)
	case kindAvg:
		whole, micro := split(e[l.slot[i]])
		t.addAverage(sign*whole, sign*micro, sign)
	case kindRatio:
		if e[wordMask]&(holdBit<<i) != 0 {
			t.n += sign
		}
		t.micro += sign
	default:
		t.n += sign
	}
}

// addTotal adds another total of an additive kind, or with sign -1 takes it away.
func (t *total) addTotal(k kind, o *total, sign int64) {
	if k == kindAvg {
		t.addAverage(sign*o.n, sign*(o.micro&(1<<averageBits-1)), sign*(o.micro>>averageBits))
		return
	}
	t.n += sign * o.n
	t.micro += sign * o.micro
}

// value is the aggregate as the condition sees it, of those that need nothing but the total. first and last are the span's.
func (l *layout) value(t *total, k kind, first, last int64) rules.Value {
	v := float64(t.n)
	switch k {
	case kindSum:
		v = float64(t.n+t.micro/1e6) + float64(t.micro%1e6)/1e6
	case kindAvg:
		v = t.average()
	case kindRatio:
		v = share(v, t.micro)
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
	if t.micro == 0 || k == kindMin && v < old || k == kindMax && v > old {
		t.n = int64(bits)
	}
	t.micro += 2
}

// stale tells whether a least or greatest number must be looked for anew.
func (t *total) stale() bool { return t.micro&1 != 0 }

// rank is which of n ascending numbers the quantile is, from 1: the nearest rank. The small number is for products such as
// 0.07*100, which is a little above 7.
func rank(q float64, n int64) int64 {
	return max(1, min(n, int64(math.Ceil(q*float64(n)-1e-9))))
}

const (
	costSpan  = 100 // a span's own fields and headers
	costTotal = 32  // with its part of what the allocator rounds up
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
