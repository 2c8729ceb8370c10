package rules

// index holds what the native forms of all rules share: the texts that they look at, one search for all their literals in
// each, and the patterns. Whatever follows from a text alone is worked out once for it, see memo.go.
type index struct {
	fields  map[string]*field
	sources []*eventText
	texts   []*textSource
	slots   map[textKey]int
}

// textKey names a text: a text field, an entry of a table field, or decode() of either.
type textKey struct {
	field   string
	entry   string // for request.headers["entry"] and ext["entry"]
	decoded bool
}

// eventText is a text as the event has it: a text field or an entry of a table field.
type eventText struct {
	field *field
	entry string
	slots []int // its texts: itself, decoded, or both
	memo  bool  // something follows from the text that is worth remembering
}

// textSource is one text that rules look at.
type textSource struct {
	source  int // in index.sources
	place   int // in source.slots
	decoded bool

	literals []string // folded
	ids      map[string]int
	first    *prefilter // nil when no pattern asks for a literal
	scan     *automaton
	words    int // of a bit set of the literals

	patterns []*pattern
	numbers  map[patternKey]int
	masks    int      // words of a bit set of the patterns
	always   []uint64 // the patterns that ask for no literal
	plain    []uint64 // the patterns that can hold on a text of plain characters alone
}

// patternKey tells patterns on one text apart.
type patternKey struct {
	op   string
	text string
	fold bool
}

// pattern is a test on a text that can only hold when certain literals occur in it, case apart.
type pattern struct {
	sets    []literalSet
	small   []quick                  // those of them with few literals
	formula func(hits []uint64) bool // says more than sets; nil: nothing more
	run     func(text string) bool   // nil: the literals are all that is known
	special bool                     // it needs a character that is not plain
	slow    bool                     // run is, and there is no literal to look for first
}

// literalSet is a set of literals of which one must occur, as a bit set.
type literalSet []uint64

func (s literalSet) hit(hits []uint64) bool {
	for i, w := range s {
		if hits[i]&w != 0 {
			return true
		}
	}
	return false
}

func newIndex() *index {
	x := &index{fields: map[string]*field{}, slots: map[textKey]int{}}
	for _, f := range eventFields() {
		x.fields[f.name] = f
	}
	return x
}

// add gives the rule's expressions their native form.
func (x *index) add(r *Rule) {
	c := &compiler{index: x}
	x.native(c, r.filter)
	for i := range r.Aggregates {
		x.native(c, r.Aggregates[i].where)
		x.native(c, r.Aggregates[i].of)
	}
	x.native(&compiler{index: x, aggregates: r.Aggregates}, r.condition)
}

func (x *index) native(c *compiler, e *expression) {
	if e == nil {
		return
	}
	if e.typ.TypeName() == "bool" {
		e.test = c.test(e.ast.Expr())
	}
	if t, ok := c.textOf(e.ast.Expr()); ok && !t.fold && !t.partial {
		e.native.text = func(in *input) string { return in.slot(t.slot) }
	}
	if n, ok := c.numOf(e.ast.Expr()); ok {
		e.native.num = n
	}
}

// slot returns the slot of a text; false when the field is no text.
func (x *index) slot(k textKey) (int, bool) {
	f := x.fields[k.field]
	if f == nil || f.text == nil && f.addr == nil && (f.tab == nil || k.entry == "") {
		return 0, false
	}
	if i, ok := x.slots[k]; ok {
		return i, true
	}
	no := len(x.texts)
	src := x.source(f, k.entry)
	s := x.sources[src]
	x.texts = append(x.texts, &textSource{source: src, place: len(s.slots), decoded: k.decoded, ids: map[string]int{}, numbers: map[patternKey]int{}})
	s.slots = append(s.slots, no)
	s.memo = s.memo || k.decoded
	x.slots[k] = no
	return no, true
}

func (x *index) source(f *field, entry string) int {
	for i, s := range x.sources {
		if s.field == f && s.entry == entry {
			return i
		}
	}
	x.sources = append(x.sources, &eventText{field: f, entry: entry})
	return len(x.sources) - 1
}

// literals registers literals, in folded form, to be searched for in the slot's text.
func (x *index) literals(slot int, literals []string) literalSet {
	t := x.texts[slot]
	var set literalSet
	for _, s := range literals {
		id, ok := t.ids[s]
		if !ok {
			id = len(t.literals)
			t.ids[s] = id
			t.literals = append(t.literals, s)
		}
		for len(set) <= id>>6 {
			set = append(set, 0)
		}
		set[id>>6] |= 1 << (id & 63)
	}
	return set
}

// pattern makes the test of a pattern on the slot's text. Rules with the same pattern share it, and pay once for a text.
func (x *index) pattern(slot int, k patternKey, p func() *pattern) test {
	t := x.texts[slot]
	id, ok := t.numbers[k]
	if !ok {
		id = len(t.patterns)
		t.numbers[k] = id
		t.patterns = append(t.patterns, p())
		x.sources[t.source].memo = true
	}
	out := test{fn: func(in *input) bool { return in.holds(slot, id) }, cost: costScan}
	if t.patterns[id].slow {
		out.cost = costRegex
	}
	if len(t.patterns[id].sets) > 0 {
		out.need = []mask{{slot, id >> 6, 1 << (id & 63)}}
	}
	return out
}

// build makes the searches once all rules are in.
func (x *index) build() {
	for _, t := range x.texts {
		t.scan = newAutomaton(t.literals)
		t.words = (len(t.literals) + 63) / 64
		t.masks = (len(t.patterns) + 63) / 64
		t.always, t.plain = make([]uint64, t.masks), make([]uint64, t.masks)
		for i, p := range t.patterns {
			if len(p.sets) == 0 {
				t.always[i>>6] |= 1 << (i & 63)
			}
			if !p.special {
				t.plain[i>>6] |= 1 << (i & 63)
			}
		}
		t.first = newPrefilter(t)
	}
}

// search is the scratch memory of searches.
type search struct {
	hits   []uint64 // bit set of literals
	folded []byte
}

// find sets the bits of the patterns whose literals occur in the text, the cheapest search first.
func (t *textSource) find(text string, s *search, possible []uint64) {
	if t.first == nil || !t.first.find(text, possible) {
		copy(possible, t.always)
		return
	}
	var chars [2]uint64
	folded, ascii := appendFolded(s.folded[:0], text, &chars)
	s.folded = folded
	if ascii && isPlain(&chars) {
		if !both(possible, t.plain) {
			copy(possible, t.always)
			return
		}
	}
	scanned := false
	hits := s.hits[:t.words]
	for i, p := range t.patterns {
		bit := uint64(1) << (i & 63)
		switch {
		case t.always[i>>6]&bit != 0:
			possible[i>>6] |= bit
			continue
		case possible[i>>6]&bit == 0:
			continue
		case ascii && !p.quickly(folded, &chars):
			possible[i>>6] &^= bit
			continue
		case !scanned:
			clear(hits)
			t.scan.scan(text, hits)
			scanned = true
		}
		if !p.can(hits) {
			possible[i>>6] &^= bit
		}
	}
}

// both leaves the bits that are in both sets, and tells whether there are any.
func both(a, b []uint64) bool {
	some := uint64(0)
	for i := range a {
		a[i] &= b[i]
		some |= a[i]
	}
	return some != 0
}

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
		if !s.hit(hits) {
			return false
		}
	}
	return p.formula == nil || p.formula(hits)
}
