package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	celast "github.com/google/cel-go/common/ast"
)

// Macros are written out in the parsed expression, before types are checked: a parameter stands for an expression and not for
// text, so that no parentheses are needed, and names that a comprehension binds on one side are not confused with names of the other.

// origin says where a part of an expression was written, when that is in a macro.
type origin struct {
	macro *macro
	at    int // byte offset in its text
}

// expander writes out the macros of one expression, in place.
type expander struct {
	env     *environment
	text    string
	ast     *celast.AST
	info    *celast.SourceInfo
	params  []string // of the macro that is written out: they hide macros
	known   []string // aggregates of the condition: they hide macros, and macros can mean them
	make    celast.ExprFactory
	next    int64
	size    int
	origins map[int64]origin
	errs    []*fault
}

func newExpander(env *environment, text string, a *celast.AST, params, known []string) *expander {
	return &expander{env: env, text: text, ast: a, info: a.SourceInfo(), params: params, known: known, make: celast.NewExprFactory(),
		origins: map[int64]origin{}}
}

// run writes out all macros. The error is one or more *fault.
func (x *expander) run() error {
	if len(x.env.macros) == 0 || len(x.env.macrosIn(x.ast)) == 0 {
		return nil
	}
	x.next, x.size = celast.MaxID(x.ast)+1, celast.NodeCount(x.ast)
	for id := range x.info.MacroCalls() {
		x.next = max(x.next, id+1)
	}
	scope := map[string]bool{}
	for _, k := range slices.Concat(x.params, x.known) {
		scope[k] = true
	}
	x.expr(x.ast.Expr(), scope)
	if x.env.expanded += x.size; x.env.expanded > maxExpandedAll {
		x.fail(x.ast.Expr(), "too large: with their macros written out all expressions together have more than %d parts", maxExpandedAll)
	}
	var errs []error
	for _, f := range x.errs {
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}

func (x *expander) fail(e celast.Expr, format string, args ...any) {
	f := faultOf(x.text, x.ast, e, fmt.Sprintf(format, args...))
	known := slices.ContainsFunc(x.errs, func(o *fault) bool { return *o == *f }) // a part can be met twice, see MacroCalls
	if !known && len(x.errs) < 5 {
		x.errs = append(x.errs, f)
	}
}

// expr writes out the macros in e. The scope has the names that are bound around it.
func (x *expander) expr(e celast.Expr, scope map[string]bool) {
	if len(x.errs) > 0 && x.size > maxExpanded {
		return
	}
	switch e.Kind() {
	case celast.UnspecifiedExprKind: // stands for a part that has its own turn
	case celast.IdentKind:
		x.ident(e, scope)
	case celast.ComprehensionKind:
		x.comprehension(e, scope)
	default:
		for _, c := range children(e) {
			x.expr(c, scope)
		}
		if call, ok := x.info.GetMacroCall(e.ID()); ok {
			x.expr(call, scope)
		}
		if e.Kind() == celast.CallKind {
			x.call(e, scope)
		}
	}
}

func (x *expander) ident(e celast.Expr, scope map[string]bool) {
	m := x.env.macros[e.AsIdent()]
	switch {
	case m == nil || scope[e.AsIdent()]:
	case len(m.params) > 0:
		x.fail(e, "the macro %s takes %d arguments", m.name, len(m.params))
	default:
		x.replace(e, m, nil, scope)
	}
}

func (x *expander) call(e celast.Expr, scope map[string]bool) {
	c := e.AsCall()
	m := x.env.macros[c.FunctionName()]
	switch {
	case m == nil || c.IsMemberFunction():
	case len(m.params) == 0:
		x.fail(e, "the macro %s takes no arguments: write %[1]s", m.name)
	case len(m.params) != len(c.Args()):
		x.fail(e, "the macro %s takes %d arguments, not %d", m.name, len(m.params), len(c.Args()))
	default:
		x.replace(e, m, c.Args(), scope)
	}
}

func (x *expander) comprehension(e celast.Expr, scope map[string]bool) {
	c := e.AsComprehension()
	x.expr(c.IterRange(), scope)
	x.expr(c.AccuInit(), scope)
	inner := maps.Clone(scope)
	inner[c.AccuVar()] = true
	x.expr(c.Result(), inner)
	for _, v := range []string{c.IterVar(), c.IterVar2()} {
		if v != "" {
			inner[v] = true
		}
	}
	x.expr(c.LoopCondition(), inner)
	x.expr(c.LoopStep(), inner)
	if call, ok := x.info.GetMacroCall(e.ID()); ok {
		x.expr(call, inner)
	}
}

// replace makes e the macro's body.
func (x *expander) replace(e celast.Expr, m *macro, args []celast.Expr, scope map[string]bool) {
	if m.body == nil { // its own fault is reported
		x.fail(e, "the macro %s is faulty: see %s:%d", m.name, m.src.file, m.line)
		return
	}
	for name := range m.free {
		if scope[name] && !slices.Contains(x.known, name) {
			x.fail(e, "the variable %s hides what the macro %s means by that name: rename the variable", name, m.name)
			return
		}
	}
	m.use()
	c := &copier{x: x, from: m, site: e.ID(), taken: map[string]bool{}, ids: map[int64]int64{}}
	env := map[string]celast.Expr{}
	for i, p := range m.params {
		env[p] = args[i]
		maps.Copy(c.taken, freeNames(args[i]))
	}
	out := c.expr(m.body.Expr(), env)
	if x.size > maxExpanded {
		x.fail(e, "too large: with its macros written out the expression has more than %d parts", maxExpanded)
		return
	}
	if o, ok := x.origins[out.ID()]; ok {
		x.origins[e.ID()] = o
	}
	x.info.ClearMacroCall(e.ID())
	if call, ok := x.info.GetMacroCall(out.ID()); ok {
		x.info.SetMacroCall(e.ID(), call)
	}
	e.SetKindCase(out)
}

// children returns the parts of an expression that is no comprehension.
func children(e celast.Expr) []celast.Expr {
	var out []celast.Expr
	switch e.Kind() {
	case celast.CallKind:
		c := e.AsCall()
		if c.IsMemberFunction() {
			out = append(out, c.Target())
		}
		out = append(out, c.Args()...)
	case celast.SelectKind:
		out = append(out, e.AsSelect().Operand())
	case celast.ListKind:
		out = append(out, e.AsList().Elements()...)
	case celast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			out = append(out, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
	case celast.StructKind:
		for _, f := range e.AsStruct().Fields() {
			out = append(out, f.AsStructField().Value())
		}
	}
	return out
}

// freeNames returns the names in e that nothing in it binds.
func freeNames(e celast.Expr) map[string]bool {
	out := map[string]bool{}
	collectFree(e, map[string]int{}, out)
	return out
}

func collectFree(e celast.Expr, bound map[string]int, out map[string]bool) {
	switch e.Kind() {
	case celast.IdentKind:
		if bound[e.AsIdent()] == 0 {
			out[e.AsIdent()] = true
		}
	case celast.ComprehensionKind:
		c := e.AsComprehension()
		collectFree(c.IterRange(), bound, out)
		collectFree(c.AccuInit(), bound, out)
		bound[c.AccuVar()]++
		collectFree(c.Result(), bound, out)
		bound[c.IterVar()]++
		bound[c.IterVar2()]++
		collectFree(c.LoopCondition(), bound, out)
		collectFree(c.LoopStep(), bound, out)
		bound[c.AccuVar()]--
		bound[c.IterVar()]--
		bound[c.IterVar2()]--
	default:
		for _, part := range children(e) {
			collectFree(part, bound, out)
		}
	}
}

// place moves faults that are about a part of a macro to where it was written.
func (x *expander) place(err error) {
	for _, f := range faults(err) {
		if o, ok := x.origins[f.id]; ok && f.id != 0 {
			f.macro, f.at, f.site = o.macro, o.at, f.at
		}
	}
}
