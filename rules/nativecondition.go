package rules

import (
	"math"
	"slices"
	"strings"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// measure is the native form of a value in a condition: an aggregate, a part of a top, or a literal. One of the two is set.
type measure struct {
	num  func(*input) float64
	text func(*input) string
	// aggregate tells that it is no literal.
	aggregate bool
}

// maxExactInt is up to where whole numbers and doubles are the same: beyond it CEL compares two ints more exactly than doubles.
const maxExactInt = 1 << 53

// measure recognises aggregates and literals.
func (c *compiler) measure(e celast.Expr) measure {
	switch v := c.literal(e).(type) {
	case types.Int:
		if v >= -maxExactInt && v <= maxExactInt {
			return measure{num: func(*input) float64 { return float64(v) }}
		}
	case types.Double:
		if !math.IsNaN(float64(v)) {
			return measure{num: func(*input) float64 { return float64(v) }}
		}
	case types.String:
		return measure{text: func(*input) string { return string(v) }}
	}
	name, _ := fieldName(e)
	root, _, _ := strings.Cut(name, ".")
	if _, hidden := c.bound[root]; hidden {
		return measure{}
	}
	for i := range c.aggregates {
		a := &c.aggregates[i]
		part, ok := a.named(name)
		switch {
		case !ok:
			continue
		case part == TopValue:
			return measure{text: func(in *input) string { return in.values[i].Text }, aggregate: true}
		case part == TopShare:
			return measure{num: func(in *input) float64 { return in.values[i].Share }, aggregate: true}
		}
		return measure{num: func(in *input) float64 { return in.values[i].Number }, aggregate: true}
	}
	return measure{}
}

// named tells whether the name is the aggregate's, and of a top which part it is.
func (a *Aggregate) named(name string) (part string, ok bool) {
	if a.Func != Top {
		return "", a.Name == name
	}
	rest, ok := strings.CutPrefix(name, a.Name)
	if !ok || len(rest) < 2 || rest[0] != '.' {
		return "", false
	}
	return rest[1:], true
}

// measured returns the native form of a comparison with an aggregate; it is exact. CEL converts an int to a double when it compares it
// with one, and no aggregate is above 2^53 without being rounded already, so that all numbers can be compared as doubles.
func (c *compiler) measured(fn string, args []celast.Expr) test {
	if len(args) != 2 {
		return test{}
	}
	if fn == operators.In || fn == operators.OldIn {
		return c.measuredIn(args[0], args[1])
	}
	a, b := c.measure(args[0]), c.measure(args[1])
	if !a.aggregate && !b.aggregate {
		return test{}
	}
	switch {
	case a.num != nil && b.num != nil:
		return exactly(compareNumbers(fn, a.num, b.num))
	case a.text != nil && b.text != nil:
		return exactly(compareTexts(fn, a.text, b.text))
	}
	return test{}
}

func exactly(fn func(*input) bool) test {
	if fn == nil {
		return test{}
	}
	return sure(costPlain, fn)
}

func compareNumbers(op string, x, y func(*input) float64) func(*input) bool {
	switch op {
	case operators.Equals:
		return func(in *input) bool { return x(in) == y(in) }
	case operators.NotEquals:
		return func(in *input) bool { return x(in) != y(in) }
	case operators.Less:
		return func(in *input) bool { return x(in) < y(in) }
	case operators.LessEquals:
		return func(in *input) bool { return x(in) <= y(in) }
	case operators.Greater:
		return func(in *input) bool { return x(in) > y(in) }
	case operators.GreaterEquals:
		return func(in *input) bool { return x(in) >= y(in) }
	}
	return nil
}

func compareTexts(op string, x, y func(*input) string) func(*input) bool {
	switch op {
	case operators.Equals:
		return func(in *input) bool { return x(in) == y(in) }
	case operators.NotEquals:
		return func(in *input) bool { return x(in) != y(in) }
	case "startsWith":
		return func(in *input) bool { return strings.HasPrefix(x(in), y(in)) }
	case "endsWith":
		return func(in *input) bool { return strings.HasSuffix(x(in), y(in)) }
	case "contains":
		return func(in *input) bool { return strings.Contains(x(in), y(in)) }
	}
	return nil
}

// measuredIn recognises an aggregate in [literals].
func (c *compiler) measuredIn(a, list celast.Expr) test {
	x := c.measure(a)
	if !x.aggregate || list.Kind() != celast.ListKind || len(list.AsList().OptionalIndices()) > 0 {
		return test{}
	}
	var tests []func(*input) bool
	for _, e := range list.AsList().Elements() {
		y := c.measure(e)
		switch {
		case x.num != nil && y.num != nil:
			tests = append(tests, compareNumbers(operators.Equals, x.num, y.num))
		case x.text != nil && y.text != nil:
			tests = append(tests, compareTexts(operators.Equals, x.text, y.text))
		default:
			return test{}
		}
	}
	return exactly(func(in *input) bool {
		return slices.ContainsFunc(tests, func(f func(*input) bool) bool { return f(in) })
	})
}

// aggregate returns the value that the condition calls by the name.
func (in *input) aggregate(name string) (any, bool) {
	for i := range in.aggregates {
		a := &in.aggregates[i]
		part, ok := a.named(name)
		if !ok {
			continue
		}
		v := &in.values[i]
		switch {
		case part == TopValue:
			return types.String(v.Text), true
		case part == TopShare:
			return types.Double(v.Share), true
		case part == TopCount || a.integer:
			return types.Int(v.Number), true
		}
		return types.Double(v.Number), true
	}
	return nil, false
}
