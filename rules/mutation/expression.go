package mutation

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/cel-go/common"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/parser"

	"github.com/warder/warder/rules"
)

// parse reads an expression as it is written: macros stay calls, so that what is in them can be changed like all else.
func parse(text string) *celast.AST {
	p, err := parser.NewParser(parser.EnableOptionalSyntax(true), parser.MaxRecursionDepth(100), parser.ExpressionSizeCodePointLimit(rules.MaxExpr))
	if err != nil {
		return nil
	}
	a, issues := p.Parse(common.NewTextSource(text))
	if len(issues.GetErrors()) > 0 {
		return nil
	}
	return a
}

// editor makes the mutants of one expression.
type editor struct {
	rule  *rules.Rule
	part  rules.Part
	ast   *celast.AST
	fac   celast.ExprFactory
	whole string          // the expression, written by CEL
	seen  map[string]bool // texts of mutants
	regex map[int64]bool  // literals that are regular expressions
	spans map[int64]bool  // literals that are durations
	out   []Mutant
}

// expression lists the changes to one of the rule's expressions.
func expression(r *rules.Rule, p rules.Part) []Mutant {
	ed := &editor{rule: r, part: p, ast: parse(p.Text), fac: celast.NewExprFactory(), regex: map[int64]bool{}, spans: map[int64]bool{}}
	if ed.ast == nil {
		return nil
	}
	ed.whole = ed.write(ed.ast.Expr())
	ed.seen = map[string]bool{ed.whole: true}
	celast.PreOrderVisit(ed.ast.Expr(), celast.NewExprVisitor(ed.patterns))
	if !value(p.Name) {
		ed.logic(ed.ast.Expr(), "")
	}
	celast.PreOrderVisit(ed.ast.Expr(), celast.NewExprVisitor(ed.visit))
	return ed.out
}

// value tells whether the part is a value, which need not be true or false.
func value(part string) bool {
	return strings.HasSuffix(part, ".of") || strings.HasSuffix(part, ".value") || strings.HasPrefix(part, "sequence.") && strings.Contains(part, ".keep.")
}

// write is the expression as text; "" when CEL cannot write it.
func (ed *editor) write(e celast.Expr) string {
	text, err := parser.Unparse(e, celast.NewSourceInfo(nil))
	if err != nil {
		return ""
	}
	return text
}

// put adds the mutant in which the node with the id of at is replaced.
func (ed *editor) put(kind Kind, at, by celast.Expr) {
	text := ed.write(replaced(ed.fac, ed.ast.Expr(), at.ID(), by))
	if text == "" || ed.seen[text] {
		return
	}
	ed.seen[text] = true
	m := Mutant{Rule: ed.rule.ID, Kind: kind, Part: ed.part.Name, File: ed.rule.File, rule: ed.rule,
		Change: short(ed.write(at)) + " → " + short(ed.write(by)), variation: rules.Variation{Part: ed.part.Name, Text: text}}
	m.Line, m.Column = ed.part.Place(ed.start(at))
	ed.out = append(ed.out, m)
}

// replaced is a copy of the expression with another node in the place of the one with the id.
func replaced(fac celast.ExprFactory, e celast.Expr, id int64, by celast.Expr) celast.Expr {
	c := fac.CopyExpr(e)
	if c.ID() == id {
		return fac.CopyExpr(by)
	}
	var at celast.Expr
	celast.PreOrderVisit(c, celast.NewExprVisitor(func(x celast.Expr) {
		if x.ID() == id {
			at = x
		}
	}))
	if at != nil { // only now: what comes in its place may hold a node with the same id
		at.SetKindCase(fac.CopyExpr(by))
	}
	return c
}

// start is the byte offset at which the node's text begins: that of its leftmost part.
func (ed *editor) start(e celast.Expr) int {
	least := int32(-1)
	celast.PreOrderVisit(e, celast.NewExprVisitor(func(x celast.Expr) {
		if r, ok := ed.ast.SourceInfo().GetOffsetRange(x.ID()); ok && (least < 0 || r.Start < least) {
			least = r.Start
		}
	}))
	at := 0
	for range max(least, 0) {
		_, n := utf8.DecodeRuneInString(ed.part.Text[at:])
		at += n
	}
	return min(at, len(ed.part.Text))
}

// maxShown bounds what a report shows of an expression, in runes.
const maxShown = 70

func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxShown {
		return string(r[:maxShown-1]) + "…"
	}
	return s
}

// logic drops and negates what && and || join, at every level.
func (ed *editor) logic(e celast.Expr, outer string) {
	op, parts := joined(e, outer)
	if op == "" {
		ed.negate(e)
		return
	}
	for i := range parts {
		rest := append(append([]celast.Expr{}, parts[:i]...), parts[i+1:]...)
		ed.drop(e, parts[i], ed.join(op, rest))
	}
	for _, p := range parts {
		ed.logic(p, op)
	}
}

// drop is put for an operand: the report shows the operand alone.
func (ed *editor) drop(whole, operand, rest celast.Expr) {
	n := len(ed.out)
	ed.put(Drop, whole, rest)
	if len(ed.out) > n {
		m := &ed.out[n]
		m.Change = "without " + short(ed.write(operand))
		m.Line, m.Column = ed.part.Place(ed.start(operand))
	}
}

