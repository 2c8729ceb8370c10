package rules

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/warder/warder/internal/decision"
)

// Level says how bad a finding is.
type Level string

// The levels: a rule with an error is not loaded, a warning is advice.
const (
	LevelError   Level = "error"
	LevelWarning Level = "warning"
)

// Finding is something that Lint noticed.
type Finding struct {
	Level Level  `json:"level"`
	File  string `json:"file"`
	Line  int    `json:"line,omitempty"`
	// Column is from 1, in characters; 0 when only the line is known.
	Column int    `json:"column,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Check  string `json:"check"` // a stable name: "missing-tests"
	Msg    string `json:"message"`
}

// String returns "file:line:column: level: rule "id": message (check)".
func (f Finding) String() string {
	if f.Check == "load" {
		return "error: " + f.Msg
	}
	place := fmt.Sprintf("%s:%d", f.File, f.Line)
	if f.Column > 0 {
		place += fmt.Sprintf(":%d", f.Column)
	}
	if f.Rule == "" {
		return fmt.Sprintf("%s: %s: %s (%s)", place, f.Level, f.Msg, f.Check)
	}
	return fmt.Sprintf("%s: %s: rule %q: %s (%s)", place, f.Level, f.Rule, f.Msg, f.Check)
}

// Lint is LintOn without a date: exceptions that have ended are not noticed.
func Lint(fsys fs.FS, paths ...string) []Finding { return LintOn(time.Time{}, fsys, paths...) }

// LintOn loads rules like Load and returns its faults as errors, and as warnings what is allowed and still unwise. Fixtures are
// looked at, too: one that is missing or cannot be read is an error. Exceptions that ended before the time are warned of.
// Findings are in the order of files and lines.
func LintOn(now time.Time, fsys fs.FS, paths ...string) []Finding {
	lib, err := load(Options{}, fsys, paths...)
	var out []Finding
	for _, err := range flatten(err) {
		f := Finding{Level: LevelError, Check: "load", Msg: err.Error()}
		var e *Error
		if errors.As(err, &e) {
			f.File, f.Line, f.Column, f.Rule = e.File, e.Line, e.Column, e.Rule
		}
		out = append(out, f)
	}
	if lib == nil {
		return out
	}
	for _, r := range lib.rules {
		l := &linter{rule: r, fsys: fsys, now: now}
		l.run()
		l.extensions()
		out = append(out, l.out...)
	}
	out = append(out, lib.unused()...)
	same(lib.rules, func(r *Rule, check, format string, args ...any) {
		l := &linter{rule: r, fsys: fsys}
		l.warn(check, format, args...)
		out = append(out, l.out...)
	})
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Check, b.Check))
	})
	return out
}

type linter struct {
	rule  *Rule
	fsys  fs.FS
	now   time.Time       // zero: unknown
	parts map[string]Part // by name; see part
	out   []Finding
}

func (l *linter) warn(check, format string, args ...any) {
	l.add(LevelWarning, l.rule.Line, check, format, args...)
}

func (l *linter) add(level Level, line int, check, format string, args ...any) {
	l.out = append(l.out, Finding{Level: level, File: l.rule.File, Line: line, Rule: l.rule.ID, Check: check, Msg: fmt.Sprintf(format, args...)})
}

func (l *linter) run() {
	r := l.rule
	if r.Description == "" {
		l.warn("missing-description", "says nothing about what it means and what to do; write a description")
	}
	if len(r.Tags) == 0 {
		l.warn("missing-tags", "has no tags; name what it covers, for example owasp.api2 or attack.t1110")
	}
	l.style()
	l.filter()
	l.broad()
	l.everyone()
	l.logic()
	l.forms()
	l.cost()
	l.noise()
	l.tests()
}

// filter looks at how much the rule lets in.
func (l *linter) filter() {
	r := l.rule
	always := r.filter.canonical == "true"
	if always && len(r.Respond) > 0 && r.Window.Type == None && r.Form == FormEvents && len(r.Seen) == 0 {
		l.warn("over-broad", "answers every single request: the filter is true and there is no window")
	}
	if always && len(r.Aggregates) == 1 && strings.TrimSpace(r.Aggregates[0].Where) == "true" {
		l.warn("over-broad", "where: true changes nothing")
	}
	if strings.Contains(r.filter.canonical, "enforced.") && !r.IncludeEnforced {
		l.warn("never-enforced", "reads enforced.* but leaves out what Warder answered itself; add include_enforced: true")
	}
}

// everyone looks at answers that hit whoever is near an attacker.
func (l *linter) everyone() {
	for _, a := range l.rule.Respond {
		switch decision.Scope(a.Scope) { // the narrowest of them
		case decision.Country, decision.ASN, decision.Route, decision.Tenant, decision.UserAgent:
			if a.Action == string(decision.Block) || a.Action == string(decision.Challenge) {
				l.warn("over-broad", "answers with a %s of %s alone, which hits everyone there; add a narrower scope such as source.address to it",
					a.Action, strings.Join(append([]string{a.Scope}, a.And...), " and "))
			}
		}
	}
}

// noise looks at how often the rule can alert.
func (l *linter) noise() {
	r := l.rule
	switch windowed := r.Window.Type != None; {
	case r.Form != FormEvents: // says it once, or is silent for its span
	case r.Suppress == 0 && !windowed: // a window's size is the default
		l.warn("missing-suppress", "has no suppress: it alerts for every event that fulfils it")
	case r.Suppress > 0 && r.Suppress < r.Window.Size:
		l.warn("short-suppress", "suppress %s is shorter than the window %s: the same events can alert twice", r.Suppress, r.Window.Size)
	}
	if r.Window.Type != None && len(r.GroupBy) == 0 {
		l.warn("missing-group", "has a window over all traffic together; name the entity in group_by")
	}
	if len(r.GroupBy) == 0 && (r.Form == FormSequence || r.Form == FormFirstSeen || len(r.Seen) > 0) {
		l.warn("missing-group", "remembers all traffic together; name the entity in group_by")
	}
	for _, a := range r.Aggregates {
		if r.condition != nil && !mentions(r.condition.canonical, a.Name) {
			l.warn("unused-aggregate", "the condition does not read %s", a.Name)
		}
	}
}

// mentions tells whether the name stands in the text as a word.
func mentions(text, name string) bool {
	words := strings.FieldsFunc(text, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	return slices.Contains(words, name)
}

func (l *linter) tests() {
	positive, negative := 0, 0
	events := l.rule.TestEvents(l.fsys)
	for i := range l.rule.Tests {
		t := &l.rule.Tests[i]
		if t.Positive() {
			positive++
		} else {
			negative++
		}
		if _, err := events(i); err != nil {
			l.add(LevelError, t.Line, "fixture", "test %q: %s", t.Name, err)
		}
	}
	if positive == 0 {
		l.warn("missing-tests", "has no test that expects an alert")
	}
	if negative == 0 {
		l.warn("missing-tests", "has no test that expects none")
	}
}
