package rules

import (
	"math"
	"slices"
	"time"
	"unicode/utf8"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"github.com/warder/warder/internal/event"
)

// number is the native form of a whole number or a duration.
type number struct {
	get func(*input) int64
	// ok tells whether CEL has a value at all: sums can overflow. nil: always.
	ok    func(*input) bool
	field string // the event's field that it is; empty for others
	cost  int
}

func (n number) total() bool { return n.ok == nil }

// numOf recognises whole numbers and durations: fields, size() of a text, in a condition counts, constants in sums, and +, -, * and ?: of
// them.
func (c *compiler) numOf(e celast.Expr) (number, bool) {
	if e.Kind() == celast.CallKind {
		if n, ok := c.size(e.AsCall()); ok {
			return n, true
		}
		return c.sum(e.AsCall())
	}
	name, _ := fieldName(e)
	_, hidden := c.bound[name]
	for i := range c.aggregates {
		if a := &c.aggregates[i]; a.Name == name && a.integer && !hidden {
			return number{get: func(in *input) int64 { return int64(in.values[i].Number) }}, true
		}
	}
	f := c.field(e)
	if f == nil || f.num == nil && f.span == nil {
		return number{}, false
	}
	return number{get: func(in *input) int64 { return f.number(in.ev) }, field: f.name}, true
}

// number is the value of a number or duration field.
func (f *field) number(e *event.Event) int64 {
	if f.num != nil {
		return f.num(e)
	}
	return int64(f.span(e))
}

// operand is numOf, or a whole number that is written out.
func (c *compiler) operand(e celast.Expr) (number, bool) {
	if n, ok := c.literal(e).(types.Int); ok {
		return number{get: func(*input) int64 { return int64(n) }}, true
	}
	return c.numOf(e)
}

// sum recognises +, -, * and ?: of whole numbers. Durations are left to CEL, which has other bounds for them.
func (c *compiler) sum(call celast.CallExpr) (number, bool) {
	args := call.Args()
	if c.depth > maxUnroll || call.IsMemberFunction() || len(args) < 2 || len(args) > 3 {
		return number{}, false
	}
	c.depth++
	defer func() { c.depth-- }()
	fn := call.FunctionName()
	if fn == operators.Conditional {
		return c.numberChoice(args)
	}
	op := arithmetic(fn)
	if op == nil || len(args) != 2 {
		return number{}, false
	}
	a, okA := c.operand(args[0])
	b, okB := c.operand(args[1])
	if !okA || !okB || c.isSpan(a) || c.isSpan(b) {
		return number{}, false
	}
	out := number{cost: max(a.cost, b.cost)}
	out.get = func(in *input) int64 { v, _ := op(a.get(in), b.get(in)); return v }
	out.ok = func(in *input) bool {
		if a.ok != nil && !a.ok(in) || b.ok != nil && !b.ok(in) {
			return false
		}
		_, ok := op(a.get(in), b.get(in))
		return ok
	}
	return out, true
}

func (c *compiler) isSpan(n number) bool { return n.field != "" && c.index.fields[n.field].span != nil }

func (c *compiler) numberChoice(args []celast.Expr) (number, bool) {
	cond := c.test(args[0])
	a, okA := c.operand(args[1])
	b, okB := c.operand(args[2])
	if !cond.exact || !okA || !okB || c.isSpan(a) || c.isSpan(b) {
		return number{}, false
	}
	return number{
		cost: max(cond.cost, a.cost, b.cost),
		get: func(in *input) int64 {
			if cond.fn(in) {
				return a.get(in)
			}
			return b.get(in)
		},
		ok: func(in *input) bool {
			if cond.fn(in) {
				return a.ok == nil || a.ok(in)
			}
			return cond.no(in) && (b.ok == nil || b.ok(in))
		},
	}, true
}

