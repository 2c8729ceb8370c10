package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/warder/warder/rules"
)

func TestLintForms(t *testing.T) {
	const head = "id: a\ntitle: A\ndescription: It is.\ntags: [owasp.api2]\nsuppress: 1h\n"
	const tests = "\ntests:\n  - {name: a, events: [], expect: [{group: [%s]}]}\n  - {name: b, events: [], expect: []}\n"
	steps := func(list ...string) string {
		return "group_by: [source.address]\nsequence:\n  span: 10m\n  steps:\n    - " + strings.Join(list, "\n    - ")
	}
	first := "{name: one, filter: response.code == 401, keep: {id: principal.id}}"
	for name, c := range map[string]struct{ keys, group, want string }{
		"absence of all":   {"filter: response.code == 200\nabsence: {span: 10m}", "", "missing-group 1"},
		"absence":          {"filter: response.code == 200\ngroup_by: [principal.id]\nabsence: {span: 10m}", "x", ""},
		"its own value":    {"filter: response.code == 200\ngroup_by: [source.country]\nfirst_seen: {value: source.country}", "x", "unreachable 1"},
		"no peers":         {"filter: response.code == 200\ngroup_by: [principal.id]\nrare: {value: api.route, peers: [principal.id]}", "x", "unreachable 1"},
		"the peers' value": {"filter: response.code == 200\ngroup_by: [principal.id]\nrare: {value: api.name, peers: [api.name]}", "x", "unreachable 1"},
		"steps":            {steps(first, "{name: two, filter: response.code == 200 && principal.id == one.id}"), "x", ""},
		"impossible step":  {steps("{name: one, filter: response.code == 401}", "{name: two, filter: response.code == 200 && response.code == 201}"), "x", "unreachable 11"},
		"both":             {steps(first, "{name: two, filter: principal.id == one.id && principal.id != one.id}"), "x", "unreachable 11"},
		"kept for nothing": {steps(first, "{name: two, filter: response.code == 200}"), "x", "unused-keep 10"},
		"long": {strings.Replace(steps("{name: one, filter: response.code == 401}", "{name: two, filter: response.code == 200}"), "10m", "3d", 1), "x",
			"long-span 1"},
		"over one": {"filter: response.code == 200\ngroup_by: [principal.id]\nwindow: {size: 10m}\naggregates: {r: ratio(response.size > 5), n: count()}\ncondition: r <= 1.0 && n > 20", "x",
			"always-true 10"},
		"top": {"filter: response.code == 200\ngroup_by: [principal.id]\nwindow: {size: 10m}\naggregates: {t: top(request.path)}\ncondition: t.share > 0.9 && t.share < 0.5", "x",
			"unreachable 10"},
		"exception": {"filter: response.code == 200\nexcept: [{when: response.code == 404, owner: me, reason: x, until: 2030-01-01}]", "", "unreachable 7"},
		"seen twice": {"filter: response.code == 200 && response.code == 201 && !seenBefore(request.path)\ngroup_by: [principal.id]", "x",
			"unreachable 6"},
		"parameter": {"filter: big(request.size, 3)", "", "unused-parameter 12"},
	} {
		text := head + c.keys + fmt.Sprintf(tests, c.group)
		if name == "parameter" {
			text += "---\nkind: macros\nmacros: {'big(n, than)': n > 1000}\n"
		}
		var got []string
		for _, f := range rules.Lint(fstest.MapFS{"a.yaml": {Data: []byte(text)}}) {
			if f.Check == "load" {
				t.Errorf("%s: %s", name, f.Msg)
			}
			got = append(got, fmt.Sprintf("%s %d", f.Check, f.Line))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

// TestEventsOfAnExtension reads the tests of a rule that extends another one: they are its own.
func TestEventsOfAnExtension(t *testing.T) {
	fsys := fstest.MapFS{
		"p.yaml": {Data: []byte("id: p\ntitle: P\nfilter: response.code == 404\ntests:\n  - {name: p, events: [{request.path: /p}], expect: []}\n")},
		"c.yaml": {Data: []byte("# one\n---\nid: c\nextend: p\nfilter_and: request.path == \"/c\"\ntests:\n  - {name: c, events: [{request.path: /c}, {request.path: /d}], expect: []}\n")},
	}
	set, err := rules.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	r := set.Rule("c")
	events, err := r.TestEvents(fsys)(0)
	if err != nil || len(events) != 2 || events[0].Request.Path != "/c" {
		t.Fatalf("%d events, %v", len(events), err)
	}
	p := r.Parts()[0]
	for text, want := range map[string]string{"response.code": "p.yaml:3:9 3:0", `request.path ==`: "c.yaml:5:13 5:13"} {
		file, line, column := p.Origin(strings.Index(p.Text, text))
		l, c := p.Place(strings.Index(p.Text, text))
		if got := fmt.Sprintf("%s:%d:%d %d:%d", file, line, column, l, c); got != want {
			t.Errorf("%s is at %s, want %s", text, got, want)
		}
	}
}
