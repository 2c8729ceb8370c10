package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"github.com/warder/warder/internal/event"
)

// impossible refuses comparisons that can never be true although their types fit: a status code of 4040, an address that is
// not written in its canonical form, a header's name with a capital, an outcome that there is none of.
func (env *environment) impossible(text string, a *celast.AST) error {
	var out []error
	fail := func(e celast.Expr, msg string) {
		if msg != "" {
			out = append(out, faultOf(text, a, e, msg))
		}
	}
	check := func(name string, literal celast.Expr) {
		if f := env.fields[name]; f != nil && literal.Kind() == celast.LiteralKind {
			fail(literal, f.refuses(literal))
		}
	}
	celast.PreOrderVisit(a.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() == celast.SelectKind && isHeaders(e.AsSelect().Operand()) {
			fail(e, headerName(e.AsSelect().FieldName()))
		}
		if e.Kind() != celast.CallKind {
			return
		}
		call := e.AsCall()
		args := call.Args()
		switch call.FunctionName() {
		case operators.Equals, operators.NotEquals:
			for i := range 2 {
				name, _ := fieldName(args[i])
				check(name, args[1-i])
			}
		case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
			for i := range 2 {
				name, _ := fieldName(args[i])
				op := call.FunctionName()
				if i == 1 {
					op = mirrored(op)
				}
				fail(args[1-i], env.fields[name].never(op, args[1-i]))
			}
		case operators.Index, operators.OptIndex:
			if s, ok := literalString(args[1]); ok && isHeaders(args[0]) {
				fail(args[1], headerName(s))
			}
		case operators.In, operators.OldIn:
			if s, ok := literalString(args[0]); ok && isHeaders(args[1]) {
				fail(args[0], headerName(s))
			}
			if name, _ := fieldName(args[0]); args[1].Kind() == celast.ListKind {
				for _, l := range args[1].AsList().Elements() {
					check(name, l)
				}
			}
		}
	}))
	return errors.Join(out...)
}

func isHeaders(e celast.Expr) bool {
	name, _ := fieldName(e)
	return name == "request.headers"
}

func headerName(s string) string {
	if low := lowerASCII(s); low != s {
		return fmt.Sprintf("impossible comparison: names of headers are in lower case: write %q", low)
	}
	return ""
}

// largest is the largest number that a field can have, 0 for no bound of its own. No number is negative.
func (f *field) largest() int64 {
	switch f.name {
	case "response.code":
		return 999
	case "source.port":
		return 65_535
	case "source.asn":
		return 1<<32 - 1
	}
	return 0
}

// never says why the field can never be less or greater than the literal; "" when it can. The field may be nil.
func (f *field) never(op string, literal celast.Expr) string {
	if f == nil || f.num == nil || literal.Kind() != celast.LiteralKind {
		return ""
	}
	n, ok := literal.AsLiteral().(types.Int)
	most := types.Int(f.largest())
	switch {
	case !ok:
	case op == operators.Less && n <= 0, op == operators.LessEquals && n < 0:
		return fmt.Sprintf("impossible comparison: %s is never negative; 0 means unknown", f.name)
	case most > 0 && (op == operators.Greater && n >= most || op == operators.GreaterEquals && n > most):
		return fmt.Sprintf("impossible comparison: %s is at most %d", f.name, int64(most))
	}
	return ""
}

// outcomes are the values of the fields that have but a few. The empty text means unknown, or none.
func outcomes(name string) []string {
	switch name {
	case "auth.outcome":
		return []string{"anonymous", "success", "failure"}
	case "principal.type":
		return []string{"jwt", "api_key", "basic", "certificate", "header"}
	case "enforced.action":
		return event.Actions()
	}
	return nil
}

// refusesText says why a text field can never be s, "" when it can.
func (f *field) refusesText(s string) string {
	if s == "" {
		return ""
	}
	if known := outcomes(f.name); known != nil && !slices.Contains(known, s) {
		msg := fmt.Sprintf("impossible comparison: %s is never %.40q: it is %s, or empty", f.name, s, strings.Join(known, ", "))
		if best := nearest(s, known); best != "" {
			msg += fmt.Sprintf("; did you mean %q?", best)
		}
		return msg
	}
	switch f.name {
	case "request.method":
		if up := strings.ToUpper(s); up != s && slices.Contains(strings.Fields("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT"), up) {
			return fmt.Sprintf("impossible comparison: methods are in upper case: write %q", up)
		}
	case "source.country":
		if len(s) != 2 || strings.ToUpper(s) != s {
			return "impossible comparison: a country is two upper-case letters (ISO 3166-1), such as \"DE\""
		}
	}
	return ""
}
