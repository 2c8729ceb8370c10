package rules

import (
	"net/netip"
	"slices"
	"time"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// test is the native form of a boolean expression. It never says no where CEL would say yes. An exact one also never says yes
// where CEL would not, so that CEL need not be asked at all. fn is nil when nothing is known: then the answer is always "perhaps".
//
// Most filters reject nearly every event by an equality, a set or a literal text that must occur. Deciding that here costs
// nanoseconds and no memory; CEL costs some hundred nanoseconds and allocates for each value that it reads.
type test struct {
	fn    func(*input) bool
	exact bool
	cost  int // costPlain to costRegex: cheap ones are asked first
	// need, when it is not nil, has patterns of which one must be possible for fn to say yes. A rule that looks for fifty
	// patterns is so refused by a few bit sets.
	need []mask
}

// mask names patterns on the text in a slot: bits of a word of the bit set of the patterns.
type mask struct {
	slot, word int
	bits       uint64
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
			return test{fn: func(*input) bool { return bool(b) }, exact: true}
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
	switch call.FunctionName() {
	case operators.LogicalAnd:
		return all(c.test(args[0]), c.test(args[1]))
	case operators.LogicalOr:
		return some(c.test(args[0]), c.test(args[1]))
	case operators.LogicalNot:
		return not(c.test(args[0]))
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
	case "containsIP":
		if len(args) == 2 {
			return c.containsIP(args[0], args[1])
		}
	}
	return test{}
}

// all is the conjunction. What is not known does not restrict it.
func all(a, b test) test {
	if a.fn == nil || b.fn == nil {
		if a.fn == nil {
			a = b
		}
		return test{fn: a.fn, cost: a.cost, need: a.need}
	}
	if b.cost < a.cost {
		a, b = b, a
	}
	x, y := a.fn, b.fn
	need := a.need
	if need == nil || b.need != nil && len(b.need) < len(need) {
		need = b.need
	}
	return test{func(in *input) bool { return x(in) && y(in) }, a.exact && b.exact, b.cost, need}
}

// some is the disjunction. One side that is not known makes the whole unknown.
func some(a, b test) test {
	if a.fn == nil || b.fn == nil {
		return test{}
	}
	if b.cost < a.cost {
		a, b = b, a
	}
	x, y := a.fn, b.fn
	return test{func(in *input) bool { return x(in) || y(in) }, a.exact && b.exact, b.cost, either(a.need, b.need)}
}

// either joins the needs of two tests of which one suffices; nil when one of them needs nothing.
func either(a, b []mask) []mask {
	if a == nil || b == nil {
		return nil
	}
	out := slices.Clone(a)
	for _, m := range b {
		if i := slices.IndexFunc(out, func(o mask) bool { return o.slot == m.slot && o.word == m.word }); i >= 0 {
			out[i].bits |= m.bits
		} else {
			out = append(out, m)
		}
	}
	return out
}

// not is the negation; only of what is exact can it be told.
func not(a test) test {
	if a.fn == nil || !a.exact {
		return test{}
	}
	x := a.fn
	return test{fn: func(in *input) bool { return !x(in) }, exact: true, cost: a.cost}
}

// numOf recognises whole numbers and durations: fields, size() of a text, and in a condition counts.
func (c *compiler) numOf(e celast.Expr) (func(*input) int64, bool) {
	if e.Kind() == celast.CallKind {
		return c.size(e.AsCall())
	}
	name, _ := fieldName(e)
	for i := range c.aggregates {
		if a := c.aggregates[i]; a.Name == name && a.integer {
			return func(in *input) int64 { return int64(in.values[i]) }, true
		}
	}
	f := c.field(e)
	switch {
	case f == nil:
	case f.num != nil:
		return func(in *input) int64 { return f.num(in.ev) }, true
	case f.span != nil:
		return func(in *input) int64 { return int64(f.span(in.ev)) }, true
	}
	return nil, false
}

// constant recognises a whole number and duration("…").
func (c *compiler) constant(e celast.Expr) (int64, bool) {
	if e.Kind() == celast.CallKind {
		call := e.AsCall()
		if call.FunctionName() != "duration" || len(call.Args()) != 1 {
			return 0, false
		}
		s, _ := c.literalText(call.Args()[0])
		d, err := time.ParseDuration(s)
		return int64(d), err == nil
	}
	n, ok := c.literal(e).(types.Int)
	return int64(n), ok
}

func (c *compiler) order(op string, a, b celast.Expr) test {
	x, okX := c.numOf(a)
	n, okN := c.constant(b)
	if !okX || !okN {
		y, okY := c.numOf(b)
		m, okM := c.constant(a)
		if !okY || !okM {
			return c.orderPair(op, x, y, okX && okY)
		}
		x, n, op = y, m, mirrored(op)
	}
	return test{fn: compare(op, x, func(*input) int64 { return n }), exact: true}
}

func (c *compiler) orderPair(op string, x, y func(*input) int64, ok bool) test {
	if !ok {
		return test{}
	}
	return test{fn: compare(op, x, y), exact: true}
}

func compare(op string, x, y func(*input) int64) func(*input) bool {
	switch op {
	case operators.Less:
		return func(in *input) bool { return x(in) < y(in) }
	case operators.LessEquals:
		return func(in *input) bool { return x(in) <= y(in) }
	case operators.Greater:
		return func(in *input) bool { return x(in) > y(in) }
	case operators.GreaterEquals:
		return func(in *input) bool { return x(in) >= y(in) }
	}
	return func(in *input) bool { return x(in) == y(in) }
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
		tests := make([]func(*input) bool, len(texts))
		for i, s := range texts {
			tests[i] = equals(t, s)
		}
		return t.test(costPlain, func(in *input) bool {
			return slices.ContainsFunc(tests, func(f func(*input) bool) bool { return f(in) })
		})
	}
	if x, ok := c.numOf(a); ok && len(nums) == len(elements) {
		slices.Sort(nums)
		return test{fn: func(in *input) bool { _, ok := slices.BinarySearch(nums, x(in)); return ok }, exact: true}
	}
	return test{}
}

func (c *compiler) member(a, b celast.Expr) test {
	s, ok := c.literalText(a)
	f := c.field(b)
	switch {
	case !ok || f == nil:
	case f.list != nil:
		return test{fn: func(in *input) bool { return slices.Contains(f.list(in.ev), s) }, exact: true}
	case f.tab != nil:
		return test{fn: func(in *input) bool { _, ok := f.tab(in.ev)[s]; return ok }, exact: true}
	}
	return test{}
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
