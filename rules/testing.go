package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
)

// Test is one test of a rule: what comes in and which alerts go out.
type Test struct {
	Name string
	// File is the fixture, relative to the rule's file; empty when the events are written in the rule. [Rule.TestEvents]
	// reads either.
	File string
	// Expect has one entry per alert, in any order; none for a negative test.
	Expect []Expectation
	Line   int
}

// Expectation is one alert that a test expects.
type Expectation struct {
	Group  []string           // in the order of the rule's GroupBy
	Values map[string]float64 // aggregates that are compared, to a millionth; others may have any value
	Texts  map[string]string  // the same for values that are texts: "t.value" of a top
}

// Positive tells whether the test expects an alert.
func (t *Test) Positive() bool { return len(t.Expect) > 0 }

// tests reads the rule's tests.
func (b *builder) tests() {
	for _, raw := range b.raw.Tests {
		t := Test{Name: raw.Name.Value, File: raw.Events.File.Value}
		where := raw.Name
		if t.Name == "" {
			b.fail("tests", b.raw.ID, "a test has no name")
			continue
		}
		t.Line, _ = b.src.locate(where, 0)
		key := "tests." + t.Name
		if t.File == "" && raw.Events.Inline == nil {
			b.fail(key, where, "events are missing: name a fixture file or write a list of events")
		}
		// Only checked here: the events of large rule sets would hold much memory that detection never looks at.
		if _, err := inlineEvents(raw.Events.Inline); err != nil {
			b.fail(key, where, "%s", err)
		}
		for _, e := range raw.Expect {
			t.Expect = append(t.Expect, b.expectations(key, where, e)...)
		}
		b.rule.Tests = append(b.rule.Tests, t)
	}
}

// expectations reads one entry of expect, which with repeat stands for several.
func (b *builder) expectations(key string, where scalar, raw expectYAML) []Expectation {
	n := 1
	if raw.Repeat.set() {
		var err error
		if n, err = strconv.Atoi(raw.Repeat.Value); err != nil || n < 1 || n > maxExpected {
			b.fail(key, raw.Repeat, "expect: repeat is 1 to %d", maxExpected)
			return nil
		}
	}
	out := make([]Expectation, n)
	for i := range out {
		out[i] = b.expectation(key, where, raw, i+1)
	}
	return out
}

// maxExpected bounds the alerts that one entry of expect stands for.
const maxExpected = 1000

func (b *builder) expectation(key string, where scalar, raw expectYAML, i int) Expectation {
	var e Expectation
	for _, g := range raw.Group {
		e.Group = append(e.Group, counted(g.Value, i))
	}
	if len(e.Group) != len(b.rule.GroupBy) {
		b.fail(key, where, "expect: group has %d values, group_by has %d fields", len(e.Group), len(b.rule.GroupBy))
	}
	for _, name := range slices.Sorted(maps.Keys(raw.Values)) {
		b.expectedValue(key, name, raw.Values[name], &e)
	}
	return e
}

// inlineEvents reads events that are written in the rule, in the form of a fixture.
func inlineEvents(nodes []ast.Node) ([]*event.Event, error) {
	f := &fixture{}
	for i, n := range nodes {
		var v map[string]any
		if err := yaml.NodeToValue(n, &v); err != nil {
			return nil, fmt.Errorf("event %d: want a mapping of fields", i+1)
		}
		line, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("event %d: want texts, numbers, lists and mappings", i+1)
		}
		if err := f.add(line); err != nil {
			return nil, fmt.Errorf("event %d: %w", i+1, err)
		}
	}
	return f.events, nil
}

// TestResult is the outcome of one test of one rule.
type TestResult struct {
	Rule *Rule
	Test string
	Line int
	// Err is set when the test could not run.
	Err error
	// Missing and Surplus are expected alerts that did not come, and alerts that were not expected.
	Missing []Expectation
	Surplus []Expectation
}

// Passed tells whether the test ran and found what it expects.
func (r *TestResult) Passed() bool { return r.Err == nil && len(r.Missing) == 0 && len(r.Surplus) == 0 }

// String is "pass" or says what differs.
func (r *TestResult) String() string {
	if r.Err != nil {
		return r.Err.Error()
	}
	var parts []string
	for _, e := range r.Missing {
		parts = append(parts, "missing: alert for "+e.String())
	}
	for _, e := range r.Surplus {
		parts = append(parts, "not expected: alert for "+e.String())
	}
	if len(parts) == 0 {
		return "pass"
	}
	return strings.Join(parts, "; ")
}

// String names the group and the values.
func (e Expectation) String() string {
	s := fmt.Sprintf("%q", e.Group)
	for _, k := range slices.Sorted(maps.Keys(e.Values)) {
		s += fmt.Sprintf(" %s=%s", k, strconv.FormatFloat(e.Values[k], 'g', -1, 64))
	}
	for _, k := range slices.Sorted(maps.Keys(e.Texts)) {
		s += fmt.Sprintf(" %s=%.200q", k, e.Texts[k])
	}
	return s
}

// RunTests runs every test of every rule, in order. fsys is where the rules were loaded from; fixtures are found relative to
// the rule's file. run feeds the events to a fresh detector that holds only this rule and returns its alerts.
func RunTests(set *Set, fsys fs.FS, run func(r *Rule, events []*event.Event) ([]*alert.Alert, error)) []TestResult {
	var out []TestResult
	for _, r := range set.Rules() {
		events := r.TestEvents(fsys)
		for i := range r.Tests {
			t := &r.Tests[i]
			res := TestResult{Rule: r, Test: t.Name, Line: t.Line}
			events, err := events(i)
			var alerts []*alert.Alert
			if err == nil {
				alerts, err = run(r, events)
			}
			if res.Err = err; err == nil {
				res.Missing, res.Surplus = t.Compare(r, alerts)
			}
			out = append(out, res)
		}
	}
	return out
}

// readFixture reads the events of a fixture file.
func readFixture(fsys fs.FS, name string) ([]*event.Event, error) {
	b, err := readRegular(fsys, name, MaxFile)
	if err != nil {
		return nil, fmt.Errorf("fixture %s: %w", name, cause(err))
	}
	events, err := ReadFixture(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("fixture %s: %w", name, err)
	}
	return events, nil
}

// Compare takes each alert off the list of expected ones: what is left over on either side is missing or surplus.
func (t *Test) Compare(r *Rule, alerts []*alert.Alert) (missing, surplus []Expectation) {
	missing = slices.Clone(t.Expect)
	for _, a := range alerts {
		got := r.Found(a)
		i := slices.IndexFunc(missing, func(e Expectation) bool { return e.Covers(got) })
		if i < 0 {
			surplus = append(surplus, got)
			continue
		}
		missing = slices.Delete(missing, i, i+1)
	}
	return missing, surplus
}

// Found is what an alert of the rule says, in the form of an expectation.
func (r *Rule) Found(a *alert.Alert) Expectation {
	got := Expectation{Values: a.Values, Texts: a.Texts}
	for _, g := range r.GroupBy {
		got.Group = append(got.Group, a.Group[g])
	}
	return got
}

// Covers tells whether an alert is the expected one.
func (e Expectation) Covers(got Expectation) bool {
	if !slices.Equal(e.Group, got.Group) {
		return false
	}
	for k, v := range e.Values {
		if n, ok := got.Values[k]; !ok || !(math.Abs(n-v) <= 1e-6) {
			return false
		}
	}
	for k, v := range e.Texts {
		if got.Texts[k] != v {
			return false
		}
	}
	return true
}
