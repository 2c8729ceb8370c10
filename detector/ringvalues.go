package detector

import (
	"math"
	"slices"

	"github.com/warder/warder/rules"
)

// scanEntries is up to how many entries of a ring a value is looked for by scanning; above it a map or an ascending list is kept.
const scanEntries = 32

// count counts an entry in one aggregate, before it is inserted.
func (r *ring) count(i int, k kind, e []uint64, texts []Arg) {
	tot := &r.totals[i]
	switch {
	case k.additive():
		r.sum(tot, i, e, 1)
	case k == kindDistinct:
		r.addValue(i, e[r.slot[i]])
	case k == kindMin || k == kindMax:
		if tot.stale() {
			tot.micro += 2
		} else {
			tot.extreme(k, e[r.slot[i]])
		}
	case k == kindQuantile:
		r.addNumber(i, e[r.slot[i]])
	case k == kindTop:
		tot.n++
		text := ""
		if i < len(texts) {
			text = texts[i].Text
		}
		tot.extra().top.add(e[r.slot[i]], text, 1)
	}
}

// uncount is count's opposite, after the entry was taken out.
func (r *ring) uncount(i int, k kind, e []uint64) {
	tot := &r.totals[i]
	switch {
	case k.additive():
		r.sum(tot, i, e, -1)
	case k == kindDistinct:
		r.dropValue(i, e[r.slot[i]])
	case k == kindMin || k == kindMax:
		if tot.micro -= 2; tot.micro < 2 {
			*tot = total{}
		} else if uint64(tot.n) == e[r.slot[i]] {
			tot.micro |= 1
		}
	case k == kindQuantile:
		r.dropNumber(i, e[r.slot[i]])
	case k == kindTop:
		tot.n--
		tot.more.top.take(e[r.slot[i]], 1)
		if tot.n == 0 {
			tot.more = nil
		}
	}
}

// addValue counts a value of a distinct.
func (r *ring) addValue(i int, hash uint64) {
	tot := &r.totals[i]
	if tot.more == nil && r.len() >= scanEntries {
		seen := make(map[uint64]int64, 2*scanEntries)
		r.each(i, func(h uint64) bool { seen[h]++; return true })
		tot.extra().seen = seen
	}
	if seen := tot.seen(); seen != nil {
		seen[hash]++
		tot.n = int64(len(seen))
		return
	}
	if !r.contains(i, hash) {
		tot.n++
	}
}

// dropValue is addValue's opposite.
func (r *ring) dropValue(i int, hash uint64) {
	tot := &r.totals[i]
	seen := tot.seen()
	if seen == nil {
		if !r.contains(i, hash) {
			tot.n--
		}
		return
	}
	if seen[hash]--; seen[hash] <= 0 {
		delete(seen, hash)
	}
	tot.n = int64(len(seen))
	if r.len() == 0 {
		tot.more = nil
	}
}

func (r *ring) contains(i int, hash uint64) bool {
	found := false
	r.each(i, func(h uint64) bool { found = h == hash; return !found })
	return found
}

// addNumber counts a number of a quantile.
func (r *ring) addNumber(i int, bits uint64) {
	tot := &r.totals[i]
	tot.n++
	if tot.more == nil && r.len() >= scanEntries {
		numbers := make([]float64, 0, 2*scanEntries)
		r.each(i, func(b uint64) bool { numbers = append(numbers, math.Float64frombits(b)); return true })
		slices.Sort(numbers)
		tot.extra().numbers = numbers
	}
	if tot.more != nil {
		v := math.Float64frombits(bits)
		at, _ := slices.BinarySearch(tot.more.numbers, v)
		tot.more.numbers = slices.Insert(tot.more.numbers, at, v)
	}
}

// dropNumber is addNumber's opposite.
func (r *ring) dropNumber(i int, bits uint64) {
	tot := &r.totals[i]
	tot.n--
	if tot.more == nil {
		return
	}
	if at, ok := slices.BinarySearch(tot.more.numbers, math.Float64frombits(bits)); ok {
		tot.more.numbers = slices.Delete(tot.more.numbers, at, at+1)
	}
	if r.len() == 0 {
		tot.more = nil
	}
}

// each calls fn with the words of aggregate i until it returns false.
func (r *ring) each(i int, fn func(uint64) bool) {
	for at := r.head; at < len(r.words); at += r.stride {
		if r.words[at+wordMask]&(1<<i) != 0 && !fn(r.words[at+r.slot[i]]) {
			return
		}
	}
}

func (r *ring) values(dst []rules.Value) []rules.Value {
	first := r.last
	if r.len() > 0 {
		first = r.first()
	}
	for i, k := range r.kinds {
		tot := &r.totals[i]
		switch k {
		case kindMin, kindMax:
			if tot.stale() {
				*tot = total{}
				r.each(i, func(b uint64) bool { tot.extreme(k, b); return true })
			}
			dst = append(dst, r.value(tot, k, first, r.last))
		case kindQuantile:
			dst = append(dst, rules.Value{Number: r.quantile(i)})
		case kindTop:
			dst = append(dst, r.top(tot))
		default:
			dst = append(dst, r.value(tot, k, first, r.last))
		}
	}
	return dst
}

// quantile returns the quantile of the numbers in the window, 0 when there is none.
func (r *ring) quantile(i int) float64 {
	tot := &r.totals[i]
	if tot.n == 0 {
		return 0
	}
	if tot.more != nil {
		return tot.more.numbers[rank(r.quantiles[i], tot.n)-1]
	}
	var few [scanEntries + 1]float64
	numbers := few[:0]
	for at := r.head; at < len(r.words); at += r.stride {
		if r.words[at+wordMask]&(1<<i) != 0 {
			numbers = append(numbers, math.Float64frombits(r.words[at+r.slot[i]]))
		}
	}
	slices.Sort(numbers)
	return numbers[rank(r.quantiles[i], tot.n)-1]
}

func (l *layout) top(tot *total) rules.Value {
	if tot.more == nil {
		return rules.Value{}
	}
	return tot.more.top.value(tot.n)
}
