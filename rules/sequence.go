package rules

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// Sequence is the form that alerts when steps happen in order within a span, in one group.
type Sequence struct {
	// Span is the longest time from the first step's first event to the last step's last one, both included.
	Span  time.Duration
	Steps []Step
	// Kept is how many values the steps keep together.
	Kept int
}

// Step is one step of a sequence.
type Step struct {
	Name string
	// Filter is the CEL text as written. Parts of it that compare with kept values are in Compare.
	Filter string
	// Count is how many events make up the step; all of them have the same kept values.
	Count int
	// Absent: such an event, between the steps around it, ends the attempt. The last step can be absent: then the sequence is
	// complete when the span has passed without one.
	Absent bool
	// Keep has the values that later steps compare with, in the order of their names.
	Keep    []Keep
	Compare []Compare
	// Arg is which of the form's arguments tells whether the step's event-only part holds.
	Arg int

	filter *expression // the part that looks at the event alone
}

// Keep is a value that a step carries to later ones.
type Keep struct {
	Name string
	Of   string // CEL text; an event without the value (an empty text) is not the step
	Slot int    // among all values that the sequence keeps
	Arg  int    // which of the form's arguments has it

	of *expression
}

// Compare is a condition of a step's filter that needs a kept value.
type Compare struct {
	Slot int  // the kept value's
	Not  bool // != instead of ==
	Arg  int  // which of the form's arguments has the event's side

	of *expression
}

// trailing tells whether the last step must not happen.
func (s *Sequence) trailing() bool { return s.Steps[len(s.Steps)-1].Absent }

func (s *Sequence) clone() *Sequence {
	c := *s
	c.Steps = slices.Clone(s.Steps)
	for i := range c.Steps {
		c.Steps[i].Keep = slices.Clone(c.Steps[i].Keep)
		c.Steps[i].Compare = slices.Clone(c.Steps[i].Compare)
	}
	return &c
}

func (s *Sequence) meaning(put func(...any)) {
	put("sequence", s.Span)
	for i := range s.Steps {
		st := &s.Steps[i]
		put("step", st.Name, " ", st.Count, " ", st.Absent)
		put("filter", st.filter.canonical)
		for _, k := range st.Keep {
			put("keep", k.Name, " ", k.of.canonical)
		}
		for _, c := range st.Compare {
			put("compare", c.Slot, " ", c.Not, " ", c.of.canonical)
		}
	}
}

// evaluateSteps works out which steps' event-only parts hold, and for those the texts that they keep and compare.
func (r *Rule) evaluateSteps(in *input, args []Arg) {
	for i := range r.Sequence.Steps {
		s := &r.Sequence.Steps[i]
		if !r.accepts(in, s.filter) {
			continue
		}
		args[s.Arg].In = true
		for j := range s.Keep {
			args[s.Keep[j].Arg] = r.textArg(in, s.Keep[j].of)
		}
		for j := range s.Compare {
			args[s.Compare[j].Arg] = r.textArg(in, s.Compare[j].of)
		}
	}
}

// keptValue is a value that steps after the one that keeps it can read.
type keptValue struct {
	name string // STEP.NAME
	typ  *cel.Type
}

// sequence reads the form.
func (b *builder) sequence() {
	raw := b.raw.Sequence
	seq := &Sequence{Span: b.span("sequence.span", raw.Span)}
	b.rule.Form, b.rule.Sequence = FormSequence, seq
	if b.raw.Filter.set() {
		b.fail("filter", b.raw.Filter, "a sequence has no filter of its own: each step has one")
	}
	if n := len(raw.Steps); n < 2 || n > MaxSteps {
		b.fail("sequence.steps", raw.Span, "has %d steps, want 2 to %d", n, MaxSteps)
		return
	}
	var kept []keptValue
	for i := range raw.Steps {
		kept = b.step(seq, i, kept)
	}
	seq.Kept = len(kept)
	if len(b.errs) > 0 {
		return
	}
	b.anyStep(seq)
}

