package detector

import "github.com/warder/warder/internal/alert"

// ring is an exact sliding window or session: every counted event, in time order. A sliding window is (newest-size, newest]: an
// event exactly size older than the newest has left it.
type ring struct {
	*layout
	size   int64 // forever for a session
	last   int64
	head   int // first word of the oldest entry
	words  []uint64
	totals []total
}

var _ span = (*ring)(nil)

func newRing(l *layout, size int64) *ring {
	return &ring{layout: l, size: size, totals: make([]total, len(l.kinds))}
}

func (r *ring) near(t int64) bool {
	if r.last == 0 {
		return true
	}
	if r.gap > 0 {
		return r.inSession(t, r.first(), r.last)
	}
	return t > r.last-r.size && t < r.last+r.size
}

func (r *ring) newest() int64      { return r.last }
func (r *ring) holds(t int64) bool { return r.len() > 0 && t >= r.first() && t <= r.last }
func (r *ring) len() int           { return (len(r.words) - r.head) / r.stride }

// first is the time of the oldest entry; there must be one.
func (r *ring) first() int64 { return int64(r.words[r.head]) }

func (r *ring) add(e []uint64, texts []Arg) {
	t := int64(e[wordTime])
	if t > r.last {
		r.last = t
		r.prune()
	}
	for i, k := range r.kinds {
		if e[wordMask]&(1<<i) == 0 {
			continue
		}
		r.count(i, k, e, texts)
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
			r.uncount(i, k, e)
		}
	}
	if r.head == len(r.words) {
		r.head, r.words = 0, r.words[:0]
	}
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
	n := costSpan + 8*cap(r.words)
	for i := range r.totals {
		n += r.totals[i].cost()
	}
	return n
}

// slice moves the ring's entries into empty slices, when it has become too long to keep one by one.
func (r *ring) slice(s *sliced) *sliced {
	var texts []Arg
	if r.tops {
		texts = make([]Arg, len(r.kinds))
	}
	for at := r.head; at < len(r.words); at += r.stride {
		e := r.words[at : at+r.stride]
		for i, k := range r.kinds {
			if k == kindTop && e[wordMask]&(1<<i) != 0 {
				texts[i].Text = r.totals[i].more.top.text(e[r.slot[i]])
			}
		}
		s.add(e, texts)
	}
	return s
}
