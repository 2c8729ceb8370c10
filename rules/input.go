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
// once an event. Inputs are pooled; one goroutine uses one at a time. It is the CEL activation, too.
type input struct {
	set *Set
	ev  *event.Event

	// aggregates and values are set instead of ev while a condition is evaluated.
	aggregates []Aggregate
	values     []float64

	texts    []cachedText // by text slot
	groups   []cachedGroup
	outcomes []outcome // by pattern number
}

// outcome is what a pattern came to on its text.
type outcome uint8

// The outcomes; the zero value is "not asked yet".
const (
	yes outcome = iota + 1
	no
)

// cachedText is what is known of one text of the event.
type cachedText struct {
	value   string
	known   bool
	scanned bool
	hits    []uint64 // bit set of the literals that occur, valid when scanned
}

type cachedGroup struct {
	values []string // nil when the event lacks one
	known  bool
}

var _ interpreter.Activation = (*input)(nil)

func newInput(s *Set) *input {
	in := &input{set: s, texts: make([]cachedText, len(s.index.texts)), groups: make([]cachedGroup, len(s.groupings)), outcomes: make([]outcome, len(s.index.patterns))}
	for i, t := range s.index.texts {
		in.texts[i].hits = make([]uint64, (len(t.literals)+63)/64)
	}
	return in
}

// clear forgets the event, so that the pool does not keep it alive.
func (in *input) clear() {
	in.ev, in.aggregates = nil, nil
	for i := range in.texts {
		t := &in.texts[i]
		t.value, t.known, t.scanned = "", false, false
	}
	clear(in.groups)
	clear(in.outcomes)
}

// slot returns the text in the slot, worked out at the first use.
func (in *input) slot(i int) string {
	c := &in.texts[i]
	if !c.known {
		c.value, c.known = in.set.index.texts[i].read(in.ev), true
	}
	return c.value
}

// hits returns which literals occur in the text in the slot, case apart.
func (in *input) hits(i int) []uint64 {
	s := in.slot(i)
	c := &in.texts[i]
	if !c.scanned {
		clear(c.hits)
		in.set.index.texts[i].scan.scan(s, c.hits)
		c.scanned = true
	}
	return c.hits
}

// group returns the event's values for the rule's group_by; false when one is missing.
func (in *input) group(r *Rule) ([]string, bool) {
	c := &in.groups[r.signature]
	if !c.known {
		c.known, c.values = true, make([]string, len(r.group))
		for i, f := range r.group {
			if c.values[i] = f.value(in.ev); c.values[i] == "" {
				c.values = nil
				break
			}
		}
	}
	return c.values, c.values != nil
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
		return types.String(addrText(f.addr(in.ev))), true
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
