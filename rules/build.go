package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/cel"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
)

// builder makes a Rule of one YAML document and collects every fault that it finds on the way.
type builder struct {
	env  *environment
	src  source
	raw  *ruleYAML
	rule *Rule
	errs []error
	// inherited are the keys that the rule took over from the one that it extends.
	inherited map[string]bool
}

// fail records a fault at the scalar; without one it is the rule's beginning.
func (b *builder) fail(key string, v scalar, format string, args ...any) {
	b.failAt(key, v, 0, fmt.Sprintf(format, args...))
}

func (b *builder) failAt(key string, v scalar, at int, msg string) {
	v, at, msg = b.place(key, v, at, msg)
	e := &Error{File: b.src.file, Line: b.rule.Line, Rule: b.raw.ID.Value, Key: key, Msg: msg}
	if line, column := b.src.locate(v, at); line > 0 {
		e.Line, e.Column, e.Source = line, column, b.src.line(line)
	}
	b.errs = append(b.errs, e)
}

// build checks everything; the rule is usable only when the error is nil.
func (b *builder) build() (*Rule, error) {
	b.texts()
	b.mode()
	b.groupBy()
	b.window()
	b.form()
	b.aggregates()
	b.condition()
	b.rule.Suppress = b.duration("suppress", b.raw.Suppress, 0, MaxSuppress)
	for i, r := range b.raw.Respond {
		b.respond(i, r)
	}
	if v := b.raw.Enforced; v.set() {
		on, err := strconv.ParseBool(v.Value)
		if err != nil {
			b.fail("include_enforced", v, "want true or false")
		}
		b.rule.IncludeEnforced = on
	}
	b.exceptions()
	b.metadata()
	b.tests()
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	b.rule.Version = b.rule.meaning()
	return b.rule, nil
}

var (
	idForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,79}$`)
	tagForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,79}$`)
	nameRE  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
)

func (b *builder) texts() {
	r, raw := b.rule, b.raw
	r.ID, r.Title, r.Description = raw.ID.Value, strings.TrimSpace(raw.Title.Value), strings.TrimSpace(raw.Description.Value)
	switch {
	case !raw.ID.set():
		b.fail("id", raw.ID, "is missing: every rule needs a unique id such as login-stuffing")
	case !idForm.MatchString(r.ID):
		b.fail("id", raw.ID, "want lower-case letters, digits, '-', '_' and '.', at most 80, beginning with a letter or digit")
	}
	if r.Title == "" || len(r.Title) > 200 {
		b.fail("title", raw.Title, "want 1 to 200 bytes: the line that people read in a notification")
	}
	if len(r.Description) > 4096 {
		b.fail("description", raw.Description, "has %d bytes, limit is 4096", len(r.Description))
	}
	r.Severity = alert.Severity(raw.Severity.Value)
	if !raw.Severity.set() {
		r.Severity = alert.Medium
	} else if r.Severity.Rank() < 0 {
		b.fail("severity", raw.Severity, "unknown severity %.20q: want info, low, medium, high or critical", raw.Severity.Value)
	}
	for _, t := range raw.Tags {
		if !tagForm.MatchString(t.Value) {
			b.fail("tags", t, "want a word such as owasp.api2 or attack.t1110")
		}
		r.Tags = append(r.Tags, t.Value)
	}
	if len(r.Tags) > 32 {
		b.fail("tags", raw.Tags[32], "has %d tags, limit is 32", len(r.Tags))
	}
}

func (b *builder) mode() {
	m := b.raw.Mode
	word, share, _ := strings.Cut(strings.TrimSpace(m.Mode.Value), " ")
	where := m.Mode
	if m.Canary.set() {
		share, where = m.Canary.Value, m.Canary
	}
	word = strings.TrimSuffix(word, ":")
	b.rule.Mode = alert.Mode(word)
	switch b.rule.Mode {
	case alert.Shadow, alert.Enforce:
		if share != "" {
			b.fail("mode", where, "only canary takes a share")
		}
	case alert.Canary:
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(share), "%"))
		if err != nil || n < 1 || n > 100 {
			b.fail("mode", where, "write the share of entities: canary 10%%")
		}
		b.rule.Canary = n
	case "":
		b.rule.Mode = alert.Shadow
	default:
		b.fail("mode", where, "unknown mode %.20q: want shadow, canary 10%% or enforce", word)
	}
}

