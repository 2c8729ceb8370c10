package rules

import (
	"fmt"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// shares refuses comparisons in a condition that can never be true: a ratio or a top's share is from 0 to 1, and people write 80 for
// 80 %.
func (b *builder) shares(x *expression) {
	if x == nil {
		return
	}
	celast.PreOrderVisit(x.ast.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.CallKind || len(e.AsCall().Args()) != 2 {
			return
		}
		op, args := e.AsCall().FunctionName(), e.AsCall().Args()
		for i := range 2 {
			name, _ := fieldName(args[i])
			if v, ok := numeral(args[1-i]); ok && b.isShare(name) && never(op, v) {
				b.failAt("condition", b.raw.Condition, positionOf(x.text, x.ast, args[1-i].ID()),
					fmt.Sprintf("impossible comparison: %s is a share from 0 to 1; 80 %% is 0.8", name))
			}
			op = mirrored(op)
		}
	}))
}

// isShare tells whether a name of the condition is a ratio or a top's share.
func (b *builder) isShare(name string) bool {
	for i := range b.rule.Aggregates {
		a := &b.rule.Aggregates[i]
		if part, ok := a.named(name); ok {
			return a.Func == Ratio || part == TopShare
		}
	}
	return false
}

// numeral returns a literal number.
func numeral(e celast.Expr) (float64, bool) {
	if e.Kind() != celast.LiteralKind {
		return 0, false
	}
	switch v := e.AsLiteral().(type) {
	case types.Int:
		return float64(v), true
	case types.Double:
		return float64(v), true
	}
	return 0, false
}

// never tells whether no number from 0 to 1 compares with v like this.
func never(op string, v float64) bool {
	switch op {
	case operators.Greater:
		return v >= 1
	case operators.GreaterEquals:
		return v > 1
	case operators.Less:
		return v <= 0
	case operators.LessEquals:
		return v < 0
	case operators.Equals:
		return v < 0 || v > 1
	}
	return false
}
