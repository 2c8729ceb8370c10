package rules

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"

	"github.com/warder/warder/internal/event"
)

// input is what expressions are evaluated over: one event, or the values of one rule's aggregates. It keeps what is worked out
// once an event, and what follows from texts that come again. Inputs are pooled; one goroutine uses one at a time. It is the
// CEL activation, too.
type input struct {
	set *Set
	ev  *event.Event

	// aggregates and values are set instead of ev while a condition is evaluated.
	aggregates []Aggregate
	values     []float64

	texts  []inputText // by source
	slots  []*slotMemo // by slot; nil until somebody asks for the patterns on the text
	groups []cachedGroup
	search search
	memory *Memory // of the matches
	own    Memory  // when the caller brings none
	addrs  addrTexts
}

// inputText is what is known of one source of texts for the event.
type inputText struct {
	text  string
	known bool
	memo  *memo // nil until somebody asks for what follows from the text
	memos memos
}

type cachedGroup struct {
	values   []string
	known    bool
	complete bool // the event has all of them
}

var _ interpreter.Activation = (*input)(nil)

func newInput(s *Set) *input {
	in := &input{set: s, texts: make([]inputText, len(s.index.sources)), slots: make([]*slotMemo, len(s.index.texts)),
		groups: make([]cachedGroup, len(s.groupings))}
	in.memory = &in.own
	words := 0
	for i, src := range s.index.sources {
		if src.memo {
			in.texts[i].memos = newMemos(s.index, src)
		}
	}
	for _, t := range s.index.texts {
		words = max(words, t.words)
	}
	in.search.hits = make([]uint64, words)
	return in
}

// clear forgets the event, so that the pool does not keep it alive.
func (in *input) clear() {
	in.ev, in.memory = nil, &in.own
	for i := range in.texts {
		t := &in.texts[i]
		if t.memo != nil && t.memo == t.memos.once {
			t.memo.decoded = "" // may be a part of the event's text
		}
		t.text, t.known, t.memo = "", false, nil
	}
	clear(in.slots)
	clear(in.groups)
}

// source returns the text of the source.
func (in *input) source(i int) string {
	t := &in.texts[i]
	if !t.known {
		t.text, t.known = in.read(in.set.index.sources[i]), true
	}
	return t.text
}

func (in *input) read(s *eventText) string {
	switch {
	case s.field.text != nil:
		return s.field.text(in.ev)
	case s.field.addr != nil:
		return in.addrs.text(s.field.addr(in.ev))
	}
	return s.field.tab(in.ev)[s.entry]
}

// memo returns what is known of the source's text.
func (in *input) memo(i int) *memo {
	t := &in.texts[i]
	if t.memo == nil {
		t.memo = t.memos.of(in.set.index, in.set.index.sources[i], in.source(i))
	}
	return t.memo
}

// slot returns the text in the slot.
func (in *input) slot(i int) string {
	t := in.set.index.texts[i]
	text := in.source(t.source)
	if !t.decoded || text == "" {
		return text
	}
	m := in.memo(t.source)
	if !m.known {
		m.known = true
		if d := Decode(text); d == text {
			m.same = true
		} else {
			m.decoded = d
		}
	}
	if m.same {
		return text
	}
	return m.decoded
}

// patterns returns what is known of the patterns on the text in the slot.
func (in *input) patterns(i int) *slotMemo {
	if s := in.slots[i]; s != nil {
		return s
	}
	t := in.set.index.texts[i]
	s := &in.memo(t.source).slots[t.place]
	if !s.scanned {
		t.find(in.slot(i), &in.search, s.possible)
		s.scanned = true
	}
	in.slots[i] = s
	return s
}

