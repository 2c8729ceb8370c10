package detector

import "github.com/warder/warder/internal/alert"

// scanDistinct is up to how many entries a value is looked for by scanning; above it a map is kept.
const scanDistinct = 32

// ring is an exact sliding window: every counted event, in time order. The window is (newest-size, newest]: an event exactly
// size older than the newest has left it.
type ring struct {
	*layout
	size   int64
	last   int64
	head   int // first word of the oldest entry
	words  []uint64
	totals []total
}

var _ span = (*ring)(nil)

func newRing(l *layout, size int64) *ring {
	return &ring{layout: l, size: size, totals: make([]total, len(l.kinds))}
}

func (r *ring) near(t int64) bool { return t > r.last-r.size && t < r.last+r.size || r.last == 0 }
func (r *ring) newest() int64     { return r.last }
func (r *ring) len() int          { return (len(r.words) - r.head) / r.stride }

func (r *ring) add(e []uint64) {
	t := int64(e[wordTime])
	if t > r.last {
		r.last = t
		r.prune()
	}
	for i, k := range r.kinds {
		if e[wordMask]&(1<<i) == 0 {
			continue
		}
		switch tot := &r.totals[i]; k {
		case kindCount:
			tot.n++
		case kindSum:
			tot.addNumber(e[r.slot[i]], 1)
		case kindDistinct:
			r.addValue(i, e[r.slot[i]])
		}
	}
	r.insert(e)
}

// insert keeps time order; events of the same time stay in order of arrival.
func (r *ring) insert(e []uint64) {
	if r.head > 0 && len(r.words)+r.stride > cap(r.words) {
		n := copy(r.words, r.words[r.head:])
		r.words, r.head = r.words[:n], 0
	}
	r.words = append(r.words, e...)
	at := len(r.words) - r.stride
	for at > r.head && int64(r.words[at-r.stride]) > int64(e[wordTime]) {
		at -= r.stride
	}
	if at < len(r.words)-r.stride {
		copy(r.words[at+r.stride:], r.words[at:len(r.words)-r.stride])
		copy(r.words[at:], e)
	}
}

// prune lets go of what the window has left behind.
func (r *ring) prune() {
	for r.head < len(r.words) && int64(r.words[r.head]) <= r.last-r.size {
		e := r.words[r.head : r.head+r.stride]
		r.head += r.stride
		for i, k := range r.kinds {
			if e[wordMask]&(1<<i) == 0 {
				continue
			}
			switch tot := &r.totals[i]; k {
			case kindCount:
				tot.n--
			case kindSum:
				tot.addNumber(e[r.slot[i]], -1)
			case kindDistinct:
				r.dropValue(i, e[r.slot[i]])
			}
		}
	}
	if r.head == len(r.words) {
		r.head, r.words = 0, r.words[:0]
	}
}

// addValue counts a value of a distinct before its entry is inserted.
func (r *ring) addValue(i int, hash uint64) {
	tot := &r.totals[i]
	if tot.seen == nil && r.len() >= scanDistinct {
		tot.seen = make(map[uint64]int64, 2*scanDistinct)
		r.each(i, func(h uint64) bool { tot.seen[h]++; return true })
	}
	if tot.seen != nil {
		tot.seen[hash]++
		tot.n = int64(len(tot.seen))
		return
	}
	if !r.holds(i, hash) {
		tot.n++
	}
}

// dropValue is addValue's opposite, after the entry was taken out.
func (r *ring) dropValue(i int, hash uint64) {
	tot := &r.totals[i]
	if tot.seen == nil {
		if !r.holds(i, hash) {
			tot.n--
		}
		return
	}
	if tot.seen[hash]--; tot.seen[hash] <= 0 {
		delete(tot.seen, hash)
	}
	tot.n = int64(len(tot.seen))
	if r.len() == 0 {
		tot.seen = nil
	}
}

func (r *ring) holds(i int, hash uint64) bool {
	found := false
	r.each(i, func(h uint64) bool { found = h == hash; return !found })
	return found
}

// each calls fn with the values of aggregate i until it returns false.
func (r *ring) each(i int, fn func(uint64) bool) {
	for at := r.head; at < len(r.words); at += r.stride {
		if r.words[at+wordMask]&(1<<i) != 0 && !fn(r.words[at+r.slot[i]]) {
			return
		}
	}
}

func (r *ring) values(dst []float64) []float64 {
	for i, k := range r.kinds {
		dst = append(dst, r.totals[i].value(k))
	}
	return dst
}

func (r *ring) evidence() (start, count int64, newest []ref) {
	count = int64(r.len())
	from := max(r.head, len(r.words)-alert.MaxEvents*r.stride)
	for at := from; at < len(r.words); at += r.stride {
		newest = append(newest, ref{int64(r.words[at]), r.words[at+wordID], r.words[at+wordID2]})
	}
	if count > 0 {
		start = int64(r.words[r.head])
	}
	return start, count, newest
}

func (r *ring) cost() int {
	n := costSpan + 8*cap(r.words) + costTotal*len(r.totals)
	for i := range r.totals {
		n += costSeen * len(r.totals[i].seen)
	}
	return n
}

// slice turns the ring into slices, when it has become too long to keep one by one.
func (r *ring) slice(exactDistinct int) *sliced {
	s := newSliced(r.layout, r.size/slicesPerWindow, slicesPerWindow, exactDistinct)
	for at := r.head; at < len(r.words); at += r.stride {
		s.add(r.words[at : at+r.stride])
	}
	return s
}
