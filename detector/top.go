package detector

import (
	"cmp"
	"slices"
	"strings"

	"github.com/warder/warder/rules"
)

const (
	// maxTopText is the most bytes of a text that a top keeps; a longer one keeps its beginning and ends in a hash of all of it.
	maxTopText = 256
	// scanTop is up to how many values are looked for one by one; above it an index is kept.
	scanTop = 16
	// exactTop is how many different values the slices of a window count exactly, counted for each slice in which they are.
	exactTop = 1024
	// topCounters is how many values a slice counts above that. Misra and Gries: with k counters no count is more than a (k+1)th
	// of all events too low, and none is too high; that holds for sums of such counts, too.
	topCounters = 100
)

// topTable has the values of a top with their texts, and knows which one is the most frequent. What it answers does not depend
// on the order in which values came.
type topTable struct {
	list  []topValue
	index map[uint64]int32 // by hash; nil while there are few
	best  int32            // in list, plus one; 0 when it must be looked for
	// Of a window in slices: whether the slices are summaries, and how many values they count.
	summary bool
	kept    int
}

type topValue struct {
	hash  uint64
	count int64
	text  string
}

func (t *topTable) find(hash uint64) int32 {
	if t.index != nil {
		if i, ok := t.index[hash]; ok {
			return i
		}
		return -1
	}
	for i := range t.list {
		if t.list[i].hash == hash {
			return int32(i)
		}
	}
	return -1
}

// add counts n events more of a value. The text is needed only when the value is new; it is copied.
func (t *topTable) add(hash uint64, text string, n int64) {
	i := t.find(hash)
	if i < 0 {
		i = int32(len(t.list))
		t.list = append(t.list, topValue{hash: hash, text: strings.Clone(bounded(text, maxTopText))})
		switch {
		case t.index != nil:
			t.index[hash] = i
		case len(t.list) > scanTop:
			t.index = make(map[uint64]int32, 2*scanTop)
			for j := range t.list {
				t.index[t.list[j].hash] = int32(j)
			}
		}
	}
	t.list[i].count += n
	if t.best == i+1 {
		return
	}
	if len(t.list) == 1 || t.best > 0 && before(&t.list[i], &t.list[t.best-1]) {
		t.best = i + 1
	}
}

// take is add's opposite; a value without events is forgotten.
func (t *topTable) take(hash uint64, n int64) {
	i := t.find(hash)
	if i < 0 {
		return
	}
	if t.best == i+1 {
		t.best = 0
	}
	if t.list[i].count -= n; t.list[i].count > 0 {
		return
	}
	last := int32(len(t.list) - 1)
	if i != last {
		t.list[i] = t.list[last]
		if t.index != nil {
			t.index[t.list[i].hash] = i
		}
		if t.best == last+1 {
			t.best = i + 1
		}
	}
	t.list[last] = topValue{}
	t.list = t.list[:last]
	if t.index != nil {
		delete(t.index, hash)
	}
	if last == 0 {
		t.list, t.index, t.best = nil, nil, 0
	}
}

// before orders values: the most frequent first, and of equally frequent ones the least text.
func before(a, b *topValue) bool {
	if a.count != b.count {
		return a.count > b.count
	}
	if a.text != b.text {
		return a.text < b.text
	}
	return a.hash < b.hash
}

// value returns the most frequent value and its share of all events that count.
func (t *topTable) value(all int64) rules.Value {
	if len(t.list) == 0 {
		return rules.Value{}
	}
	if t.best == 0 {
		best := 0
		for i := range t.list {
			if before(&t.list[i], &t.list[best]) {
				best = i
			}
		}
		t.best = int32(best) + 1
	}
	b := &t.list[t.best-1]
	return rules.Value{Number: float64(b.count), Text: b.text, Share: share(float64(b.count), all)}
}

// text returns the text of a value that is there.
func (t *topTable) text(hash uint64) string {
	if i := t.find(hash); i >= 0 {
		return t.list[i].text
	}
	return ""
}

// sorted returns the values in the order of their hashes.
func (t *topTable) sorted() []topValue {
	s := slices.Clone(t.list)
	slices.SortFunc(s, func(a, b topValue) int { return cmp.Compare(a.hash, b.hash) })
	return s
}

func (t *topTable) cost() int {
	n := 0
	if len(t.list) > scanTop {
		n = costSeen * len(t.list)
	}
	for i := range t.list {
		n += 48 + len(t.list[i].text)
	}
	return n
}

// reduce leaves at most k of the counts: it takes the (k+1)th greatest away from all and forgets those that have nothing left. It
// is what makes a summary of Misra and Gries of exact counts (Agarwal et al., Mergeable Summaries, 2012).
func reduce(seen map[uint64]int64, k int, taken func(hash uint64, n int64)) {
	if len(seen) <= k {
		return
	}
	counts := make([]int64, 0, len(seen))
	for _, n := range seen {
		counts = append(counts, n)
	}
	slices.SortFunc(counts, func(a, b int64) int { return cmp.Compare(b, a) })
	less(seen, counts[k], taken)
}

// less takes n away from all counts and forgets those that have nothing left.
func less(seen map[uint64]int64, n int64, taken func(hash uint64, n int64)) {
	for h, have := range seen {
		taken(h, min(n, have))
		if have <= n {
			delete(seen, h)
		} else {
			seen[h] = have - n
		}
	}
}
