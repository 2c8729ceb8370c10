package rules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
	"github.com/google/cel-go/parser"

	"github.com/warder/warder/internal/event"
)

// Why says how a rule came to its opinion of one event.
type Why struct {
	// Matches is what [Set.Match] says of the rule and the event.
	Matches bool `json:"matches"`
	// Not says why the event does not match although the filter holds; empty otherwise.
	Not string `json:"not,omitempty"`
	// Keys are the index's questions, LetIn those that the event answers. Both are empty when the filter is always evaluated.
	Keys  []string `json:"keys,omitempty"`
	LetIn []string `json:"let_in,omitempty"`
	// SilencedBy names the exception that holds for the event: except[0].
	SilencedBy string `json:"silenced_by,omitempty"`
	// Steps are the filters of a sequence's steps, taken apart, in place of Filter's alternatives; the parts that compare with kept
	// values are left out.
	Steps []StepTerm `json:"steps,omitempty"`
	// Filter is the filter, taken apart; without its calls of seenBefore.
	Filter *Term `json:"filter"`
	// Group has the values of the rule's group_by.
	Group []FieldValue `json:"group,omitempty"`
	// Args is what the event contributes to each aggregate; only when the event matches.
	Args []NamedArg `json:"aggregates,omitempty"`
}

// FieldValue is what the event has for a field or for decode() of one.
type FieldValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// NamedArg is what the event contributes to one aggregate.
type NamedArg struct {
	Name string `json:"name"`
	// In tells whether the event counts for this aggregate.
	In bool `json:"in"`
	// Value is the number that is added up or the text that is told apart; empty for a count.
	Value string `json:"value,omitempty"`
}

// The operators that a filter is taken apart at.
const (
	TermAnd = "and"
	TermOr  = "or"
	TermNot = "not"
	TermIs  = "is" // is not taken apart further
)

// Term is a part of a filter that is true or false.
type Term struct {
	Op   string `json:"op"`
	Text string `json:"text"` // in CEL, macros written out
	// Macro is how the rule wrote the term, where that is a macro: is_login.
	Macro string `json:"macro,omitempty"`
	// Holds is what it was for the event. Every term is evaluated, also those that the result does not depend on.
	Holds bool `json:"holds"`
	// Err is set when the term could not be evaluated; then Holds is false.
	Err string `json:"error,omitempty"`
	// Fields are the values that the term read; only where Op is TermIs.
	Fields []FieldValue `json:"fields,omitempty"`
	// Found are the places that its regular expressions matched.
	Found []string `json:"found,omitempty"`
	Terms []*Term  `json:"terms,omitempty"`
}

// Why evaluates every part of the rule's filter over the event and says what came of each. The rule must be of this Set. It is
// for people: it costs thousands of times what Match costs. Safe for concurrent use.
func (s *Set) Why(r *Rule, e *event.Event) (*Why, error) {
	in := newInput(s)
	in.begin(e)
	filter, err := trace(r.env, r.filter, in)
	if err != nil {
		return nil, fmt.Errorf("rule %s: explain the filter: %w", r.ID, err)
	}
	w := &Why{Keys: r.Keys(), LetIn: s.LetIn(r, e), Filter: filter}
	if w.Steps, err = r.stepTerms(in); err != nil {
		return nil, fmt.Errorf("rule %s: explain the steps: %w", r.ID, err)
	}
	missing := ""
	for i, f := range r.group {
		v := f.value(e)
		w.Group = append(w.Group, FieldValue{r.GroupBy[i], v})
		if v == "" && missing == "" {
			missing = r.GroupBy[i]
		}
	}
	if !w.Filter.Holds {
		return w, nil
	}
	switch {
	case e.Kind != event.Request:
		w.Not = "it is a heartbeat, not a request"
	case e.Refused() && !r.IncludeEnforced:
		w.Not = "Warder itself answered it (enforced.action is " + e.Enforced.Action + "), and the rule has no include_enforced: true"
	case missing != "":
		w.Not = "it has no " + missing + ", which the rule groups by: there is nobody to hold it against"
	case r.silencer(in) >= 0:
		w.SilencedBy = fmt.Sprintf("except[%d]", r.silencer(in))
		w.Not = "silenced by " + w.SilencedBy + exceptionText(&r.Except[r.silencer(in)])
	default:
		w.Matches = true
		w.Args = r.namedArgs(in)
	}
	return w, nil
}