// anyStep makes the rule's filter: one of the steps may be at hand. The Set's index refuses most events by it.
func (b *builder) anyStep(seq *Sequence) {
	parts := make([]string, len(seq.Steps))
	for i := range seq.Steps {
		parts[i] = "(" + seq.Steps[i].filter.text + "\n)"
	}
	x, err := b.env.compile(b.env.events, strings.Join(parts, " || "), nil)
	if err != nil {
		b.fail("sequence.steps", b.raw.Sequence.Span, "the filters of all steps together: %s", err)
		return
	}
	b.rule.filter = x
}

// step reads step i and returns the values kept up to and with it.
func (b *builder) step(seq *Sequence, i int, kept []keptValue) []keptValue {
	raw := &b.raw.Sequence.Steps[i]
	s := Step{Name: raw.Name.Value, Filter: strings.TrimSpace(raw.Filter.Value), Count: 1}
	key := fmt.Sprintf("sequence.steps[%d]", i)
	switch {
	case !raw.Name.set():
		b.fail(key, raw.Filter, "a step needs a name, such as {name: failures, filter: …}")
		return kept
	case !nameRE.MatchString(s.Name):
		b.fail(key, raw.Name, "want a name of lower-case letters, digits and '_'")
		return kept
	case slices.Contains(celReserved(), s.Name) || b.env.prefixes(s.Name):
		b.fail(key, raw.Name, "%s is a word of the language: choose another name, such as %[1]s_step", s.Name)
		return kept
	case slices.ContainsFunc(seq.Steps, func(o Step) bool { return o.Name == s.Name }):
		b.fail(key, raw.Name, "%s is there twice", s.Name)
		return kept
	}
	key = "sequence." + s.Name
	s.Absent = b.truth(key+".absent", raw.Absent)
	if raw.Count.set() {
		s.Count = b.number(key+".count", raw.Count, 1, MaxCount)
	}
	switch {
	case s.Absent && i == 0:
		b.fail(key, raw.Absent, "the first step cannot be absent: there is nothing yet that it would follow")
	case s.Absent && (raw.Count.set() || len(raw.Keep) > 0):
		b.fail(key, raw.Name, "a step that is absent has no count and keeps nothing")
	}
	s.Arg, b.rule.formArgs = b.rule.formArgs, b.rule.formArgs+1
	b.stepFilter(key, raw, &s, kept)
	kept = b.keep(key, raw, &s, kept)
	if b.rule.formArgs > MaxFormArgs {
		b.fail(key, raw.Name, "the steps compare too many values: limit is %d in all", MaxFormArgs)
	}
	seq.Steps = append(seq.Steps, s)
	return kept
}

// prefixes tells whether fields begin with the name and a dot.
func (env *environment) prefixes(name string) bool {
	return slices.ContainsFunc(env.names, func(f string) bool { return f == name || strings.HasPrefix(f, name+".") })
}

// keep reads the values that a step carries to later ones.
func (b *builder) keep(key string, raw *stepYAML, s *Step, kept []keptValue) []keptValue {
	if len(raw.Keep) > MaxKeep {
		b.fail(key+".keep", raw.Name, "keeps %d values, limit is %d", len(raw.Keep), MaxKeep)
	}
	for _, name := range slices.Sorted(maps.Keys(raw.Keep)) {
		v := raw.Keep[name]
		if !nameRE.MatchString(name) || slices.Contains(celReserved(), name) {
			b.fail(key+".keep", v, "want a name of lower-case letters, digits and '_' that is no word of CEL")
			continue
		}
		x := b.expression(key+".keep."+name, v, 0, scalar{}, b.env.events)
		if x == nil {
			continue
		}
		if !x.typ.IsExactType(cel.StringType) && !x.typ.IsExactType(cel.IntType) {
			b.fail(key+".keep."+name, v, "must be a string or an int, this is %s", x.typ)
			continue
		}
		s.Keep = append(s.Keep, Keep{Name: name, Of: strings.TrimSpace(v.Value), Slot: len(kept), Arg: b.rule.formArgs, of: x})
		b.rule.formArgs++
		kept = append(kept, keptValue{s.Name + "." + name, x.typ})
	}
	return kept
}

