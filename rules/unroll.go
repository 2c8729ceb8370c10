package rules

import (
	"maps"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// comprehension recognises the macros exists and all over a list that is written out, and cel.bind; rules use them to apply
// one pattern to several texts:
//
//	[decode(request.path), decode(request.query)].exists(t, t.matches("…"))
func (c *compiler) comprehension(f celast.ComprehensionExpr) test {
	if f.HasIterVar2() || f.IterRange().Kind() != celast.ListKind || len(f.IterRange().AsList().OptionalIndices()) > 0 {
		return test{}
	}
	elements := f.IterRange().AsList().Elements()
	if len(elements) == 0 {
		return c.bind(f)
	}
	body, op := loop(f)
	if body == nil || len(elements) > maxUnroll {
		return test{}
	}
	join := some
	if op == operators.LogicalAnd {
		join = all
	}
	out := c.with(f.IterVar(), elements[0], body)
	for _, e := range elements[1:] {
		out = join(out, c.with(f.IterVar(), e, body))
	}
	// An element that CEL fails on keeps the whole from having a value.
	for _, e := range elements {
		if t, ok := c.textOf(e); ok && t.partial {
			out = t.given(out)
		} else if !ok && c.literal(e) == nil {
			out.no, out.exact, out.mustNot = nil, false, nil
		}
	}
	return out
}

// given is the test where the text is there, and an error elsewhere.
func (t textRef) given(out test) test {
	yes, no := out.fn, out.no
	if yes == nil {
		return test{}
	}
	out.any = nil
	out.fn = func(in *input) bool { return t.there(in) && yes(in) }
	if no != nil {
		out.no = func(in *input) bool { return t.there(in) && no(in) }
	}
	return out
}

// binding is what a variable of an unrolled macro stands for: a text of the event, a literal, or neither.
type binding struct {
	text    textRef
	isText  bool
	literal ref.Val
}

// with returns the test of the body while the variable stands for an expression, which is read in the scope around it.
func (c *compiler) with(name string, to, body celast.Expr) test {
	b := binding{literal: c.literal(to)}
	b.text, b.isText = c.textRef(to)
	outer := c.bound
	c.bound = maps.Clone(outer)
	if c.bound == nil {
		c.bound = map[string]binding{}
	}
	c.bound[name] = b
	out := c.test(body)
	c.bound = outer
	return out
}

// loop returns the body of exists or all, and the operator that joins its values; nil for other loops.
func loop(f celast.ComprehensionExpr) (celast.Expr, string) {
	init, step, result := f.AccuInit(), f.LoopStep(), f.Result()
	if init.Kind() != celast.LiteralKind || step.Kind() != celast.CallKind || result.Kind() != celast.IdentKind || result.AsIdent() != f.AccuVar() {
		return nil, ""
	}
	want := operators.LogicalOr
	if init.AsLiteral() == types.True {
		want = operators.LogicalAnd
	}
	if init.AsLiteral() != types.True && init.AsLiteral() != types.False || step.AsCall().FunctionName() != want {
		return nil, ""
	}
	args := step.AsCall().Args()
	if len(args) != 2 || args[0].Kind() != celast.IdentKind || args[0].AsIdent() != f.AccuVar() {
		return nil, ""
	}
	return args[1], want
}

// bind recognises cel.bind(name, value, body) where the value is a text of the event.
func (c *compiler) bind(f celast.ComprehensionExpr) test {
	cond := f.LoopCondition()
	if cond.Kind() != celast.LiteralKind || cond.AsLiteral() != types.False {
		return test{}
	}
	if t, ok := c.textOf(f.AccuInit()); !ok || t.partial {
		return test{}
	}
	return c.with(f.AccuVar(), f.AccuInit(), f.Result())
}
