package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	celast "github.com/google/cel-go/common/ast"
)

// undeclared is the message for a name or a function that does not exist. The expression is nil when it could not be parsed.
func (env *environment) undeclared(a *celast.AST, id int64, name string, known []string) string {
	if a == nil {
		return env.unknown(name, known)
	}
	if called(a.Expr(), id) {
		return env.unknownFunction(name)
	}
	name = dottedName(a, id, name)
	if !strings.Contains(name, ".") && len(known) == 0 {
		if best := nearest(name, slices.Sorted(maps.Keys(env.macros))); best != "" && distance(name, best) <= 2 {
			return fmt.Sprintf("unknown name %.100q: did you mean the macro `%s`?", name, env.macros[best].usage())
		}
	}
	return env.unknown(name, known)
}

// usage is how the macro is written where it is used.
func (m *macro) usage() string {
	if len(m.params) == 0 {
		return m.name
	}
	return m.name + "(" + strings.Join(m.params, ", ") + ")"
}

// called tells whether the part of the expression is a call.
func called(e celast.Expr, id int64) bool {
	found := false
	celast.PreOrderVisit(e, celast.NewExprVisitor(func(e celast.Expr) {
		found = found || e.ID() == id && e.Kind() == celast.CallKind
	}))
	return found
}

// unknownFunction is the message for a function that does not exist.
func (env *environment) unknownFunction(name string) string {
	if name == seenFunction {
		return seenMessage
	}
	if hint := foreignFunction(name); hint != "" && env.macros[name] == nil {
		return fmt.Sprintf("unknown function or macro %.60q: %s", name, hint)
	}
	var known []string
	for f := range env.bare.Functions() {
		if !strings.ContainsAny(f, "@_") { // operators and what CEL keeps for itself
			known = append(known, f)
		}
	}
	for m := range env.macros {
		known = append(known, m)
	}
	slices.Sort(known)
	best := nearest(name, known)
	switch m := env.macros[best]; {
	case m != nil:
		return fmt.Sprintf("unknown function or macro %.60q: did you mean the macro `%s`?", name, m.usage())
	case best != "":
		return fmt.Sprintf("unknown function or macro %.60q: did you mean %s()?", name, best)
	}
	return fmt.Sprintf("unknown function or macro %.60q: docs/rules.md lists the functions", name)
}

// failMacro reports a fault in the text of a macro that the rule uses: where the macro is, and who uses it.
func (b *builder) failMacro(key string, v scalar, at int, f *fault) {
	e := f.macro.fail(f.macro.text, f.at, f.msg)
	v, at, _ = b.place(key, v, at+f.site, "")
	line, column := b.src.locate(v, at)
	e.Msg += fmt.Sprintf(" (used by the rule %.80q, %s, at %s:%d:%d)", b.raw.ID.Value, key, b.src.file, line, column)
	b.errs = append(b.errs, e)
}

// Find returns the rule with the id; the error of an id that does not exist names the nearest one.
func (s *Set) Find(id string) (*Rule, error) {
	if r := s.Rule(id); r != nil {
		return r, nil
	}
	best, least := "", len(id)/2+1
	for _, r := range s.rules {
		d := distance(id, r.ID)
		if strings.Contains(r.ID, id) || slices.Contains(strings.FieldsFunc(r.ID, func(c rune) bool { return c == '-' || c == '.' || c == '_' }), id) {
			d = min(d, 1)
		}
		if d < least {
			best, least = r.ID, d
		}
	}
	if best != "" {
		return nil, fmt.Errorf("there is no rule %.80q: did you mean %s?", id, best)
	}
	return nil, fmt.Errorf("there is no rule %.80q; `warder rules list` shows them", id)
}