// stepFilter parts the filter into what looks at the event alone, and comparisons with kept values.
func (b *builder) stepFilter(key string, raw *stepYAML, s *Step, kept []keptValue) {
	key += ".filter"
	e, known := b.env.events, []string(nil)
	if len(kept) > 0 {
		var vars []cel.EnvOption
		known = slices.Clone(b.env.names)
		for _, k := range kept {
			vars, known = append(vars, cel.Variable(k.name, k.typ)), append(known, k.name)
		}
		var err error
		if e, err = e.Extend(vars...); err != nil {
			b.fail(key, raw.Filter, "%s", err)
			return
		}
	}
	if !raw.Filter.set() {
		b.fail(key, raw.Name, "is missing: write a CEL expression")
		return
	}
	x := b.boolean(key, raw.Filter, e, known)
	if x == nil {
		return
	}
	slot := func(e celast.Expr) int {
		name, _ := fieldName(e)
		return slices.IndexFunc(kept, func(k keptValue) bool { return k.name == name })
	}
	reads := func(e celast.Expr) bool { return slot(e) >= 0 }
	var alone []celast.Expr
	for _, part := range conjuncts(x.ast.Expr(), nil) {
		at := refers(part, reads)
		if at == nil {
			alone = append(alone, part)
			continue
		}
		c, side, ok := comparison(part, slot)
		if !ok || refers(side, reads) != nil {
			b.failAt(key, raw.Filter, positionOf(x.text, x.ast, at.ID()), "a kept value can only be compared: `FIELD == STEP.NAME` or `!=`, "+
				"joined to the rest of the filter by &&")
			continue
		}
		if c.of = b.part(key, raw.Filter, x, side); c.of != nil {
			c.Arg = b.rule.formArgs
			b.rule.formArgs++
			s.Compare = append(s.Compare, c)
		}
	}
	s.filter = x
	if len(s.Compare) > 0 {
		s.filter = b.part(key, raw.Filter, x, alone...)
	}
}

// comparison recognises SIDE == STEP.NAME and SIDE != STEP.NAME, and the negation of either.
func comparison(e celast.Expr, slot func(celast.Expr) int) (c Compare, side celast.Expr, ok bool) {
	e, not := stripNot(e)
	if e.Kind() != celast.CallKind {
		return c, nil, false
	}
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.Equals:
		c.Not = not
	case operators.NotEquals:
		c.Not = !not
	default:
		return c, nil, false
	}
	for i, a := range call.Args() {
		if n := slot(a); n >= 0 {
			c.Slot = n
			return c, call.Args()[1-i], true
		}
	}
	return c, nil, false
}

// part compiles parts of an expression, joined by &&, as an expression over the event.
func (b *builder) part(key string, v scalar, x *expression, parts ...celast.Expr) *expression {
	text, err := unparse(x.ast, parts...)
	if err != nil {
		b.fail(key, v, "cannot be taken apart: %s", err)
		return nil
	}
	out, err := b.env.compile(b.env.events, text, nil)
	if err != nil {
		b.fail(key, v, "%s", err)
	}
	return out
}

// span reads a form's span.
func (b *builder) span(key string, v scalar) time.Duration {
	if !v.set() {
		b.fail(key, b.raw.ID, "is missing: write for example 10m")
		return 0
	}
	return b.duration(key, v, time.Second, MaxSpan)
}

// number reads a whole number within bounds.
func (b *builder) number(key string, v scalar, least, most int) int {
	n, err := strconv.Atoi(v.Value)
	if err != nil || n < least || n > most {
		b.fail(key, v, "want %d to %d", least, most)
		return least
	}
	return n
}

// truth reads true or false; false when it is not written.
func (b *builder) truth(key string, v scalar) bool {
	if !v.set() {
		return false
	}
	on, err := strconv.ParseBool(v.Value)
	if err != nil {
		b.fail(key, v, "want true or false")
	}
	return on
}
