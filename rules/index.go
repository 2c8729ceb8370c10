package rules

import (
	"cmp"
	"regexp"
	"slices"
)

// index decides which rules an event is looked at with, and holds what the native forms of all rules share: the texts that they look
// at, one search for all their literals in each, and the patterns. It is immutable once built.
//
// From each filter it knows one or two demands: keys of which the event must have one for the filter to hold, see keys.go. An event
// is looked up in tables of the keys, see lookup.go, and only the filters behind those that it has are evaluated. So an event costs
// what it has in common with the rules, not their number. Filters that say the same are one, and everything that follows from a
// text alone is worked out once for it, see memo.go.
type index struct {
	fields   map[string]*field
	sources  []*eventText
	texts    []*textSource
	slots    map[textKey]int
	patterns []*pattern
	regexes  map[string]*regexp.Regexp
	class    *[256]uint8

	units  []*unit
	byText map[string]*unit
	lookup lookup
	always sparse   // the units without a demand
	single []uint64 // the units with one demand

	values map[string]int // numbers of the aggregates' expressions that rules share, and of lists of aggregates
}

// unit is a filter, and the rules that have it.
type unit struct {
	no       int
	filter   *expression
	must     []demand
	rules    []*Rule
	numbers  sparse // of the rules
	enforced bool   // one of them takes events in that Warder answered
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
	// joined is set for request.uri, which the event does not have in one piece.
	joined bool
}

func newIndex() *index {
	x := &index{fields: map[string]*field{}, slots: map[textKey]int{}, regexes: map[string]*regexp.Regexp{}, class: classes(),
		byText: map[string]*unit{}, values: map[string]int{}}
	for _, f := range eventFields() {
		x.fields[f.name] = f
	}
	return x
}

// add gives the rule's expressions their native form. Rules are added in id order.
func (x *index) add(r *Rule, no int) {
	c := &compiler{index: x, lists: r.lists}
	key := r.scope() + r.filter.canonical
	u := x.byText[key]
	if u == nil {
		x.native(c, r.filter)
		u = &unit{filter: r.filter, must: chosen(r.filter.test.must)}
		x.byText[key] = u
		x.units = append(x.units, u)
	} else {
		r.filter.test, r.filter.native = u.filter.test, u.filter.native
	}
	r.unit = u
	u.rules, u.numbers = append(u.rules, r), u.numbers.with(no)
	u.enforced = u.enforced || r.IncludeEnforced
	for i := range r.Except {
		x.native(c, r.Except[i].when)
	}
	for i := range r.Aggregates {
		x.native(c, r.Aggregates[i].where)
		x.native(c, r.Aggregates[i].of)
		x.share(r, r.Aggregates[i].where)
	}
	x.shareArgs(r)
	r.formExpressions(func(e **expression) { x.native(c, *e) })
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
		e.native.text = func(in *input) string { return in.kept(t.slot) }
	}
	if text, ok := c.replaceOf(e.ast.Expr()); ok {
		e.native.text = text
	}
	if n, ok := c.numOf(e.ast.Expr()); ok && n.total() {
		e.native.num = n.get
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
	x.texts = append(x.texts, &textSource{key: k, source: src, place: len(s.slots), decoded: k.decoded, ids: map[string]int{}, numbers: map[patternKey]*pattern{}})
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
	x.sources = append(x.sources, &eventText{field: f, entry: entry, joined: f.name == "request.uri"})
	return len(x.sources) - 1
}

// regex compiles each expression once.
func (x *index) regex(expr string) (*regexp.Regexp, error) {
	if re := x.regexes[expr]; re != nil {
		return re, nil
	}
	re, err := regexp.Compile(expr)
	if err == nil {
		x.regexes[expr] = re
	}
	return re, err
}

// build makes the searches and tables once all rules are in.
func (x *index) build() {
	for _, t := range x.texts {
		t.build(x)
	}
	// Filters with the same key stand side by side, so that few words of a bit set name them.
	slices.SortStableFunc(x.units, func(a, b *unit) int { return cmp.Compare(a.order(x), b.order(x)) })
	x.single = make([]uint64, (len(x.units)+63)/64)
	for i, u := range x.units {
		u.no = i
		if len(u.must) < 2 {
			x.single[i>>6] |= 1 << (i & 63)
		}
		if len(u.must) == 0 {
			x.always = x.always.with(i)
		}
		for rank, d := range u.must {
			for _, k := range d.keys {
				x.lookup.add(x, k, u.no, rank == 1)
			}
		}
	}
	x.lookup.build()
}

// order is the text of a unit's first key.
func (u *unit) order(x *index) string {
	if len(u.must) == 0 {
		return ""
	}
	return u.must[0].keys[0].String(x)
}
