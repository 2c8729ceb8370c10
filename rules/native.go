package rules

import (
	"net/netip"
	"slices"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// test is the native form of a boolean expression. It never says no where CEL would say yes. An exact one also never says yes
// where CEL would not, so that CEL need not be asked at all. fn is nil when nothing is known: then the answer is always "perhaps".
//
// CEL knows a third answer besides yes and no, the error: of a header that is not there, or a sum that overflows. It is no match,
// and so is its negation. Therefore an exact test has two functions, of which at most one is true for an event.
//
// Most filters reject nearly every event by an equality, a set or a literal text that must occur. Deciding that here costs
// nanoseconds and no memory; CEL costs some hundred nanoseconds and allocates for each value that it reads.
type test struct {
	fn    func(*input) bool // CEL says yes; or may, when the test is not exact
	no    func(*input) bool // CEL says no; set when the test is exact, and only then
	exact bool
	cost  int // costPlain to costRegex: cheap ones are asked first
	// must is what an event must have for a yes, and mustNot for a no; nil when that is not known. See keys.go.
	must, mustNot []demand
	any           *oneOf // what fn and no are made of, when they are a disjunction
}

// sure is an exact test that is never an error.
func sure(cost int, fn func(*input) bool) test {
	return test{fn: fn, no: func(in *input) bool { return !fn(in) }, exact: true, cost: cost}
}

// What a test costs, for ordering.
const (
	costPlain = iota // compares numbers or short texts
	costScan         // looks for literals in a text
	costRegex
)

// value is the native form of a plain value.
type value struct {
	text func(*input) string
	num  func(*input) int64
}

// compiler makes native forms of checked expressions.
type compiler struct {
	index      *index
	aggregates []Aggregate        // names in a condition; nil in a filter
	bound      map[string]binding // variables of unrolled macros
	lists      map[string]*list
	depth      int
}

// maxUnroll bounds the macros that are unrolled: elements of a literal list, and levels.
const maxUnroll = 32

// test returns the native form of e.
func (c *compiler) test(e celast.Expr) test {
	if c.depth > maxUnroll {
		return test{}
	}
	c.depth++
	defer func() { c.depth-- }()
	switch e.Kind() {
	case celast.LiteralKind:
		if b, ok := e.AsLiteral().(types.Bool); ok {
			return sure(costPlain, func(*input) bool { return bool(b) })
		}
	case celast.ComprehensionKind:
		return c.comprehension(e.AsComprehension())
	case celast.CallKind:
		return c.call(e.AsCall())
	}
	return test{}
}

func (c *compiler) call(call celast.CallExpr) test {
	args := call.Args()
	if call.IsMemberFunction() {
		args = append([]celast.Expr{call.Target()}, args...)
	}
	if c.aggregates != nil {
		if t := c.measured(call.FunctionName(), args); t.fn != nil {
			return t
		}
	}
	switch call.FunctionName() {
	case operators.LogicalAnd:
		return all(c.test(args[0]), c.test(args[1]))
	case operators.LogicalOr:
		return some(c.test(args[0]), c.test(args[1]))
	case operators.LogicalNot:
		return not(c.test(args[0]))
	case operators.Conditional:
		return choice(c.test(args[0]), c.test(args[1]), c.test(args[2]))
	case operators.Equals:
		return c.equal(args[0], args[1])
	case operators.NotEquals:
		return not(c.equal(args[0], args[1]))
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return c.order(call.FunctionName(), args[0], args[1])
	case operators.In, operators.OldIn:
		return c.in(args[0], args[1])
	case "startsWith", "endsWith", "contains", "matches":
		if len(args) == 2 {
			return c.textual(call.FunctionName(), args[0], args[1])
		}
	case inListName:
		if len(args) == 2 {
			return c.inList(args[0], args[1])
		}
	case "containsIP":
		if len(args) == 2 {
			return c.containsIP(args[0], args[1])
		}
	}
	return test{}
}

// all is the conjunction. What is not known does not restrict it.
func all(a, b test) test {
	must := allOf(a.must, b.must)
	if a.fn == nil || b.fn == nil {
		if a.fn == nil {
			a = b
		}
		return test{fn: a.fn, cost: a.cost, must: must}
	}
	if b.cost < a.cost {
		a, b = b, a
	}
	x, y := a.fn, b.fn
	out := test{fn: func(in *input) bool { return x(in) && y(in) }, exact: a.exact && b.exact, cost: b.cost, must: must}
	if out.exact {
		x, y := a.no, b.no
		out.no, out.mustNot = func(in *input) bool { return x(in) || y(in) }, anyOf(a.mustNot, b.mustNot)
	}
	return out
}

// some is the disjunction. One side that is not known makes the whole unknown.
func some(a, b test) test {
	if a.fn == nil || b.fn == nil {
		return test{}
	}
	if b.cost < a.cost {
		a, b = b, a
	}
	d := a.disjuncts().or(b.disjuncts())
	out := test{fn: d.holds, exact: a.exact && b.exact, cost: b.cost, must: anyOf(a.must, b.must), any: d}
	if out.exact {
		out.no, out.mustNot = d.fails, allOf(a.mustNot, b.mustNot)
	}
	return out
}

// not is the negation; only of what is exact can it be told.
func not(a test) test {
	if !a.exact {
		return test{}
	}
	return test{fn: a.no, no: a.fn, exact: true, cost: a.cost, must: a.mustNot, mustNot: a.must}
}

// choice is c ? a : b. Where c is an error, so is the whole.
func choice(c, a, b test) test {
	if !c.exact { // one of the branches must hold
		out := some(a, b)
		out.no, out.exact, out.mustNot, out.any = nil, false, nil, nil
		return out
	}
	out := some(all(c, a), all(not(c), b))
	if out.exact {
		yes, no, x, y := c.fn, c.no, a.no, b.no
		out.any = nil
		out.no = func(in *input) bool { return yes(in) && x(in) || no(in) && y(in) }
		out.mustNot = anyOf(a.mustNot, b.mustNot)
	}
	return out
}

// mirrored is the operator with its sides exchanged.
func mirrored(op string) string {
	switch op {
	case operators.Less:
		return operators.Greater
	case operators.LessEquals:
		return operators.GreaterEquals
	case operators.Greater:
		return operators.Less
	case operators.GreaterEquals:
		return operators.LessEquals
	}
	return op
}

// in recognises value in [constants], "constant" in a list field and "constant" in a table field.
func (c *compiler) in(a, b celast.Expr) test {
	if b.Kind() != celast.ListKind {
		return c.member(a, b)
	}
	var texts []string
	var nums []int64
	elements := b.AsList().Elements()
	for _, e := range elements {
		if s, ok := c.literalText(e); ok {
			texts = append(texts, s)
		} else if n, ok := c.constant(e); ok {
			nums = append(nums, n)
		}
	}
	if t, ok := c.textOf(a); ok && len(texts) == len(elements) {
		return t.in(texts)
	}
	if x, ok := c.numOf(a); ok && len(nums) == len(elements) {
		return x.in(nums)
	}
	return test{}
}

// in is the test that the text is one of some; large sets are hashed.
func (t textRef) in(texts []string) test {
	set := make(map[string]bool, len(texts))
	var must []demand
	for i, s := range texts {
		set[s] = true
		if d := t.demands(keyEqual, s); i == 0 {
			must = d
		} else {
			must = anyOf(must, d)
		}
	}
	out := t.test(costPlain, func(in *input) bool { return set[t.read(in)] })
	if few := slices.Compact(slices.Sorted(slices.Values(texts))); len(few) <= 4 {
		out = t.test(costPlain, func(in *input) bool { return slices.Contains(few, t.read(in)) })
	}
	out.must = allOf(out.must, must)
	return out
}

func (c *compiler) member(a, b celast.Expr) test {
	s, ok := c.literalText(a)
	f := c.field(b)
	var out test
	switch {
	case !ok || f == nil:
		return test{}
	case f.list != nil:
		out = sure(costPlain, func(in *input) bool { return slices.Contains(f.list(in.ev), s) })
		out.must = one(key{kind: keyMember, field: f.name, text: s}, 0.01)
	case f.tab != nil:
		out = sure(costPlain, func(in *input) bool { _, ok := f.tab(in.ev)[s]; return ok })
		out.must = one(key{kind: keyEntry, field: f.name, text: s}, 0.3)
	}
	return out
}

// containsIP recognises cidr("10.0.0.0/8").containsIP(source.address). CEL fails on an event without an address.
func (c *compiler) containsIP(network, address celast.Expr) test {
	if network.Kind() != celast.CallKind || network.AsCall().FunctionName() != "cidr" || len(network.AsCall().Args()) != 1 {
		return test{}
	}
	s, _ := c.literalText(network.AsCall().Args()[0])
	prefix, err := netip.ParsePrefix(s)
	f := c.field(address)
	if err != nil || f == nil || f.addr == nil {
		return test{}
	}
	return test{fn: func(in *input) bool { return prefix.Contains(f.addr(in.ev).Unmap()) }}
}
