package rules

// textSource is one text that rules look at, and the patterns on it.
type textSource struct {
	key     textKey
	source  int // in index.sources
	place   int // in source.slots
	decoded bool

	literals []string // folded
	ids      map[string]int
	patterns []*pattern
	numbers  map[patternKey]*pattern

	first *search    // for telling literals; nil when no pattern asks for a literal
	tells [][]int    // by telling literal: the patterns
	all   *search    // for all literals
	free  []*pattern // those that ask for no literal
}

// patternKey tells patterns on one text apart.
type patternKey struct {
	op   string
	text string
	fold bool
}

// pattern is a test on a text that can only hold when certain literals occur in it, case apart.
type pattern struct {
	no, slot int
	free     int // its place among the text's patterns that ask for no literal; -1 for others

	sets    []literalSet
	telling []string                 // the literals of the first set
	small   []quick                  // those of the sets with few literals
	formula func(hits []uint64) bool // says more than sets; nil: nothing more
	run     func(text string) bool   // decides; nil when machine does, or nothing more is known
	machine *machine
	fold    bool // run wants the text in lower case
	special bool // it needs a character that is not plain
	slow    bool // run is, and there is no literal to look for first

	posts *posts // the filters behind it; nil for none
}

// literalSet is a set of literals of which one must occur.
type literalSet = sparse

// literalIDs registers literals, in folded form, to be searched for in the slot's text.
func (x *index) literalIDs(slot int, literals []string) literalSet {
	t := x.texts[slot]
	var set literalSet
	for _, s := range literals {
		id, ok := t.ids[s]
		if !ok {
			id = len(t.literals)
			t.ids[s] = id
			t.literals = append(t.literals, s)
		}
		set = set.with(id)
	}
	return set
}

// pattern makes the test of a pattern on the slot's text. Rules with the same pattern share it, and pay once for a text.
func (x *index) pattern(slot int, k patternKey, make func() *pattern) (*pattern, test) {
	t := x.texts[slot]
	p := t.numbers[k]
	if p == nil {
		p = make()
		p.no, p.slot, p.free = len(x.patterns), slot, -1
		if len(p.sets) == 0 {
			p.free = len(t.free)
			t.free = append(t.free, p)
		}
		x.patterns = append(x.patterns, p)
		t.numbers[k] = p
		t.patterns = append(t.patterns, p)
		x.sources[t.source].memo = true
	}
	out := test{fn: func(in *input) bool { return in.holds(p) }, cost: costScan}
	if p.slow {
		out.cost = costRegex
	}
	if len(p.sets) > 0 {
		out.must = []demand{{keys: []key{{kind: keyPattern, slot: slot, id: p.no}}, share: textShare(t.key, p.telling)}}
	}
	return p, out
}

// build makes the searches.
func (t *textSource) build(x *index) {
	numbers := map[string]int{}
	var telling []string
	for i, p := range t.patterns {
		for _, l := range p.telling {
			id, ok := numbers[l]
			if !ok {
				id = len(telling)
				numbers[l] = id
				telling = append(telling, l)
				t.tells = append(t.tells, nil)
			}
			t.tells[id] = append(t.tells[id], i)
		}
	}
	t.first = newSearch(x.class, telling)
	if len(t.literals) > 0 && t.asks() {
		t.all = newSearch(x.class, t.literals)
	}
}

// asks tells whether a pattern needs to know about other literals than the telling ones.
func (t *textSource) asks() bool {
	for _, p := range t.patterns {
		if p.asks() {
			return true
		}
	}
	return false
}

// scratch is the memory of searches.
type scratch struct {
	finds   finds
	hits    []uint64 // bit set of literals, all 0 between searches
	seen    []uint32 // by pattern of the text: the round in which it was looked at
	round   uint32
	matched []int
}

func newScratch(x *index) scratch {
	words, patterns := 0, 0
	for _, t := range x.texts {
		words, patterns = max(words, (len(t.literals)+63)/64), max(patterns, len(t.patterns))
	}
	return scratch{hits: make([]uint64, words), seen: make([]uint32, patterns)}
}

// find appends the numbers of the patterns whose literals occur in the text, the cheapest search first.
func (t *textSource) find(text string, s *scratch, dst []uint32) []uint32 {
	s.finds.filled = false
	if t.first == nil || text == "" {
		return dst
	}
	t.first.find(text, &s.finds)
	if len(s.finds.ids) == 0 {
		return dst
	}
	if s.round++; s.round == 0 {
		clear(s.seen)
		s.round = 1
	}
	s.matched = s.matched[:0]
	for _, id := range s.finds.ids {
		for _, i := range t.tells[id] {
			if s.seen[i] != s.round {
				s.seen[i] = s.round
				s.matched = append(s.matched, i)
			}
		}
	}
	folded := s.finds.fold(text)
	plain := isPlain(&s.finds.chars)
	sift := 0
	left := s.matched[:0]
	for _, i := range s.matched {
		p := t.patterns[i]
		if plain && p.special || !p.quickly(folded, &s.finds.chars) {
			continue
		}
		if left = append(left, i); p.asks() {
			sift++
		}
	}
	if sift > maxUnsifted || sift > 0 && s.finds.foreign {
		left = t.sift(text, s, left)
	}
	for _, i := range left {
		dst = append(dst, uint32(t.patterns[i].no))
	}
	return dst
}

// maxUnsifted is how many patterns are rather run as automata, should somebody ask, than sifted by a search for all literals, which
// takes some ten times as long as an automaton. Texts with other characters than ASCII are not for automata.
const maxUnsifted = 4

// sift leaves out the patterns that some of their other literals are missing for.
func (t *textSource) sift(text string, s *scratch, patterns []int) []int {
	t.all.find(text, &s.finds)
	for _, id := range s.finds.ids {
		s.hits[id>>6] |= 1 << (id & 63)
	}
	left := patterns[:0]
	for _, i := range patterns {
		if p := t.patterns[i]; !p.asks() || p.can(s.hits) {
			left = append(left, i)
		}
	}
	for _, id := range s.finds.ids {
		s.hits[id>>6] = 0
	}
	return left
}

// asks tells whether the pattern needs to know about other literals than the telling ones.
func (p *pattern) asks() bool { return len(p.sets) > 1 || p.formula != nil }

// quickly tells whether the small sets of literals allow the pattern to hold.
func (p *pattern) quickly(folded []byte, chars *[2]uint64) bool {
	for i := range p.small {
		if !p.small[i].hit(folded, chars) {
			return false
		}
	}
	return true
}

// can tells whether the literals that occur allow the pattern to hold.
func (p *pattern) can(hits []uint64) bool {
	for _, s := range p.sets {
		if !s.meets(hits) {
			return false
		}
	}
	return p.formula == nil || p.formula(hits)
}
