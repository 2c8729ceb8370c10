package rules

import (
	"fmt"
	"slices"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/parser"
)

// logic looks for what in a rule's expressions can never or must always hold, and for what is said twice. It understands comparisons
// of one name with literals, and equal text; of all else it takes no notice. It never calls something impossible that is not.
func (l *linter) logic() {
	r := l.rule
	look := func(name string, x *expression, known domains, given []bound) []bound {
		if x == nil || !x.typ.IsExactType(celBool()) {
			return nil
		}
		g := &logician{l: l, part: l.part(name, x), x: x, known: known}
		return g.whole(x.ast.Expr(), given)
	}
	var given []bound
	if r.Form == FormSequence {
		for i := range r.Sequence.Steps {
			s := &r.Sequence.Steps[i]
			look("sequence."+s.Name+".filter", s.filter, fieldDomain, nil)
		}
	} else {
		given = look("filter", r.filter, fieldDomain, nil)
	}
	for i := range r.Except {
		if x := &r.Except[i]; !x.inherited {
			look(fmt.Sprintf("except[%d].when", i), x.when, fieldDomain, given)
		}
	}
	for i := range r.Aggregates {
		look("aggregates."+r.Aggregates[i].Name+".where", r.Aggregates[i].where, fieldDomain, given)
	}
	look("condition", r.condition, aggregateDomain(r), nil)
}

// logician looks through one expression.
type logician struct {
	l     *linter
	part  Part
	x     *expression
	known domains
}

// whole looks at the expression where the bounds are given, and returns those that hold wherever it does.
func (g *logician) whole(e celast.Expr, given []bound) []bound {
	op, parts := operands(e)
	switch op {
	case TermOr:
		g.or(e, parts, given)
		return given
	case TermAnd:
	default:
		parts = []celast.Expr{e}
	}
	return g.and(e, parts, given)
}

func (g *logician) and(e celast.Expr, parts []celast.Expr, given []bound) []bound {
	g.twice(parts)
	own := boundsOf(parts)
	all := slices.Concat(given, own.list())
	if contradictory(g.known, all...) {
		g.warn("unreachable", e, "can never hold: %s", g.text(e))
		return given
	}
	for i, p := range parts {
		b, ok := own[i]
		switch {
		case !ok:
			g.inside(p, all)
		case contradictory(g.known, append(slices.Clone(given), b.opposite())...):
			g.warn("always-true", p, "always holds here: %s", g.text(p))
		default:
			g.implied(parts, own, i)
		}
	}
	return all
}

// inside looks into an operand that is no bound itself.
func (g *logician) inside(e celast.Expr, given []bound) {
	switch op, parts := operands(e); op {
	case TermNot:
		g.inside(parts[0], nil)
	case TermAnd, TermOr:
		g.whole(e, given)
	}
}

// implied warns of a conjunct that another one makes superfluous.
func (g *logician) implied(parts []celast.Expr, own bounds, i int) {
	for j := range parts {
		b, ok := own[j]
		if j == i || !ok || b.name != own[i].name || !contradictory(g.known, b, own[i].opposite()) {
			continue
		}
		if contradictory(g.known, own[i], b.opposite()) && j > i {
			continue // they say the same: one warning, for the later one
		}
		g.warn("redundant", parts[i], "%s is implied by %s", g.text(parts[i]), g.text(parts[j]))
		return
	}
}

func (g *logician) or(e celast.Expr, parts []celast.Expr, given []bound) {
	g.twice(parts)
	own := boundsOf(parts)
	opposites := slices.Clone(given)
	for _, b := range own.list() {
		opposites = append(opposites, b.opposite())
	}
	if len(own) > 1 && contradictory(g.known, opposites...) && !contradictory(g.known, given...) {
		g.warn("always-true", e, "always holds: %s", g.text(e))
		return
	}
	for i, p := range parts {
		b, ok := own[i]
		switch {
		case !ok:
			g.inside(p, given)
		case contradictory(g.known, append(slices.Clone(given), b)...):
			g.warn("unreachable", p, "can never hold here: %s", g.text(p))
		default:
			g.covered(parts, own, i)
		}
	}
	g.absorbed(parts)
}

