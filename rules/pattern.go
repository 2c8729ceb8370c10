package rules

import (
	"errors"
	"fmt"
	"regexp/syntax"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
)

// patterns refuses regular expressions that are faulty, too large, or not written out: one that comes from an event would let
// an attacker choose what is compiled.
func patterns(text string, a *celast.AST) error {
	var out []error
	celast.PreOrderVisit(a.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.CallKind {
			return
		}
		call := e.AsCall()
		at := 1
		switch call.FunctionName() {
		case "matches":
			if call.IsMemberFunction() {
				at = 0
			}
		case "regex.extract", "regex.extractAll", "regex.replace":
		default:
			return
		}
		if len(call.Args()) <= at {
			return
		}
		if msg := patternFault(call.Args()[at]); msg != "" {
			out = append(out, faultOf(text, a, call.Args()[at], msg))
		}
	}))
	return errors.Join(out...)
}

// patternFault says what is wrong with a regular expression; "" for nothing.
func patternFault(e celast.Expr) string {
	if e.Kind() != celast.LiteralKind {
		return "a regular expression must be written out as a literal"
	}
	s, ok := e.AsLiteral().(types.String)
	if !ok {
		return "a regular expression must be a string"
	}
	re, err := syntax.Parse(string(s), syntax.Perl)
	var bad *syntax.Error
	switch {
	case errors.As(err, &bad):
		return fmt.Sprintf("not a regular expression (RE2): %s: %.60q", bad.Code, bad.Expr)
	case err != nil:
		return "not a regular expression (RE2)"
	}
	program, err := syntax.Compile(re.Simplify())
	if err != nil {
		return "not a regular expression (RE2)"
	}
	if n := len(program.Inst); n > maxRegexSize {
		return fmt.Sprintf("the regular expression is too large: %d instructions, limit is %d", n, maxRegexSize)
	}
	return ""
}
