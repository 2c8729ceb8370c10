package rules

import (
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// Seen is one call of seenBefore in a filter: the filter holds when the group has, or with Not has not, seen the value within
// the duration before. The values of all events for which the rest of the filter holds are remembered.
type Seen struct {
	Of     string // CEL text of the value; an event without it (an empty text) does not match
	Within time.Duration
	Not    bool

	of *expression
}

// defaultSeen is for how long seenBefore remembers a value when it is not told.
const defaultSeen = 30 * 24 * time.Hour

const seenFunction = "seenBefore"

// seenMessage is what a rule is told that calls seenBefore elsewhere.
const seenMessage = "seenBefore() can only be a condition of its own in the rule's filter, with or without !, joined to the rest by &&"

// seenFunctions declares seenBefore. Calls are taken out of the filter before it runs, so that the binding is never used.
func seenFunctions() []cel.EnvOption {
	var overloads []cel.FunctionOpt
	never := func(...ref.Val) ref.Val { return types.NewErr("%s", seenMessage) }
	for _, t := range []*cel.Type{cel.StringType, cel.IntType} {
		name := "seen_before_" + t.TypeName()
		overloads = append(overloads,
			cel.Overload(name, []*cel.Type{t}, cel.BoolType, cel.FunctionBinding(never)),
			cel.Overload(name+"_duration", []*cel.Type{t, cel.DurationType}, cel.BoolType, cel.FunctionBinding(never)))
	}
	return []cel.EnvOption{cel.Function(seenFunction, overloads...)}
}

// eventFilter compiles the rule's filter, and takes calls of seenBefore out of it.
func (b *builder) eventFilter() {
	v := b.raw.Filter
	if !strings.Contains(v.Value, seenFunction) {
		b.rule.filter = b.boolean("filter", v, b.env.events, nil)
		return
	}
	e, err := b.env.events.Extend(seenFunctions()...)
	if err != nil {
		b.fail("filter", v, "%s", err)
		return
	}
	x := b.boolean("filter", v, e, nil)
	if x == nil {
		return
	}
	var rest []celast.Expr
	for _, part := range conjuncts(x.ast.Expr(), nil) {
		call, not := stripNot(part)
		at := refers(part, callsSeen)
		switch {
		case at == nil:
			rest = append(rest, part)
		case !callsSeen(call) || refers(call.AsCall().Args()[0], callsSeen) != nil:
			begin := positionOf(x.text, x.ast, at.ID()) // CEL has a call begin at its parenthesis
			if strings.HasSuffix(x.text[:begin], seenFunction) {
				begin -= len(seenFunction)
			}
			b.failAt("filter", v, begin, seenMessage)
		default:
			b.seen(x, call.AsCall(), not)
		}
	}
	if len(b.errs) == 0 {
		b.rule.filter = b.part("filter", v, x, rest...)
	}
}

func callsSeen(e celast.Expr) bool {
	return e.Kind() == celast.CallKind && e.AsCall().FunctionName() == seenFunction
}

// seen reads one call of seenBefore.
func (b *builder) seen(x *expression, call celast.CallExpr, not bool) {
	v := b.raw.Filter
	s := Seen{Within: defaultSeen, Not: not}
	if args := call.Args(); len(args) == 2 {
		ns, ok := new(compiler).constant(args[1])
		s.Within = time.Duration(ns)
		if !ok || args[1].Kind() != celast.CallKind || s.Within < time.Second || s.Within > MaxRemember {
			b.failAt("filter", v, positionOf(x.text, x.ast, args[1].ID()), "seenBefore: write the duration out, from duration(\"1s\") to duration(\"8760h\")")
			return
		}
	}
	if s.of = b.part("filter", v, x, call.Args()[0]); s.of == nil {
		return
	}
	if len(b.rule.Seen) == MaxSeen {
		b.fail("filter", v, "limit is %d calls of seenBefore", MaxSeen)
		return
	}
	s.Of = s.of.text
	b.rule.Seen = append(b.rule.Seen, s)
}
