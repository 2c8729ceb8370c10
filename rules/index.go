package rules

import (
	"strings"

	"github.com/warder/warder/internal/event"
)

// index holds what the native forms of all rules share: the texts that they look at and one search for all their literals
// in each. A text's literals are searched for in one pass, at the first rule that asks.
type index struct {
	fields map[string]*field
	texts  []*textSource
	slots  map[textKey]int
	// patterns numbers the regular expressions by slot and text, so that rules with the same one pay once an event.
	patterns map[slotPattern]int
}

type slotPattern struct {
	slot    int
	pattern string
}

// textKey names a text: a text field, an entry of a table field, or decode() of either.
type textKey struct {
	field   string
	entry   string // for request.headers["entry"] and ext["entry"]
	decoded bool
}

// textSource is one text that rules look at.
type textSource struct {
	field    *field
	key      textKey
	literals []string // in lower case
	ids      map[string]int
	scan     *automaton
}

func newIndex() *index {
	x := &index{fields: map[string]*field{}, slots: map[textKey]int{}, patterns: map[slotPattern]int{}}
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
	x.slots[k] = len(x.texts)
	x.texts = append(x.texts, &textSource{field: f, key: k, ids: map[string]int{}})
	return x.slots[k], true
}

// literal registers a literal to be searched for in the slot's text, and returns its number there.
func (x *index) literal(slot int, s string) int {
	t, s := x.texts[slot], strings.ToLower(s)
	id, ok := t.ids[s]
	if !ok {
		id = len(t.literals)
		t.ids[s] = id
		t.literals = append(t.literals, s)
	}
	return id
}

// once makes a test of a pattern on a text remember its outcome for the event.
func (x *index) once(slot int, pattern string, run func(*input) bool) func(*input) bool {
	k := slotPattern{slot, pattern}
	id, ok := x.patterns[k]
	if !ok {
		id = len(x.patterns)
		x.patterns[k] = id
	}
	return func(in *input) bool {
		switch in.outcomes[id] {
		case yes:
			return true
		case no:
			return false
		}
		if run(in) {
			in.outcomes[id] = yes
			return true
		}
		in.outcomes[id] = no
		return false
	}
}

// build makes the searches once all rules are in.
func (x *index) build() {
	for _, t := range x.texts {
		t.scan = newAutomaton(t.literals)
	}
}

// read returns the event's text.
func (t *textSource) read(e *event.Event) string {
	s := ""
	switch {
	case t.field.text != nil:
		s = t.field.text(e)
	case t.field.addr != nil:
		s = addrText(t.field.addr(e))
	default:
		s = t.field.tab(e)[t.key.entry]
	}
	if t.key.decoded {
		return Decode(s)
	}
	return s
}
