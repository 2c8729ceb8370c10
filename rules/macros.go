package rules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	celast "github.com/google/cel-go/common/ast"
)

// Bounds of macros.
const (
	MaxMacros      = 1000
	maxParams      = 8
	maxMacroDepth  = 16        // macros that use one another
	maxExpanded    = 5000      // parts of one expression, macros written out
	maxExpandedAll = 1_000_000 // of all expressions of a load
)

// macrosYAML is a document with macros.
type macrosYAML struct {
	Kind   scalar    `yaml:"kind"`
	Macros namedYAML `yaml:"macros"`
}

// macro is a named expression that others use as if it were written there.
type macro struct {
	name    string
	params  []string
	text    scalar
	src     source
	line    int
	used    bool // by a rule, or by a macro that a rule uses
	shipped bool // not asked for

	body    *celast.AST // with the macros that it uses written out; nil while it is not, and when it is faulty
	origins map[int64]origin
	free    map[string]bool // names in it that are neither parameters nor bound in it
	uses    []*macro
	depth   int // of the macros that it uses
	size    int // parts of the body
	state   int
}

// The states of a macro that is being written out.
const (
	macroNew = iota
	macroOpen
	macroDone
)

var macroForm = regexp.MustCompile(`^([a-z][A-Za-z0-9_]{0,39})\s*(?:\(([^()]*)\))?$`)

