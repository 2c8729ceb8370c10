package celsql

import (
	"math"
	"slices"
	"time"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

type valueKind uint8

const (
	textValue valueKind = iota
	numberValue
	spanValue
	timeValue
	listValue // of texts
	mapValue  // of texts
	optionalValue
)

// value is an expression that is no condition, in SQL.
type value struct {
	kind valueKind
	sql  string
	// def has the conditions under which CEL can work it out. Where they do not hold, it fails, and sql is anything.
	def []string
	// addr is set for a field that is an address: its column; sql is its text.
	addr string
	text *string // set for a constant text
	num  *int64  // set for a constant number
	has  string  // of an optional: whether there is a value
}

// join puts conditions together, each once.
func join(a, b []string) []string {
	out := slices.Clip(a)
	for _, c := range b {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// value translates an expression. The text says why it cannot be.
func (t *translator) value(e ast.Expr) (value, string) {
	if !t.step() {
		return value{}, "it is too large for SQL"
	}
	switch e.Kind() {
	case ast.LiteralKind:
		return t.literal(e)
	case ast.IdentKind:
		return t.field(e.AsIdent())
	case ast.SelectKind: // request.headers.name
		s := e.AsSelect()
		m, why := t.value(s.Operand())
		if why == "" && m.kind == mapValue && !s.IsTestOnly() {
			return t.entry(m, t.constText(s.FieldName())), ""
		}
		return value{}, "what it selects is evaluated in Go"
	case ast.ListKind:
		return t.list(e.AsList())
	case ast.CallKind:
		return t.valueCall(e.AsCall())
	case ast.ComprehensionKind:
		return value{}, "comprehensions are evaluated in Go"
	}
	return value{}, "it is evaluated in Go"
}

func (t *translator) constText(s string) value {
	return value{kind: textValue, sql: t.text(s), text: &s}
}

func (t *translator) literal(e ast.Expr) (value, string) {
	switch v := e.AsLiteral().(type) {
	case types.String:
		return t.constText(string(v)), ""
	case types.Int:
		n := int64(v)
		return value{kind: numberValue, sql: t.integer(n), num: &n}, ""
	case types.Double:
		return value{}, "fractions are compared in Go"
	}
	return value{}, "constants of this type are compared in Go"
}

// list is a list of constant texts.
func (t *translator) list(l ast.ListExpr) (value, string) {
	texts := make([]string, 0, len(l.Elements()))
	for _, el := range l.Elements() {
		s, ok := el.AsLiteral().(types.String)
		if el.Kind() != ast.LiteralKind || !ok || len(l.OptionalIndices()) > 0 {
			return value{}, "a list of other things than constant texts is evaluated in Go"
		}
		texts = append(texts, string(s))
	}
	return value{kind: listValue, sql: t.texts(texts)}, ""
}

func (t *translator) field(name string) (value, string) {
	c, ok := t.table[name]
	if !ok {
		return value{}, "it is evaluated in Go"
	}
	switch c.Kind {
	case Text:
		return value{kind: textValue, sql: c.SQL}, ""
	case Number:
		return value{kind: numberValue, sql: c.SQL}, ""
	case Span:
		return value{kind: spanValue, sql: c.SQL}, ""
	case Time:
		return value{kind: timeValue, sql: c.SQL}, ""
	case Address:
		return value{kind: textValue, sql: AddressText(c.SQL), addr: c.SQL}, ""
	case TextList:
		return value{kind: listValue, sql: c.SQL}, ""
	case TextMap:
		return value{kind: mapValue, sql: c.SQL}, ""
	}
	return value{}, name + " is put together in Go"
}

// entry is an entry of a map; without it, CEL fails.
func (t *translator) entry(m, key value) value {
	def := join(m.def, key.def)
	return value{kind: textValue, sql: m.sql + "[" + key.sql + "]", def: join(def, []string{"mapContains(" + m.sql + ", " + key.sql + ")"})}
}

func (t *translator) valueCall(c ast.CallExpr) (value, string) {
	name, exprs := c.FunctionName(), c.Args()
	if c.IsMemberFunction() {
		exprs = append([]ast.Expr{c.Target()}, exprs...)
	}
	switch name {
	case "duration", "timestamp":
		return t.moment(name, exprs)
	case operators.Conditional:
		return value{}, "a choice of values is made in Go"
	}
	args := make([]value, len(exprs))
	for i, x := range exprs {
		var why string
		if args[i], why = t.value(x); why != "" {
			return value{}, why
		}
	}
	var out value
	var ok bool
	switch len(args) {
	case 1:
		out, ok = t.unary(name, args[0])
	case 2:
		out, ok = t.binary(name, args[0], args[1])
	}
	if !ok {
		if shown, is := operators.FindReverse(name); is && shown != "" {
			return value{}, "the operator " + shown + " is evaluated in Go here"
		}
		return value{}, name + "() is evaluated in Go"
	}
	for _, a := range args {
		out.def = join(a.def, out.def)
	}
	return out, ""
}

// moment is a constant duration or time, as cel-go reads it.
func (t *translator) moment(name string, args []ast.Expr) (value, string) {
	why := name + "() of something that is no constant text is evaluated in Go"
	if len(args) != 1 || args[0].Kind() != ast.LiteralKind {
		return value{}, why
	}
	s, ok := args[0].AsLiteral().(types.String)
	if !ok {
		return value{}, why
	}
	if name == "duration" {
		if d, ok := s.ConvertToType(types.DurationType).(types.Duration); ok {
			return value{kind: spanValue, sql: t.integer(int64(d.Duration))}, ""
		}
		return value{}, why
	}
	if at, ok := s.ConvertToType(types.TimestampType).(types.Timestamp); ok {
		return value{kind: timeValue, sql: "fromUnixTimestamp64Nano(" + t.integer(nanos(at.Time)) + ", 'UTC')"}, ""
	}
	return value{}, why
}

// The store keeps times from 1970 to 2099. A time outside compares with all of them as the nearest of these two does.
var (
	beforeAll = time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC)
	afterAll  = time.Date(2100, 1, 2, 0, 0, 0, 0, time.UTC)
)

func nanos(at time.Time) int64 {
	switch {
	case at.Before(beforeAll):
		at = beforeAll
	case at.After(afterAll):
		at = afterAll
	}
	return at.UnixNano()
}

// unary translates functions of one value.
func (t *translator) unary(name string, a value) (value, bool) {
	switch a.kind {
	case textValue:
		switch name {
		case "size":
			return value{kind: numberValue, sql: "lengthUTF8(" + a.sql + ")"}, true
		case "lowerAscii":
			return value{kind: textValue, sql: "lower(" + a.sql + ")"}, true
		case "upperAscii":
			return value{kind: textValue, sql: "upper(" + a.sql + ")"}, true
		case "string":
			return value{kind: textValue, sql: a.sql, addr: a.addr, text: a.text}, true
		}
	case listValue, mapValue:
		if name == "size" {
			return value{kind: numberValue, sql: "length(" + a.sql + ")"}, true
		}
	case numberValue:
		switch name {
		case "int":
			return a, true
		case "string":
			return value{kind: textValue, sql: "toString(" + a.sql + ")"}, true
		case operators.Negate:
			return number128("negate("+wide(a)+")", a.def), true
		}
	case timeValue:
		if sql, ok := timeGetters()[name]; ok {
			return value{kind: numberValue, sql: sql(a.sql)}, true
		}
	case spanValue:
		return spanGetter(name, a.sql)
	}
	return value{}, false
}

// binary translates functions of two values.
func (t *translator) binary(name string, a, b value) (value, bool) {
	switch {
	case name == operators.Index && a.kind == mapValue && b.kind == textValue:
		return t.entry(a, b), true
	case name == operators.Index && a.kind == listValue && b.num != nil && *b.num >= 0 && *b.num < math.MaxInt32:
		place := t.integer(*b.num + 1)
		return value{kind: textValue, sql: a.sql + "[" + place + "]", def: []string{"length(" + a.sql + ") >= " + place}}, true
	case (name == operators.OptIndex || name == operators.OptSelect) && a.kind == mapValue && b.kind == textValue:
		return value{kind: optionalValue, sql: a.sql + "[" + b.sql + "]", has: "mapContains(" + a.sql + ", " + b.sql + ")"}, true
	case name == "orValue" && a.kind == optionalValue && b.kind == textValue && len(b.def) == 0: // it is only asked for where it is needed
		return value{kind: textValue, sql: "if(" + a.has + ", " + a.sql + ", " + b.sql + ")"}, true
	case name == operators.Add && a.kind == textValue && b.kind == textValue:
		return value{kind: textValue, sql: "concat(" + a.sql + ", " + b.sql + ")"}, true
	case a.kind == numberValue && b.kind == numberValue:
		return arithmetic(name, a, b)
	}
	return value{}, false
}