// covered warns of an alternative that another one includes: code >= 500 || code == 503.
func (g *logician) covered(parts []celast.Expr, own bounds, i int) {
	for j := range parts {
		b, ok := own[j]
		if j == i || !ok || b.name != own[i].name || !contradictory(g.known, own[i], b.opposite()) {
			continue
		}
		if contradictory(g.known, b, own[i].opposite()) && j > i {
			continue
		}
		g.warn("redundant", parts[i], "%s changes nothing: %s includes it", g.text(parts[i]), g.text(parts[j]))
		return
	}
}

// absorbed warns of a && b beside a, which includes it.
func (g *logician) absorbed(parts []celast.Expr) {
	texts := make([][]string, len(parts))
	for i, p := range parts {
		op, inner := operands(p)
		if op != TermAnd {
			inner = []celast.Expr{p}
		}
		for _, x := range inner {
			texts[i] = append(texts[i], g.text(x))
		}
	}
	for i := range parts {
		for j := range parts {
			if i == j || len(texts[j]) >= len(texts[i]) {
				continue
			}
			if !slices.ContainsFunc(texts[j], func(t string) bool { return !slices.Contains(texts[i], t) }) {
				g.warn("redundant", parts[i], "%s changes nothing: %s includes it", g.text(parts[i]), g.text(parts[j]))
				return
			}
		}
	}
}

// twice warns of operands that say the same.
func (g *logician) twice(parts []celast.Expr) {
	seen := map[string]bool{}
	for _, p := range parts {
		t := g.text(p)
		if seen[t] {
			g.warn("duplicate", p, "is there twice: %s", t)
		}
		seen[t] = true
	}
}

// bounds are those of the operands that have one, by their index.
type bounds map[int]bound

func boundsOf(parts []celast.Expr) bounds {
	out := bounds{}
	for i, p := range parts {
		if b, ok := boundOf(p); ok {
			out[i] = b
		}
	}
	return out
}

func (b bounds) list() []bound {
	var out []bound
	for _, x := range b {
		out = append(out, x)
	}
	return out
}

// maxQuoted bounds what a warning quotes, in runes.
const maxQuoted = 100

func (g *logician) text(e celast.Expr) string {
	s, err := parser.Unparse(e, g.x.ast.SourceInfo())
	if err != nil && e.Kind() == celast.LiteralKind {
		s = string(e.AsLiteral().ConvertToType(types.StringType).(types.String))
	}
	return s
}

func (g *logician) warn(check string, e celast.Expr, format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			if r := []rune(s); len(r) > maxQuoted {
				args[i] = string(r[:maxQuoted-1]) + "…"
			}
		}
	}
	g.l.warnAt(g.part, leftmost(g.x, e), check, "%s: "+format, append([]any{g.part.Name}, args...)...)
}

// leftmost is where the text of e begins: an operator's own place is behind its first operand.
func leftmost(x *expression, e celast.Expr) int {
	least := -1
	celast.PreOrderVisit(e, celast.NewExprVisitor(func(e celast.Expr) {
		if _, ok := x.ast.SourceInfo().GetOffsetRange(e.ID()); ok {
			if at := positionOf(x.text, x.ast, e.ID()); least < 0 || at < least {
				least = at
			}
		}
	}))
	least = max(least, 0)
	// The checker makes one name of request.path, which then stands at its dot.
	for least > 0 && least < len(x.text) && (x.text[least] == '.' || isNameByte(x.text[least])) && (x.text[least-1] == '.' || isNameByte(x.text[least-1])) {
		least--
	}
	return least
}

func isNameByte(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}