// WhyHolds is [Set.Why] for the rule's condition and the values of its aggregates, in order; nil when there is no condition.
func (r *Rule) WhyHolds(values []Value) (*Term, error) {
	if r.condition == nil || len(values) != len(r.Aggregates) {
		return nil, nil
	}
	t, err := trace(r.env, r.condition, &input{set: r.set, aggregates: r.Aggregates, values: values})
	if err != nil {
		return nil, fmt.Errorf("rule %s: explain the condition: %w", r.ID, err)
	}
	return t, nil
}

func (r *Rule) namedArgs(in *input) []NamedArg {
	var out []NamedArg
	args := r.args(in)
	for i, a := range args[:len(r.Aggregates)] {
		n := NamedArg{Name: r.Aggregates[i].Name, In: a.In}
		switch {
		case !a.In || r.Aggregates[i].of == nil:
		case a.Text != "":
			n.Value = a.Text
		default:
			n.Value = strconv.FormatFloat(a.Number, 'g', -1, 64)
		}
		out = append(out, n)
	}
	return append(out, r.namedFormArgs(args[len(r.Aggregates):])...)
}

// namedFormArgs are the steps that the event can be, and the values that the form looks at.
func (r *Rule) namedFormArgs(args []Arg) []NamedArg {
	var out []NamedArg
	named := func(name string, a Arg) { out = append(out, NamedArg{Name: name, In: a.In, Value: a.Text}) }
	switch r.Form {
	case FormSequence:
		for i := range r.Sequence.Steps {
			named("step "+r.Sequence.Steps[i].Name, args[r.Sequence.Steps[i].Arg])
		}
	case FormFirstSeen, FormRare:
		named("value", args[0])
	}
	for i := range r.Seen {
		named("seenBefore", args[r.formArgs+i])
	}
	return out
}

// tracer has the values of all parts of an expression.
type tracer struct {
	env   *environment
	in    *input
	info  *celast.SourceInfo
	state interpreter.EvalState
	uses  map[int64]string // of macros, by the expression's id
}

// trace evaluates the expression whole: CEL's tracking keeps the value of each part, and no operator stops early.
func trace(env *environment, x *expression, in *input) (*Term, error) {
	checked, err := celast.ToProto(x.ast)
	if err != nil {
		return nil, err
	}
	program, err := env.events.Program(cel.CheckedExprToAst(checked), cel.EvalOptions(cel.OptExhaustiveEval, cel.OptTrackState))
	if err != nil {
		return nil, err
	}
	_, details, err := program.Eval(in)
	if details == nil {
		return nil, err
	}
	t := &tracer{env, in, x.ast.SourceInfo(), details.State(), env.macroUses(x)} // an error of the whole is found at the part that it came from
	return t.term(x.ast.Expr()), nil
}

// term takes the expression apart.
func (t *tracer) term(e celast.Expr) *Term {
	out := &Term{Op: TermIs}
	out.Text, _ = parser.Unparse(e, t.info)
	switch v, _ := t.state.Value(e.ID()); v := v.(type) {
	case types.Bool:
		out.Holds = bool(v)
	case *types.Err:
		out.Err = v.Error()
	case nil:
		out.Err = "was not evaluated"
	default:
		out.Err = "has no value"
	}
	out.Macro = t.uses[e.ID()]
	op, parts := operandsUntil(e, func(e celast.Expr) bool { return t.uses[e.ID()] != "" })
	if op == "" {
		t.leaf(out, e)
		return out
	}
	out.Op = op
	for _, p := range parts {
		out.Terms = append(out.Terms, t.term(p))
	}
	return out
}