// holds tells whether a pattern holds on the text in the slot. A pattern of which only the literals are known holds when they
// occur.
func (in *input) holds(slot, id int) bool {
	s := in.patterns(slot)
	word, bit := id>>6, uint64(1)<<(id&63)
	if s.possible[word]&bit == 0 {
		return false
	}
	p := in.set.index.texts[slot].patterns[id]
	if p.run == nil {
		return true
	}
	if s.asked[word]&bit == 0 {
		s.asked[word] |= bit
		s.holds[word] &^= bit
		if p.run(in.slot(slot)) {
			s.holds[word] |= bit
		}
	}
	return s.holds[word]&bit != 0
}

// any tells whether one of the patterns can hold.
func (in *input) any(patterns []mask) bool {
	for i := range patterns {
		m := &patterns[i]
		s := in.slots[m.slot]
		if s == nil {
			s = in.patterns(m.slot)
		}
		if s.possible[m.word]&m.bits != 0 {
			return true
		}
	}
	return false
}

// group returns the event's values for the rule's group_by; false when one is missing.
func (in *input) group(r *Rule) ([]string, bool) {
	c := &in.groups[r.signature]
	if !c.known {
		c.known, c.complete, c.values = true, true, in.memory.texts.take(len(r.group))
		for i, f := range r.group {
			c.values[i] = in.value(f)
			c.complete = c.complete && c.values[i] != ""
		}
	}
	return c.values, c.complete
}

// value is field.value with a memory for addresses.
func (in *input) value(f *field) string {
	if f.addr != nil {
		return in.addrs.text(f.addr(in.ev))
	}
	return f.value(in.ev)
}

// number evaluates the operand of sum.
func (in *input) number(x *expression) (float64, error) {
	if x.native.num != nil {
		return float64(x.native.num(in)), nil
	}
	v, err := x.eval(in)
	if err != nil {
		return 0, err
	}
	switch v := v.(type) {
	case types.Int:
		return float64(v), nil
	case types.Double:
		return float64(v), nil
	}
	return 0, fmt.Errorf("sum: %s is no number", v.Type())
}

// text evaluates the operand of distinct. The empty text means that there is no value.
func (in *input) text(x *expression) (string, error) {
	switch {
	case x.native.text != nil:
		return x.native.text(in), nil
	case x.native.num != nil:
		return strconv.FormatInt(x.native.num(in), 10), nil
	}
	v, err := x.eval(in)
	if err != nil {
		return "", err
	}
	if s, ok := v.(types.String); ok {
		return string(s), nil
	}
	s, ok := v.ConvertToType(types.StringType).(types.String)
	if !ok {
		return "", fmt.Errorf("distinct: %s cannot be told apart as text", v.Type())
	}
	return string(s), nil
}

// ResolveName implements interpreter.Activation: it looks up a whole dotted name.
func (in *input) ResolveName(name string) (any, bool) {
	if in.aggregates != nil {
		return in.aggregate(name)
	}
	if plain, ok := strings.CutPrefix(name, decodedPrefix); ok {
		i, ok := in.set.index.slots[textKey{field: plain, decoded: true}]
		if !ok {
			return nil, false
		}
		return types.String(in.slot(i)), true
	}
	f := in.set.index.fields[name]
	if f == nil {
		return nil, false
	}
	switch {
	case f.text != nil:
		return types.String(f.text(in.ev)), true
	case f.addr != nil:
		return types.String(in.addrs.text(f.addr(in.ev))), true
	case f.num != nil:
		return types.Int(f.num(in.ev)), true
	case f.span != nil:
		return types.Duration{Duration: f.span(in.ev)}, true
	case f.time != nil:
		return types.Timestamp{Time: f.time(in.ev)}, true
	case f.list != nil:
		return types.NewStringList(types.DefaultTypeAdapter, f.list(in.ev)), true
	}
	return types.NewStringStringMap(types.DefaultTypeAdapter, f.tab(in.ev)), true
}

func (in *input) aggregate(name string) (any, bool) {
	for i := range in.aggregates {
		if a := &in.aggregates[i]; a.Name == name {
			if a.integer {
				return types.Int(in.values[i]), true
			}
			return types.Double(in.values[i]), true
		}
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (in *input) Parent() interpreter.Activation { return nil }