// arithmetic returns an operator's function, which also tells whether the result has room; nil for other operators. Like CEL it
// fails where the result does not fit.
func arithmetic(op string) func(a, b int64) (int64, bool) {
	switch op {
	case operators.Add:
		return func(a, b int64) (int64, bool) { return a + b, (b > 0) == (a+b > a) || b == 0 }
	case operators.Subtract:
		return func(a, b int64) (int64, bool) { return a - b, (b > 0) == (a-b < a) || b == 0 }
	case operators.Multiply:
		return func(a, b int64) (int64, bool) {
			if a == 0 || b == 0 {
				return 0, true
			}
			p := a * b
			return p, p/b == a && !(a == -1 && b == math.MinInt64) && !(b == -1 && a == math.MinInt64)
		}
	}
	return nil
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

// order recognises the comparison of a number with a constant or another number.
func (c *compiler) order(op string, a, b celast.Expr) test {
	x, okX := c.numOf(a)
	if n, ok := c.constant(b); ok && okX {
		return x.compare(op, n)
	}
	y, okY := c.numOf(b)
	if n, ok := c.constant(a); ok && okY {
		return y.compare(mirrored(op), n)
	}
	if !okX || !okY {
		return test{}
	}
	return x.pair(compare(op), y)
}

// compare is the test of the number against a constant.
func (n number) compare(op string, to int64) test {
	holds := compare(op)
	out := n.test(func(in *input) bool { return holds(n.get(in), to) })
	out.must, out.mustNot = ranged(n.field, op, to), ranged(n.field, negated(op), to)
	return out
}

// pair is the test of two numbers.
func (n number) pair(holds func(a, b int64) bool, m number) test {
	return number{ok: both(n.ok, m.ok), cost: max(n.cost, m.cost)}.test(func(in *input) bool { return holds(n.get(in), m.get(in)) })
}

// both joins two conditions of which either may be missing.
func both(a, b func(*input) bool) func(*input) bool {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func(in *input) bool { return a(in) && b(in) }
}

// test is a test of the number that is an error where the number is.
func (n number) test(holds func(*input) bool) test {
	if n.total() {
		return sure(n.cost, holds)
	}
	return test{
		fn:    func(in *input) bool { return n.ok(in) && holds(in) },
		no:    func(in *input) bool { return n.ok(in) && !holds(in) },
		exact: true, cost: n.cost,
	}
}

// in is the test that the number is one of some.
func (n number) in(nums []int64) test {
	slices.Sort(nums)
	nums = slices.Compact(nums)
	out := n.test(func(in *input) bool { _, ok := slices.BinarySearch(nums, n.get(in)); return ok })
	for i, v := range nums {
		if d := ranged(n.field, operators.Equals, v); i == 0 {
			out.must = d
		} else {
			out.must = anyOf(out.must, d)
		}
	}
	return out
}

func compare(op string) func(a, b int64) bool {
	switch op {
	case operators.Less:
		return func(a, b int64) bool { return a < b }
	case operators.LessEquals:
		return func(a, b int64) bool { return a <= b }
	case operators.Greater:
		return func(a, b int64) bool { return a > b }
	case operators.GreaterEquals:
		return func(a, b int64) bool { return a >= b }
	}
	return func(a, b int64) bool { return a == b }
}

// negated is the operator that holds where this one does not; equality has none.
func negated(op string) string {
	switch op {
	case operators.Less:
		return operators.GreaterEquals
	case operators.LessEquals:
		return operators.Greater
	case operators.Greater:
		return operators.LessEquals
	case operators.GreaterEquals:
		return operators.Less
	}
	return ""
}

// size recognises size(text) and text.size(), which count characters.
func (c *compiler) size(call celast.CallExpr) (number, bool) {
	arg := call.Target()
	if !call.IsMemberFunction() {
		if len(call.Args()) != 1 {
			return number{}, false
		}
		arg = call.Args()[0]
	}
	if call.FunctionName() != "size" {
		return number{}, false
	}
	t, ok := c.textOf(arg)
	if !ok {
		return number{}, false
	}
	out := number{get: func(in *input) int64 { return int64(utf8.RuneCountInString(in.slot(t.slot))) }, cost: costScan}
	if t.partial {
		out.ok = t.there
	}
	return out, true
}