// operands returns what a logical operator joins, with those of the same operator within it; "" when e is none.
func operands(e celast.Expr) (op string, parts []celast.Expr) {
	return operandsUntil(e, func(celast.Expr) bool { return false })
}

// operandsUntil is operands that leaves together what whole says.
func operandsUntil(e celast.Expr, whole func(celast.Expr) bool) (op string, parts []celast.Expr) {
	if e.Kind() != celast.CallKind {
		return "", nil
	}
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.LogicalNot:
		return TermNot, call.Args()
	case operators.LogicalAnd:
		op = TermAnd
	case operators.LogicalOr:
		op = TermOr
	default:
		return "", nil
	}
	for _, a := range call.Args() {
		if inner, more := operandsUntil(a, whole); inner == op && !whole(a) {
			parts = append(parts, more...)
		} else {
			parts = append(parts, a)
		}
	}
	return op, parts
}

// leaf adds what the term read and what its patterns found.
func (t *tracer) leaf(out *Term, e celast.Expr) {
	r := &reading{t: t, term: out}
	celast.PreOrderVisit(e, celast.NewExprVisitor(r.visit))
	for _, p := range r.patterns {
		for _, text := range r.texts {
			if loc := p.FindStringIndex(text); loc != nil && loc[1] > loc[0] {
				out.Found = append(out.Found, text[loc[0]:loc[1]])
				break
			}
		}
	}
}

// reading collects the fields and the patterns of a term.
type reading struct {
	t        *tracer
	term     *Term
	texts    []string
	patterns []*regexp.Regexp
}

func (r *reading) visit(e celast.Expr) {
	switch e.Kind() {
	case celast.IdentKind, celast.SelectKind:
		name, _ := chain(e)
		switch f := r.t.env.fields[name]; {
		case f != nil && r.t.in.ev != nil:
			r.field(f)
		case r.t.in.aggregates != nil:
			if v, ok := r.t.in.aggregate(name); ok {
				r.add(name, fmt.Sprint(v.(ref.Val).Value()))
			}
		}
	case celast.CallKind:
		r.call(e.AsCall())
	}
}

func (r *reading) call(call celast.CallExpr) {
	args := call.Args()
	switch {
	case call.FunctionName() == "matches" && len(args) > 0 && args[len(args)-1].Kind() == celast.LiteralKind:
		if s, ok := args[len(args)-1].AsLiteral().(types.String); ok {
			if re, err := regexp.Compile(string(s)); err == nil {
				r.patterns = append(r.patterns, re)
			}
		}
	case call.FunctionName() == "decode" && len(args) == 1:
		name, _ := chain(args[0])
		f := r.t.env.fields[name]
		if f == nil || f.text == nil {
			return
		}
		text := f.text(r.t.in.ev)
		if d := Decode(text); d != text {
			r.add("decode("+name+")", d)
			r.texts = append([]string{d}, r.texts...) // what the pattern saw
		}
	}
}

func (r *reading) add(name, value string) {
	if !slices.ContainsFunc(r.term.Fields, func(v FieldValue) bool { return v.Name == name }) {
		r.term.Fields = append(r.term.Fields, FieldValue{name, value})
	}
}

func (r *reading) field(f *field) {
	e := r.t.in.ev
	switch {
	case f.text != nil, f.addr != nil:
		v := f.value(e)
		r.add(f.name, v)
		r.texts = append(r.texts, v)
	case f.num != nil:
		r.add(f.name, strconv.FormatInt(f.num(e), 10))
	case f.span != nil:
		r.add(f.name, f.span(e).String())
	case f.time != nil:
		r.add(f.name, f.time(e).Format("2006-01-02T15:04:05.999999999Z07:00"))
	case f.list != nil:
		r.add(f.name, fmt.Sprintf("%q", f.list(e)))
		r.texts = append(r.texts, f.list(e)...)
	default:
		r.add(f.name, fmt.Sprintf("%q", f.tab(e))) // fmt prints maps in the order of their keys
		for _, k := range slices.Sorted(maps.Keys(f.tab(e))) {
			r.texts = append(r.texts, f.tab(e)[k])
		}
	}
}
