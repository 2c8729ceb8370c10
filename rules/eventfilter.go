package rules

import (
	"errors"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"

	"github.com/warder/warder/internal/event"
)

// EventFilter is a condition on one event in the language of a rule's filter, but no rule's: it searches the past. It is immutable and
// safe for concurrent use.
type EventFilter struct {
	rule *Rule
	set  *Set
}

// CompileFilter compiles a condition on an event, with the bounds that a rule's filter has. Lists and macros of rules are not known in
// it. Every fault is an [*Error] whose File is "filter"; they are joined.
func CompileFilter(opt Options, text string) (*EventFilter, error) {
	env, err := newEnvironment(opt)
	if err != nil {
		return nil, err
	}
	x, err := env.compile(env.events, text, nil)
	if err == nil && !x.typ.IsExactType(cel.BoolType) {
		err = &fault{msg: "must be true or false, this is " + x.typ.String()}
	}
	if err != nil {
		var out []error
		for _, f := range faults(err) {
			out = append(out, filterError(text, f))
		}
		return nil, errors.Join(out...)
	}
	r := &Rule{ID: "filter", IncludeEnforced: true, filter: x, errs: new(atomic.Uint64), excepted: new(atomic.Uint64), env: env}
	return &EventFilter{rule: r, set: newSet([]*Rule{r})}, nil
}

// filterError tells where in the text the fault is.
func filterError(text string, f *fault) *Error {
	before, rest := text[:f.at], text[f.at:]
	begin := strings.LastIndexByte(before, '\n') + 1
	line, _, _ := strings.Cut(rest, "\n")
	return &Error{File: "filter", Line: 1 + strings.Count(before, "\n"), Column: 1 + utf8.RuneCountInString(before[begin:]),
		Msg: f.msg, Source: before[begin:] + line}
}

// Match tells whether the condition holds for the event. It does not when the evaluation fails; then there is an error, too, unless the
// engine could tell without evaluating all of it.
func (f *EventFilter) Match(e *event.Event) (bool, error) {
	in := f.set.pool.Get().(*input)
	in.begin(e)
	ok := f.rule.accepts(in, f.rule.filter)
	err := errors.Join(in.failures...)
	in.clear()
	f.set.pool.Put(in)
	return ok, err
}

// UsesGeo tells whether the condition calls geo(), which needs [Options.Geo].
func (f *EventFilter) UsesGeo() bool { return len(f.set.UsesGeo()) > 0 }

// AST returns the checked expression, which must not be changed.
func (f *EventFilter) AST() *celast.AST { return f.rule.filter.ast }
