package rules

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
)

// program is CEL's plan of an expression. It is made when it is first needed: most filters are decided natively, and the plan is
// the larger part of what a rule costs in memory. Safe for concurrent use.
type program struct {
	once sync.Once
	plan func() (cel.Program, error)
	done cel.Program
	err  error
}

// newProgram returns the plan of a checked expression. What can only fail in planning, the conversion of a constant such as
// int("x"), is planned at once.
func newProgram(a *celast.AST, plan func() (cel.Program, error)) (*program, error) {
	p := &program{plan: plan}
	if !converts(a.Expr()) {
		return p, nil
	}
	_, err := p.get()
	return p, err
}

func (p *program) get() (cel.Program, error) {
	p.once.Do(func() {
		defer func() {
			if r := recover(); r != nil {
				p.err = fmt.Errorf("cannot be planned: %v", r)
			}
			p.plan = nil
		}()
		p.done, p.err = p.plan()
	})
	return p.done, p.err
}

// converts tells whether a function is called with constants alone.
func converts(e celast.Expr) bool {
	found := false
	celast.PreOrderVisit(e, celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.CallKind {
			return
		}
		args := e.AsCall().Args()
		if e.AsCall().IsMemberFunction() {
			args = append([]celast.Expr{e.AsCall().Target()}, args...)
		}
		for _, a := range args {
			if a.Kind() != celast.LiteralKind {
				return
			}
		}
		found = found || len(args) > 0
	}))
	return found
}