// addMacros reads the macros of a document.
func (env *environment) addMacros(d document) []error {
	var raw macrosYAML
	if err := decodeYAML(d.body, &raw); err != nil {
		return []error{d.src.yamlError(err)}
	}
	var errs []error
	for _, v := range raw.Macros {
		m := &macro{src: d.src}
		name := scalar{Value: keyText(v), node: v.Key}
		m.line, _ = d.src.locate(name, 0)
		err := m.text.UnmarshalYAML(v.Value)
		if err != nil {
			err = d.src.yamlError(err)
		} else if msg := env.declare(m, name.Value); msg != "" {
			err = m.fail(name, 0, msg)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// fail is an error in the macro's file.
func (m *macro) fail(v scalar, at int, msg string) *Error {
	e := &Error{File: m.src.file, Line: m.line, Msg: msg, Key: "macros." + m.name}
	if m.name == "" {
		e.Key = "macros"
	}
	if line, column := m.src.locate(v, at); line > 0 {
		e.Line, e.Column, e.Source = line, column, m.src.line(line)
	}
	return e
}

// declare takes the macro's name and parameters apart; it returns what is wrong with them.
func (env *environment) declare(m *macro, head string) string {
	parts := macroForm.FindStringSubmatch(head)
	if parts == nil {
		return "want a name such as is_login, or a name with parameters such as carries(text, pattern)"
	}
	if strings.Contains(head, "(") {
		for p := range strings.SplitSeq(parts[2], ",") {
			p = strings.TrimSpace(p)
			if !nameRE.MatchString(p) || slices.Contains(celReserved(), p) || slices.Contains(m.params, p) {
				return fmt.Sprintf("%.40q is no parameter: want different names of lower-case letters, digits and '_'", p)
			}
			m.params = append(m.params, p)
		}
		if len(m.params) > maxParams {
			return fmt.Sprintf("has %d parameters, limit is %d", len(m.params), maxParams)
		}
	}
	name := parts[1]
	switch old := env.macros[name]; {
	case old != nil:
		return fmt.Sprintf("there is already a macro of this name at %s:%d: choose another", old.src.file, old.line)
	case env.taken[name] || slices.Contains(celReserved(), name):
		return fmt.Sprintf("%s is already a field or a function: choose another name", name)
	case len(env.macros) >= MaxMacros:
		return fmt.Sprintf("more than %d macros in all", MaxMacros)
	}
	m.name = name
	env.macros[name] = m
	return ""
}

// resolveMacros writes out the macros that macros use, and checks those that can be checked by themselves.
func (env *environment) resolveMacros() []error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(env.macros)) {
		errs = append(errs, env.resolve(env.macros[name], nil)...)
	}
	return errs
}

// resolve writes out the macros that m uses. The path is those that led to it.
func (env *environment) resolve(m *macro, path []string) []error {
	switch m.state {
	case macroDone:
		return nil
	case macroOpen:
		loop := append(path[slices.Index(path, m.name):], m.name)
		return []error{m.fail(m.text, 0, "uses itself: "+strings.Join(loop, " → "))}
	}
	m.state = macroOpen
	defer func() { m.state = macroDone }()
	body, err := env.parseMacro(m)
	if err != nil {
		return m.faults(err)
	}
	var errs []error
	path = append(path, m.name)
	for _, name := range env.macrosIn(body) {
		used := env.macros[name]
		if slices.Contains(m.params, name) {
			continue
		}
		m.uses = append(m.uses, used)
		errs = append(errs, env.resolve(used, path)...)
		m.depth = max(m.depth, used.depth+1)
	}
	if len(errs) > 0 {
		return errs
	}
	if m.depth >= maxMacroDepth {
		return []error{m.fail(m.text, 0, fmt.Sprintf("macros use one another more than %d deep", maxMacroDepth))}
	}
	x := newExpander(env, m.text.Value, body, m.params, nil)
	if err := x.run(); err != nil {
		return m.faults(err)
	}
	m.body, m.origins, m.size = body, x.origins, celast.NodeCount(body)
	m.free = freeNames(body.Expr())
	for _, p := range m.params {
		delete(m.free, p)
	}
	return nil
}

func (env *environment) parseMacro(m *macro) (body *celast.AST, err error) {
	defer func() {
		if r := recover(); r != nil {
			body, err = nil, &fault{msg: fmt.Sprintf("cannot be read: %v", r)}
		}
	}()
	text := m.text.Value
	if strings.TrimSpace(text) == "" {
		return nil, &fault{msg: "is empty: write a CEL expression"}
	}
	if len(text) > MaxExpr {
		return nil, &fault{msg: fmt.Sprintf("has %d bytes, limit is %d", len(text), MaxExpr)}
	}
	parsed, issues := env.events.Parse(text)
	if issues.Err() != nil {
		return nil, env.explain(text, nil, issues, nil)
	}
	return parsed.NativeRep(), nil
}

// faults places what is wrong with the macro's own text.
func (m *macro) faults(err error) []error {
	var out []error
	for _, f := range faults(err) {
		if f.macro != nil && f.macro != m {
			out = append(out, f.macro.fail(f.macro.text, f.at, f.msg))
			continue
		}
		out = append(out, m.fail(m.text, f.at, f.msg))
	}
	return out
}

// use marks the macro and those that it uses.
func (m *macro) use() {
	if m.used {
		return
	}
	m.used = true
	for _, u := range m.uses {
		u.use()
	}
}

// macrosIn names the macros that occur in the expression, each once, in order; names that are bound in it may be among them.
func (env *environment) macrosIn(a *celast.AST) []string {
	var out []string
	celast.PreOrderVisit(a.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		name := ""
		switch e.Kind() {
		case celast.IdentKind:
			name = e.AsIdent()
		case celast.CallKind:
			if c := e.AsCall(); !c.IsMemberFunction() {
				name = c.FunctionName()
			}
		}
		if env.macros[name] != nil && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}))
	return out
}

// loose checks the macros that no rule uses and that have no parameters: a macro that is wrong should not wait for its first rule.
// A macro that reads a condition's aggregates can only be checked there.
func (env *environment) loose() []error {
	var errs []error
	used := map[*macro]bool{}
	for _, m := range env.macros {
		used[m] = m.used
	}
	defer func() {
		for m, by := range used { // to look at a macro is not to use what it uses
			m.used = by
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(env.macros)) {
		m := env.macros[name]
		if used[m] || len(m.params) > 0 || m.body == nil {
			continue
		}
		_, err := env.compile(env.events, m.text.Value, nil)
		errs = append(errs, m.faults(err)...)
	}
	return errs
}
