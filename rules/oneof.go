package rules

import "slices"

// oneOf is the native form of "one of these": the shipped filters have up to a hundred patterns in one. Which patterns can
// hold is known once a text was searched, so that the others cost a comparison each.
type oneOf struct {
	plain    []test // that compare numbers and short texts: they are asked first
	patterns []*pattern
	numbers  []uint32 // of the patterns
	slots    []int    // of their texts
	others   []test
}

// disjuncts is the test as a disjunction of its own.
func (t test) disjuncts() oneOf {
	switch {
	case t.any != nil:
		return *t.any
	case t.cost == costPlain:
		return oneOf{plain: []test{t}}
	}
	return oneOf{others: []test{t}}
}

// oneOf is the disjunction of one pattern that asks for literals.
func (p *pattern) oneOf() *oneOf {
	return &oneOf{patterns: []*pattern{p}, numbers: []uint32{uint32(p.no)}, slots: []int{p.slot}}
}

// or is both together. Neither is changed.
func (d oneOf) or(e oneOf) *oneOf {
	out := &oneOf{plain: slices.Concat(d.plain, e.plain), patterns: slices.Concat(d.patterns, e.patterns), numbers: slices.Concat(d.numbers, e.numbers),
		slots: slices.Concat(d.slots, e.slots), others: slices.Concat(d.others, e.others)}
	slices.Sort(out.slots)
	out.slots = slices.Compact(out.slots)
	slices.SortStableFunc(out.others, func(a, b test) int { return a.cost - b.cost })
	return out
}

// holds tells whether CEL says yes, or may.
func (d *oneOf) holds(in *input) bool {
	for i := range d.plain {
		if d.plain[i].fn(in) {
			return true
		}
	}
	if d.matches(in) {
		return true
	}
	for i := range d.others {
		if d.others[i].fn(in) {
			return true
		}
	}
	return false
}

// fails tells whether CEL says no; all parts must be exact.
func (d *oneOf) fails(in *input) bool {
	for i := range d.plain {
		if !d.plain[i].no(in) {
			return false
		}
	}
	if d.matches(in) {
		return false
	}
	for i := range d.others {
		if !d.others[i].no(in) {
			return false
		}
	}
	return true
}

// matches tells whether one of the patterns holds.
func (d *oneOf) matches(in *input) bool {
	for _, slot := range d.slots {
		in.scan(slot)
	}
	for i, no := range d.numbers {
		if in.patterns[no].gen == in.gen && in.holds(d.patterns[i]) {
			return true
		}
	}
	return false
}
