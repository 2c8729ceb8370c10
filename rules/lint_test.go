package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/rules"
)

// clean is a rule of which lint says nothing; %s is where a test puts its own keys.
const clean = `id: a
title: A rule
description: It is for tests.
tags: [attack.t1110]
%s
suppress: 10m
tests:
  - {name: one, events: [], expect: [{group: []}]}
  - {name: none, events: [], expect: []}
`

// findings are "check line:column" of what lint says of the keys.
func findings(t *testing.T, keys string) []string {
	t.Helper()
	var out []string
	for _, f := range rules.Lint(fstest.MapFS{"a.yaml": {Data: fmt.Appendf(nil, clean, keys)}}) {
		if f.Check == "load" {
			t.Fatalf("%s: %s", keys, f)
		}
		if f.Check != "missing-group" {
			out = append(out, fmt.Sprintf("%s %d:%d", f.Check, f.Line, f.Column))
		}
	}
	return out
}

func TestLintLogic(t *testing.T) {
	windowed := func(filter, where, condition string) string {
		return "filter: " + filter + "\nwindow: {size: 10m}\naggregates:\n  n: count(" + where + ")\n  d: distinct(request.path)\ncondition: " + condition
	}
	for name, c := range map[string]struct {
		keys string
		want []string
	}{
		"two codes":             {"filter: response.code == 404 && response.code == 403", []string{"unreachable 5:9"}},
		"two methods":           {`filter: request.method == "GET" && request.method in ["POST", "PUT"]`, []string{"unreachable 5:9"}},
		"excluded method":       {`filter: request.method == "GET" && request.method != "GET"`, []string{"unreachable 5:9"}},
		"empty interval":        {"filter: response.code > 499 && response.code < 500", []string{"unreachable 5:9"}},
		"interval of one":       {"filter: response.code > 498 && response.code < 500", nil},
		"branch":                {`filter: response.code == 404 && (request.path == "/a" || response.code == 500)`, []string{"unreachable 5:58"}},
		"always":                {"filter: response.size >= 0", []string{"always-true 5:9"}},
		"excluded middle":       {`filter: response.code == 404 || response.code != 404`, []string{"always-true 5:9"}},
		"whole line":            {"filter: response.code < 400 || response.code >= 300", []string{"always-true 5:9"}},
		"no outcome":            {`filter: auth.outcome != "success" && auth.outcome != "failure" && auth.outcome != "" && auth.outcome != "anonymous"`, []string{"unreachable 5:9"}},
		"negation":              {`filter: '!(response.code == 404) && response.code == 404'`, []string{"unreachable 5:10"}},
		"twice":                 {`filter: request.path == "/a" && response.code == 404 && request.path == "/a"`, []string{"duplicate 5:57", "redundant 5:57"}},
		"either twice":          {`filter: request.path.contains("abc") || request.path.contains("abc")`, []string{"duplicate 5:41"}},
		"implied":               {"filter: response.code >= 500 && response.code != 404", []string{"redundant 5:33"}},
		"covered":               {"filter: response.code >= 500 || response.code == 503", []string{"redundant 5:33"}},
		"absorbed":              {`filter: request.path.contains("abc") || request.path.contains("abc") && response.code == 404`, []string{"redundant 5:41"}},
		"condition never":       {windowed("'true'", "", "n < 0 && d > 3"), []string{"unreachable 10:12"}},
		"condition implied":     {windowed("'true'", "", "n >= 20 && n >= 10 && d > 3"), []string{"redundant 10:23"}},
		"condition always":      {windowed("'true'", "", "n >= 0 && d > 3"), []string{"always-true 10:12"}},
		"where against filter":  {windowed("response.code == 404", "response.code == 403", "n > 3 && d > 3"), []string{"unreachable 8:12"}},
		"where like filter":     {windowed("response.code == 404", "response.code == 404", "n > 3 && d > 3"), []string{"always-true 8:12"}},
		"nothing wrong":         {`filter: (response.code in [401, 403] || response.code == 404) && request.method != "GET" && request.path.startsWith("/a")`, nil},
		"nothing, with a share": {windowed("'true'", "response.code >= 500", "n >= 20 && n * 5 >= d && d > 1"), nil},
	} {
		if diff := cmp.Diff(c.want, findings(t, c.keys)); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
	}
}

func TestLintStyle(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"full stop":        {"A rule", "A rule.", "title-style"},
		"small letter":     {"A rule", "a rule", "title-style"},
		"long title":       {"A rule", "A rule " + strings.Repeat("x", 80), "title-style"},
		"withdrawn":        {"attack.t1110", "attack.t1100", "deprecated-tag"},
		"underscore":       {"attack.t1110", "attack.credential_access", "deprecated-tag"},
		"no technique":     {"attack.t1110", "attack.t99", "unknown-tag"},
		"no risk":          {"attack.t1110", "owasp.api11", "unknown-tag"},
		"wildcard":         {`"/a"`, `"/a" && request.query.matches("(?i).*union")`, "leading-wildcard"},
		"no word":          {`"/a"`, `"/a" && request.query.matches("[a-z]+[0-9]+")`, "no-literal"},
		"short literal":    {`request.path == "/a"`, `request.path.contains("ab")`, "over-broad"},
		"a class":          {`"/a"`, `"/a" && request.query.matches("union|[0-9]x[0-9]")`, ""},
		"a tactic":         {"attack.t1110", "attack.credential-access", ""},
		"nothing":          {"", "", ""},
		"anchored pattern": {`"/a"`, `"/a" && request.path.matches("^/[0-9]+$")`, ""},
	} {
		text := strings.Replace(fmt.Sprintf(clean, `filter: request.path == "/a"`), c.from, c.to, 1)
		var got []string
		for _, f := range rules.Lint(fstest.MapFS{"a.yaml": {Data: []byte(text)}}) {
			got = append(got, f.Check)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

func TestLintDuplicateRule(t *testing.T) {
	one := fmt.Sprintf(clean, `filter: request.path == "/a"`)
	two := strings.Replace(strings.Replace(one, "id: a", "id: b", 1), `== "/a"`, "  ==  \"/a\" // the same", 1)
	found := rules.Lint(fstest.MapFS{"a.yaml": {Data: []byte(one + "---\n" + two)}})
	if len(found) != 1 || found[0].Check != "duplicate-rule" || found[0].Rule != "b" {
		t.Errorf("findings %v", found)
	}
}
