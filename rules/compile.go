package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// expression is a compiled CEL expression.
type expression struct {
	text    string
	typ     *cel.Type
	ast     *celast.AST
	program *program
	// canonical is the text without layout and comments.
	canonical string
	// test is the native form of a boolean expression and native that of a plain value, see native.go; they are set when the
	// Set is put together.
	test   test
	native value
	shared int // its number among the values that rules share; 0: none
}

// clone returns a copy whose native forms can be made anew; nil stays nil.
func (x *expression) clone() *expression {
	if x == nil {
		return nil
	}
	c := *x
	c.test, c.native = test{}, value{}
	return &c
}

// fault is something wrong with an expression, at a byte offset of its text.
type fault struct {
	at    int
	msg   string
	id    int64  // the part of the expression that it is about; 0 when that is not known
	macro *macro // at is a place in this macro's text; nil: in the expression's own
	site  int    // where the expression uses that macro
}

func (f *fault) Error() string { return f.msg }

// compile checks the text, bounds its cost and plans it. The error is one or more joined *fault.
func (env *environment) compile(e *cel.Env, text string, known []string) (x *expression, err error) {
	defer func() {
		if r := recover(); r != nil { // a fault of CEL's must not end the program that loads a rule
			x, err = nil, &fault{msg: fmt.Sprintf("cannot be compiled: %v", r)}
		}
	}()
	if strings.TrimSpace(text) == "" {
		return nil, &fault{msg: "is empty"}
	}
	if len(text) > MaxExpr {
		return nil, &fault{msg: fmt.Sprintf("has %d bytes, limit is %d", len(text), MaxExpr)}
	}
	parsed, issues := e.Parse(text)
	if issues.Err() != nil {
		return nil, env.explain(text, nil, issues, known)
	}
	macros := newExpander(env, text, parsed.NativeRep(), nil, known)
	if err := macros.run(); err != nil {
		return nil, err
	}
	defer func() { macros.place(err) }()
	checked, issues := e.Check(parsed)
	if issues.Err() != nil {
		return nil, env.explain(text, parsed.NativeRep(), issues, known)
	}
	if err := errors.Join(env.impossible(text, checked.NativeRep()), patterns(text, checked.NativeRep()),
		env.listNames(text, checked.NativeRep())); err != nil {
		return nil, err
	}
	if err := env.staticCost(e, checked); err != nil {
		return nil, &fault{msg: err.Error()}
	}
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize), cel.CustomDecoratorV2(cacheDecode)}
	if comprehends(checked.NativeRep().Expr()) {
		opts = append(opts, cel.CostLimit(maxRuntimeCost), cel.CostTracking(callCosts{}))
	}
	program, err := newProgram(checked.NativeRep(), func() (cel.Program, error) { return e.Program(checked, opts...) })
	if err != nil {
		return nil, &fault{msg: err.Error()}
	}
	canonical, err := cel.AstToString(checked)
	if err != nil {
		canonical = text
	}
	return &expression{text: text, canonical: canonical, typ: checked.OutputType(), ast: checked.NativeRep(), program: program}, nil
}

// holds evaluates a boolean expression by CEL.
func (x *expression) holds(vars interpreter.Activation) (bool, error) {
	v, err := x.eval(vars)
	if err != nil {
		return false, err
	}
	b, ok := v.Value().(bool)
	if !ok {
		return false, errNotBool
	}
	return b, nil
}

var errNotBool = errors.New("the value is not true or false")

// eval evaluates the expression by CEL. It never panics: CEL turns a panic of a function into an error.
func (x *expression) eval(vars interpreter.Activation) (ref.Val, error) {
	p, err := x.program.get()
	if err != nil {
		return nil, err
	}
	v, _, err := p.Eval(vars)
	return v, err
}

// comprehends tells whether the expression loops.
func comprehends(e celast.Expr) bool {
	found := false
	celast.PreOrderVisit(e, celast.NewExprVisitor(func(e celast.Expr) {
		found = found || e.Kind() == celast.ComprehensionKind
	}))
	return found
}

// decodedPrefix marks the name under which an activation keeps decode() of an event field. No rule can write it.
const decodedPrefix = "@decode."

// cacheDecode lets decode(request.query) read the activation's cached value, so that the rules pay for it once an event.
func cacheDecode(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := i.(interpreter.InterpretableCall)
	if !ok || call.Function() != "decode" || len(call.Args()) != 1 {
		return i, nil
	}
	arg, ok := call.Args()[0].(interpreter.InterpretableAttribute)
	if !ok {
		return i, nil
	}
	attr, ok := arg.Attr().(interpreter.NamespacedAttribute)
	if !ok || len(attr.Qualifiers()) > 0 || len(attr.CandidateVariableNames()) != 1 {
		return i, nil
	}
	return &cachedDecode{InterpretableV2: i, name: decodedPrefix + attr.CandidateVariableNames()[0]}, nil
}

// cachedDecode is a call of decode with an event field.
type cachedDecode struct {
	interpreter.InterpretableV2
	name string
}

// Exec implements interpreter.InterpretableV2.
func (d *cachedDecode) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	if v, ok := frame.ResolveName(d.name); ok {
		if v, ok := v.(ref.Val); ok {
			return v
		}
	}
	return d.InterpretableV2.Exec(frame)
}

// Eval implements interpreter.Interpretable.
func (d *cachedDecode) Eval(vars interpreter.Activation) ref.Val {
	if v, ok := vars.ResolveName(d.name); ok {
		if v, ok := v.(ref.Val); ok {
			return v
		}
	}
	return d.InterpretableV2.Eval(vars)
}
