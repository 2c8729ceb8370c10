package celsql

import (
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// holds translates "e evaluates to want".
func (t *translator) holds(e ast.Expr, want bool) cond {
	if !t.step() {
		return never("it is too large for SQL")
	}
	switch e.Kind() {
	case ast.LiteralKind:
		if b, ok := e.AsLiteral().(types.Bool); ok {
			return constant(bool(b) == want)
		}
	case ast.CallKind:
		return t.call(e, want)
	case ast.SelectKind:
		if s := e.AsSelect(); s.IsTestOnly() { // has(request.headers.name)
			m, why := t.value(s.Operand())
			if why == "" && m.kind == mapValue {
				return test("mapContains("+m.sql+", "+t.text(s.FieldName())+")", want, m.def)
			}
			return never("has() is evaluated in Go here")
		}
	case ast.ComprehensionKind:
		return never("comprehensions are evaluated in Go")
	}
	return never("it is evaluated in Go")
}

func (t *translator) call(e ast.Expr, want bool) cond {
	c := e.AsCall()
	args := c.Args()
	switch name := c.FunctionName(); name {
	case operators.LogicalAnd:
		return t.join(args, want, want)
	case operators.LogicalOr:
		return t.join(args, want, !want)
	case operators.LogicalNot:
		return t.holds(args[0], !want)
	case operators.Conditional:
		yes := and(t.holds(args[0], true), t.holds(args[1], want))
		return or(yes, and(t.holds(args[0], false), t.holds(args[2], want)))
	case operators.Equals, operators.NotEquals:
		return t.equal(args[0], args[1], want == (name == operators.Equals))
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return t.ordered(strings.Trim(name, "_"), args[0], args[1], want)
	case operators.In:
		return t.in(args[0], args[1], want)
	}
	return t.function(c, want)
}

// join translates a && b and a || b: all says that both must have the value that is wanted.
func (t *translator) join(args []ast.Expr, want, all bool) cond {
	out := t.holds(args[0], want)
	for _, a := range args[1:] {
		if c := t.holds(a, want); all {
			out = and(out, c)
		} else {
			out = or(out, c)
		}
	}
	return out
}

// pair translates two values that are compared with one another.
func (t *translator) pair(x, y ast.Expr) (a, b value, why string) {
	if a, why = t.value(x); why == "" {
		b, why = t.value(y)
	}
	if why == "" && (a.kind != b.kind || a.kind > timeValue) {
		why = "values of these types are compared in Go"
	}
	return a, b, why
}

// equal translates a == b.
func (t *translator) equal(x, y ast.Expr, want bool) cond {
	a, b, why := t.pair(x, y)
	if why != "" {
		return never(why)
	}
	def := join(a.def, b.def)
	switch {
	case a.addr != "" && b.addr != "":
		return test(a.addr+" = "+b.addr, want, def)
	case a.addr != "" && b.text != nil:
		return test(t.address(a.addr, *b.text), want, def)
	case b.addr != "" && a.text != nil:
		return test(t.address(b.addr, *a.text), want, def)
	}
	return test(a.sql+" = "+b.sql, want, def)
}

// ordered translates a < b and its like.
func (t *translator) ordered(op string, x, y ast.Expr, want bool) cond {
	a, b, why := t.pair(x, y)
	if why != "" {
		return never(why)
	}
	return test(a.sql+" "+op+" "+b.sql, want, join(a.def, b.def))
}

// in translates x in y, where y is a field that is a list or a map, or a list that is written out.
func (t *translator) in(x, y ast.Expr, want bool) cond {
	a, why := t.value(x)
	if why != "" {
		return never(why)
	}
	if y.Kind() == ast.ListKind {
		return t.inList(a, y, want)
	}
	b, why := t.value(y)
	switch {
	case why != "":
		return never(why)
	case a.kind != textValue:
	case b.kind == listValue:
		return test("has("+b.sql+", "+a.sql+")", want, join(a.def, b.def))
	case b.kind == mapValue:
		return test("mapContains("+b.sql+", "+a.sql+")", want, join(a.def, b.def))
	}
	return never("this membership is looked for in Go")
}

// inList translates membership of a list of constants.
func (t *translator) inList(a value, y ast.Expr, want bool) cond {
	list := y.AsList()
	if len(list.OptionalIndices()) > 0 {
		return never("lists with optional elements are evaluated in Go")
	}
	var texts []string
	var numbers []int64
	for _, el := range list.Elements() {
		if !t.step() {
			return never("it is too large for SQL")
		}
		if el.Kind() != ast.LiteralKind {
			return never("a list of other things than constants is looked through in Go")
		}
		switch v := el.AsLiteral().(type) {
		case types.String:
			texts = append(texts, string(v))
		case types.Int:
			numbers = append(numbers, int64(v))
		default:
			return never("a list of such constants is looked through in Go")
		}
	}
	switch n := len(list.Elements()); {
	case n == 0:
		return test(sqlFalse, want, a.def)
	case a.addr != "" && len(texts) == n:
		return test(t.addressIn(a.addr, texts), want, a.def)
	case a.kind == textValue && len(texts) == n:
		return test(a.sql+" IN "+t.texts(texts), want, a.def)
	case a.kind == numberValue && len(numbers) == n:
		return test(a.sql+" IN "+t.integers(numbers), want, a.def)
	}
	return never("a list of other types is looked through in Go")
}

// function translates a call of a function that is true or false.
func (t *translator) function(c ast.CallExpr, want bool) cond {
	args := c.Args()
	if c.IsMemberFunction() {
		args = append([]ast.Expr{c.Target()}, args...)
	}
	name := c.FunctionName()
	switch name {
	case "matches":
		return t.matches(args, want)
	case "containsIP":
		return t.containsIP(args, want)
	}
	if len(args) != 2 && name != "isIP" && name != "hasValue" {
		return never(name + "() is evaluated in Go")
	}
	a, why := t.value(args[0])
	if name == "hasValue" && why == "" && a.has != "" {
		return test(a.has, want, a.def)
	}
	if why != "" {
		return never(why)
	}
	if name == "isIP" && a.addr != "" {
		return test(a.addr+" != "+noAddress, want, a.def)
	}
	if len(args) != 2 {
		return never(name + "() is evaluated in Go")
	}
	b, why := t.value(args[1])
	if why != "" {
		return never(why)
	}
	texts := a.kind == textValue && b.kind == textValue
	lists := a.kind == listValue && b.kind == listValue
	def := join(a.def, b.def)
	switch {
	case name == "contains" && texts:
		return test("position("+a.sql+", "+b.sql+") > 0", want, def)
	case name == "startsWith" && texts:
		return test("startsWith("+a.sql+", "+b.sql+")", want, def)
	case name == "endsWith" && texts:
		return test("endsWith("+a.sql+", "+b.sql+")", want, def)
	case name == "sets.contains" && lists:
		return test("hasAll("+a.sql+", "+b.sql+")", want, def)
	case name == "sets.intersects" && lists:
		return test("hasAny("+a.sql+", "+b.sql+")", want, def)
	}
	return never(name + "() is evaluated in Go")
}

// matches translates text.matches("pattern").
func (t *translator) matches(args []ast.Expr, want bool) cond {
	if len(args) != 2 || args[1].Kind() != ast.LiteralKind {
		return never("this pattern is matched in Go")
	}
	a, why := t.value(args[0])
	if why != "" {
		return never(why)
	}
	p, ok := args[1].AsLiteral().(types.String)
	if !ok || a.kind != textValue {
		return never("this pattern is matched in Go")
	}
	pattern, why := portable(string(p))
	if why != "" {
		return never(why)
	}
	return test("match("+a.sql+", "+t.text(pattern)+")", want, a.def)
}