func (b *builder) groupBy() {
	for i, g := range b.raw.GroupBy {
		f := b.env.fields[g.Value]
		switch {
		case f == nil:
			b.fail("group_by", g, "%s", b.env.unknown(g.Value, b.groupable()))
		case !f.groupable():
			b.fail("group_by", g, "%s has no single value; group by a text or a number", g.Value)
		case slices.Contains(b.rule.GroupBy, g.Value):
			b.fail("group_by", g, "%s is there twice", g.Value)
		case i >= MaxGroupBy:
			b.fail("group_by", g, "limit is %d fields", MaxGroupBy)
		default:
			b.rule.GroupBy = append(b.rule.GroupBy, g.Value)
			b.rule.group = append(b.rule.group, f)
		}
	}
}

func (b *builder) groupable() []string {
	var names []string
	for _, n := range b.env.names {
		if b.env.fields[n].groupable() {
			names = append(names, n)
		}
	}
	return names
}

func (b *builder) window() {
	w := b.raw.Window
	if w == nil {
		return
	}
	b.rule.Window = Window{Type: w.Type.Value, Size: b.duration("window.size", w.Size, time.Second, MaxWindow)}
	switch w.Type.Value {
	case Sliding, Tumbling:
	case Session:
		b.session(w)
	case "":
		b.rule.Window.Type = Sliding
	default:
		b.fail("window.type", w.Type, "unknown type %.20q: want sliding, tumbling or session", w.Type.Value)
	}
	if w.Gap.set() && b.rule.Window.Type != Session {
		b.fail("window.gap", w.Gap, "only a session has a gap: write type: session")
	}
	if !w.Size.set() && b.rule.Window.Type != Session {
		b.fail("window.size", b.raw.ID, "is missing: write for example 60s")
	}
	if len(b.raw.Aggregates) == 0 || !b.raw.Condition.set() {
		b.fail("window", b.raw.ID, "a rule with a window needs aggregates and a condition over them")
	}
}

// expression compiles v.Value; when it is part of a longer scalar, it begins at byte at of the scalar whole.
func (b *builder) expression(key string, v scalar, at int, whole scalar, e *cel.Env, known ...string) *expression {
	x, err := b.env.compile(e, v.Value, known)
	for _, f := range faults(err) {
		place := v
		if whole.set() {
			place = whole
		}
		if f.macro != nil {
			b.failMacro(key, place, at, f)
			continue
		}
		b.failAt(key, place, at+f.at, f.msg)
	}
	return x
}

func (b *builder) boolean(key string, v scalar, e *cel.Env, known []string) *expression {
	if !v.set() {
		b.fail(key, b.raw.ID, "%s is missing: write a CEL expression, or true for every event", key)
		return nil
	}
	x := b.expression(key, v, 0, scalar{}, e, known...)
	if x != nil && !x.typ.IsExactType(cel.BoolType) {
		b.fail(key, v, "must be true or false, this is %s", x.typ)
	}
	return x
}

func (b *builder) condition() {
	if !b.raw.Condition.set() {
		return
	}
	if len(b.raw.Aggregates) == 0 {
		b.fail("condition", b.raw.Condition, "reads aggregates, and there are none; put what one event must fulfil into the filter")
		return
	}
	e, names, err := b.env.conditions(b.rule)
	if err != nil {
		b.fail("condition", b.raw.Condition, "%s", err)
		return
	}
	b.rule.condition = b.boolean("condition", b.raw.Condition, e, names)
	b.shares(b.rule.condition)
}

// conditions is the environment of the rule's condition: the aggregates' names.
func (env *environment) conditions(r *Rule) (*cel.Env, []string, error) {
	vars, names := r.variables()
	e, err := env.bare.Extend(vars...)
	return e, names, err
}

// duration reads an optional duration within bounds.
func (b *builder) duration(key string, v scalar, least, most time.Duration) time.Duration {
	if !v.set() {
		return 0
	}
	d, err := config.ParseDuration(v.Value)
	switch {
	case err != nil:
		b.fail(key, v, "%s", err)
	case d.Std() < least || d.Std() > most:
		b.fail(key, v, "want %s to %s", config.Duration(least), config.Duration(most))
	}
	return d.Std()
}

// celReserved lists words that CEL keeps for itself or that would hide a function.
func celReserved() []string {
	return strings.Fields("as break const continue else false for function if import in let loop package namespace null return true var void while " +
		"bool bytes double duration int list map string timestamp type uint dyn math sets optional cel")
}

// faults flattens a joined error into its faults.
func faults(err error) []*fault {
	var out []*fault
	for _, e := range flatten(err) {
		var f *fault
		if errors.As(e, &f) {
			out = append(out, f)
		} else {
			out = append(out, &fault{msg: e.Error()})
		}
	}
	return out
}

func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}