func (ed *editor) negate(e celast.Expr) {
	if e.Kind() == celast.CallKind {
		call := e.AsCall()
		switch call.FunctionName() {
		case operators.LogicalNot:
			ed.put(Negate, e, call.Args()[0])
			ed.logic(call.Args()[0], "")
			return
		case operators.Conditional:
			for _, a := range call.Args() {
				ed.logic(a, "")
			}
			return
		case operators.Equals, operators.NotEquals: // compare does that
			return
		case "exists", "all", "bind":
			if args := call.Args(); call.IsMemberFunction() && len(args) > 0 {
				ed.logic(args[len(args)-1], "")
			}
		}
	}
	if e.Kind() != celast.LiteralKind {
		ed.put(Negate, e, ed.fac.NewCall(0, operators.LogicalNot, e))
	}
}

// joined returns what the operator && or || joins, with those of the same operator within it; none when that is part of outer.
func joined(e celast.Expr, outer string) (op string, parts []celast.Expr) {
	if e.Kind() != celast.CallKind {
		return "", nil
	}
	op = e.AsCall().FunctionName()
	if op != operators.LogicalAnd && op != operators.LogicalOr || op == outer {
		return "", nil
	}
	for _, a := range e.AsCall().Args() {
		if inner, more := joined(a, ""); inner == op {
			parts = append(parts, more...)
		} else {
			parts = append(parts, a)
		}
	}
	return op, parts
}

func (ed *editor) join(op string, parts []celast.Expr) celast.Expr {
	e := parts[0]
	for _, p := range parts[1:] {
		e = ed.fac.NewCall(0, op, e, p)
	}
	return e
}

// patterns notes which literals are regular expressions, and which durations.
func (ed *editor) patterns(e celast.Expr) {
	if e.Kind() != celast.CallKind {
		return
	}
	switch call := e.AsCall(); call.FunctionName() {
	case "duration":
		for _, a := range call.Args() {
			ed.spans[a.ID()] = true
		}
	case "matches", "extract", "extractAll", "replace", "regex.extract", "regex.extractAll", "regex.replace":
		for _, a := range call.Args() {
			if s, ok := stringOf(a); ok && (call.FunctionName() == "matches" || strings.ContainsAny(s, `\[(`)) {
				ed.regex[a.ID()] = true
			}
		}
	}
}

func stringOf(e celast.Expr) (string, bool) {
	if e.Kind() != celast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

// comparisons says which operator takes another's place.
func comparisons() map[string]string {
	return map[string]string{
		operators.Less: operators.LessEquals, operators.LessEquals: operators.Less,
		operators.Greater: operators.GreaterEquals, operators.GreaterEquals: operators.Greater,
		operators.Equals: operators.NotEquals, operators.NotEquals: operators.Equals,
	}
}

// visit changes operators, lists and literals.
func (ed *editor) visit(e celast.Expr) {
	switch e.Kind() {
	case celast.CallKind:
		call := e.AsCall()
		if other, ok := comparisons()[call.FunctionName()]; ok && len(call.Args()) == 2 {
			ed.put(Compare, e, ed.fac.NewCall(0, other, call.Args()...))
		}
	case celast.ListKind:
		ed.list(e)
	case celast.LiteralKind:
		ed.literal(e)
	}
}

func (ed *editor) list(e celast.Expr) {
	all := e.AsList().Elements()
	if len(all) < 2 {
		return
	}
	for i := range all {
		rest := append(append([]celast.Expr{}, all[:i]...), all[i+1:]...)
		ed.drop(e, all[i], ed.fac.NewList(0, rest, nil))
		if n := len(ed.out); n > 0 && ed.out[n-1].Kind == Drop && strings.HasPrefix(ed.out[n-1].Change, "without ") {
			ed.out[n-1].Kind = Element
		}
	}
}

func (ed *editor) literal(e celast.Expr) {
	var others []ref.Val
	kind := Number
	switch v := e.AsLiteral().(type) {
	case types.Int:
		others = []ref.Val{v + 1, v - 1, v * 2}
	case types.Double:
		others = []ref.Val{v + 1, v - 1, v * 2}
	case types.Uint:
		others = []ref.Val{v + 1, v * 2}
	case types.String:
		if kind = Text; ed.regex[e.ID()] {
			kind = Pattern
			for _, p := range withoutAlternatives(string(v)) {
				others = append(others, types.String(p))
			}
		}
		if ed.spans[e.ID()] {
			kind, others = Window, spans(string(v))
		} else if len(others) == 0 {
			others = []ref.Val{v + "§"}
		}
	}
	for _, o := range others {
		ed.put(kind, e, ed.fac.NewLiteral(0, o))
		if n := len(ed.out); kind == Pattern && len(others) > 1 && n > 0 && ed.out[n-1].variation.Text != "" {
			ed.nameAlternative(&ed.out[n-1], e, o)
		}
	}
}

// spans are twice and half the duration.
func spans(text string) []ref.Val {
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil
	}
	return []ref.Val{types.String(rules.Span(2 * d)), types.String(rules.Span(d / 2))}
}
