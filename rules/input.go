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
	values     []Value

	// gen is the event's number. What is cached for an event has it, so that the next one need not wipe it out.
	gen      uint32
	texts    []inputText // by source
	slots    []inputSlot // by slot
	patterns []inputPattern
	dfas     []*dfa // by pattern; nil until it is run
	room     int    // what they may still take, in bytes
	touched  []int  // the sources that were read
	grouped  []int  // the groupings that were asked for
	argued   []int  // the lists of aggregates that were
	groups   []cachedGroup
	shared   []cachedValue
	search   scratch
	found    []uint32
	uri      []byte
	firsts   bitSet // the filters whose first demand is fulfilled
	seconds  bitSet
	accepted bitSet  // the rules that match
	failures []error // of evaluations of the event
	memory   *Memory // of the matches
	own      Memory  // when the caller brings none
	addrs    addrTexts
}

// inputText is what is known of one source of texts for the event.
type inputText struct {
	gen   uint32
	there bool // an entry that need not be there is
	text  string
	memo  *memo // nil until somebody asks for what follows from the text
	memos memos
}

// inputSlot is what is known of one text for the event.
type inputSlot struct {
	gen   uint32
	known *slotMemo
	own   slotMemo // for what is too much to remember

	lowGen uint32
	low    string // lowerAscii() of the text
	buf    []byte
}

// inputPattern is what is known of a pattern for the event.
type inputPattern struct {
	gen     uint32  // its literals occur, or it asks for none and was run
	at      uint32  // its place in slotMemo.list
	verdict verdict // of one that asks for no literal
}

type cachedGroup struct {
	values   []string
	gen      uint32
	complete bool // the event has all of them
}

var _ interpreter.Activation = (*input)(nil)

func newInput(s *Set) *input {
	x := s.index
	in := &input{set: s, texts: make([]inputText, len(x.sources)), slots: make([]inputSlot, len(x.texts)), patterns: make([]inputPattern, len(x.patterns)),
		groups: make([]cachedGroup, len(s.groupings)), shared: make([]cachedValue, len(x.values)), search: newScratch(x),
		firsts: newBitSet(len(x.units)), seconds: newBitSet(len(x.units)), accepted: newBitSet(len(s.rules))}
	in.memory, in.dfas, in.room = &in.own, make([]*dfa, len(x.patterns)), dfaMemory
	for i, src := range x.sources {
		if src.memo {
			in.texts[i].memos = newMemos(x, src)
		}
	}
	return in
}

// begin takes an event up.
func (in *input) begin(e *event.Event) {
	in.ev = e
	if in.gen++; in.gen == 0 { // after four thousand million events
		for i := range in.texts {
			in.texts[i].gen = 0
		}
		for i := range in.slots {
			in.slots[i].gen, in.slots[i].lowGen = 0, 0
		}
		for i := range in.patterns {
			in.patterns[i].gen = 0
		}
		for i := range in.groups {
			in.groups[i].gen = 0
		}
		for i := range in.shared {
			in.shared[i].gen = 0
		}
		in.gen = 1
	}
}

// clear forgets the event, so that the pool does not keep it alive.
func (in *input) clear() {
	in.ev, in.memory = nil, &in.own
	for _, i := range in.touched {
		t := &in.texts[i]
		if t.memo != nil && t.memo == t.memos.once {
			t.memo.decoded = "" // may be a part of the event's text
		}
		t.text, t.memo = "", nil
	}
	for _, i := range in.grouped {
		in.groups[i].values = nil
	}
	for _, i := range in.argued {
		in.shared[i].args = nil
	}
	in.touched, in.grouped, in.argued, in.failures = in.touched[:0], in.grouped[:0], in.argued[:0], in.failures[:0]
}

// source returns the text of the source.
func (in *input) source(i int) string {
	t := &in.texts[i]
	if t.gen != in.gen {
		t.gen, t.memo = in.gen, nil
		t.text, t.there = in.read(in.set.index.sources[i])
		in.touched = append(in.touched, i)
	}
	return t.text
}

// there tells whether the source's text is there: an entry of a table field need not be.
func (in *input) there(i int) bool {
	in.source(i)
	return in.texts[i].there
}

func (in *input) read(s *eventText) (string, bool) {
	switch {
	case s.joined:
		return in.join(), true
	case s.field.text != nil:
		return s.field.text(in.ev), true
	case s.field.addr != nil:
		return in.addrs.text(s.field.addr(in.ev)), true
	}
	text, ok := s.field.tab(in.ev)[s.entry]
	return text, ok
}

// join is the address as sent in memory that is used again: it is valid until the next event.
func (in *input) join() string {
	r := &in.ev.Request
	if r.Query == "" {
		return r.Path
	}
	in.uri = append(append(append(in.uri[:0], r.Path...), '?'), r.Query...)
	return view(in.uri)
}

// memo returns what is known of the source's text.
func (in *input) memo(i int) *memo {
	text := in.source(i)
	t := &in.texts[i]
	if t.memo == nil {
		t.memo = t.memos.of(in.set.index, in.set.index.sources[i], text)
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

// kept is the text in the slot for who keeps it longer than the event is looked at.
func (in *input) kept(i int) string {
	text := in.slot(i)
	if in.set.index.sources[in.set.index.texts[i].source].joined {
		return strings.Clone(text)
	}
	return text
}

// group returns the event's values for the rule's group_by; false when one is missing.
func (in *input) group(r *Rule) ([]string, bool) {
	c := &in.groups[r.signature]
	if c.gen != in.gen {
		c.gen, c.complete, c.values = in.gen, true, in.memory.texts.take(len(r.group))
		in.grouped = append(in.grouped, r.signature)
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

// text evaluates the operand of distinct and top. The empty text means that there is no value.
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
		return "", fmt.Errorf("%s cannot be told apart as text", v.Type())
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

// Parent implements interpreter.Activation.
func (in *input) Parent() interpreter.Activation { return nil }
