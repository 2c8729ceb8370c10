package detector

import (
	"math"

	"github.com/warder/warder/rules"
)

// count counts an entry in one aggregate and in its slice.
func (s *sliced) count(i int, k kind, c *cell, e []uint64, texts []Arg) {
	tot, part := &s.totals[i], &c.sums[i]
	switch {
	case k.additive():
		s.sum(part, i, e, 1)
		s.sum(tot, i, e, 1)
	case k == kindDistinct:
		s.addValue(i, c, e[s.slot[i]])
	case k == kindMin || k == kindMax:
		part.extreme(k, e[s.slot[i]])
		tot.extreme(k, e[s.slot[i]])
	case k == kindQuantile:
		no := bucketOf(math.Float64frombits(e[s.slot[i]]))
		part.n++
		tot.n++
		part.extra().hist.add(no, 1)
		tot.extra().hist.add(no, 1)
	case k == kindTop:
		text := ""
		if i < len(texts) {
			text = texts[i].Text
		}
		s.addTop(i, c, e[s.slot[i]], text)
	}
}

// uncount takes a slice that the window has left behind out of a total.
func (s *sliced) uncount(i int, k kind, c *cell) {
	tot, part := &s.totals[i], &c.sums[i]
	switch {
	case k.additive():
		tot.addTotal(k, part, -1)
	case k == kindQuantile:
		tot.n -= part.n
		if part.more != nil {
			tot.more.hist.take(part.more.hist)
		}
	case k == kindTop:
		tot.n -= part.n
		for h, n := range part.seen() {
			tot.more.top.take(h, n)
			tot.more.top.kept--
		}
	}
}

// extremes works a least or greatest number out anew.
func (s *sliced) extremes(i int, k kind) {
	tot := total{}
	for j := range s.cells {
		if part := &s.cells[j].sums[i]; part.micro > 0 {
			tot.extreme(k, uint64(part.n))
		}
	}
	s.totals[i] = tot
}

// addTop counts a value of a top. While the slices have few values they count all of them; above the bound each is a summary.
func (s *sliced) addTop(i int, c *cell, hash uint64, text string) {
	tot, part := &s.totals[i], &c.sums[i]
	tot.n++
	part.n++
	top, seen := &tot.extra().top, part.seen()
	if seen[hash] > 0 {
		seen[hash]++
		top.add(hash, text, 1)
		return
	}
	if top.summary && len(seen) >= topCounters {
		had := len(seen)
		less(seen, 1, s.taken(i))
		top.kept -= had - len(seen)
		return
	}
	part.slot(hash, 1)
	top.add(hash, text, 1)
	if top.kept++; top.kept > exactTop && !top.summary {
		top.summary = true
		for j := range s.cells {
			seen := s.cells[j].sums[i].seen()
			had := len(seen)
			reduce(seen, topCounters, s.taken(i))
			top.kept -= had - len(seen)
		}
	}
}

// taken takes counts that a slice gave up out of the total of a top.
func (s *sliced) taken(i int) func(hash uint64, n int64) {
	return func(hash uint64, n int64) { s.totals[i].more.top.take(hash, n) }
}

// slot sets the count of a value of a top.
func (t *total) slot(hash uint64, n int64) {
	m := t.extra()
	if m.seen == nil {
		m.seen = map[uint64]int64{}
	}
	m.seen[hash] = n
}

func (s *sliced) values(dst []rules.Value) []rules.Value {
	first := s.last
	if len(s.cells) > 0 {
		first = s.cells[0].first
	}
	for i, k := range s.kinds {
		tot := &s.totals[i]
		switch k {
		case kindQuantile:
			v := 0.0
			if tot.more != nil {
				v = tot.more.hist.quantile(s.quantiles[i], tot.n)
			}
			dst = append(dst, rules.Value{Number: v})
		case kindTop:
			dst = append(dst, s.top(tot))
		default:
			dst = append(dst, s.value(tot, k, first, s.last))
		}
	}
	return dst
}
