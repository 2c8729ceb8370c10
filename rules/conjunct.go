package rules

import (
	"strings"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/parser"
)

// conjuncts appends the parts of an expression that its && on top join.
func conjuncts(e celast.Expr, dst []celast.Expr) []celast.Expr {
	if e.Kind() == celast.CallKind && e.AsCall().FunctionName() == operators.LogicalAnd {
		for _, a := range e.AsCall().Args() {
			dst = conjuncts(a, dst)
		}
		return dst
	}
	return append(dst, e)
}

// unparse writes expressions of one AST out, joined by &&; "true" when there are none.
func unparse(a *celast.AST, parts ...celast.Expr) (string, error) {
	if len(parts) == 0 {
		return "true", nil
	}
	var b strings.Builder
	for i, p := range parts {
		s, err := parser.Unparse(p, a.SourceInfo())
		if err != nil {
			return "", err
		}
		if i > 0 {
			b.WriteString(" && ")
		}
		if len(parts) > 1 {
			s = "(" + s + ")"
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// refers returns the first part of the expression for which yes holds; nil when there is none.
func refers(e celast.Expr, yes func(celast.Expr) bool) celast.Expr {
	var found celast.Expr
	celast.PreOrderVisit(e, celast.NewExprVisitor(func(e celast.Expr) {
		if found == nil && yes(e) {
			found = e
		}
	}))
	return found
}

// stripNot takes a ! off an expression.
func stripNot(e celast.Expr) (inner celast.Expr, not bool) {
	if e.Kind() == celast.CallKind && e.AsCall().FunctionName() == operators.LogicalNot {
		return e.AsCall().Args()[0], true
	}
	return e, false
}
