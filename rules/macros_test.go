package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

const sharedMacros = `
kind: macros
macros:
  is_login: request.method == "POST" && api.route in ["/login", "/token"]
  carries(t, re): t.matches(re)
  any_text: '[request.path, request.query]'
  somewhere(re): any_text.exists(t, carries(t, re))
  both(a, b): a && b
  longest: 5
  has_agent: has(request.headers.agent)
  twice(t): '[t, t + "x"].all(x, x.contains(t))'
  bound(v): cel.bind(x, v + "!", x.endsWith("!") && x.startsWith(v))
  unless(c): "!c"
`

func TestMacros(t *testing.T) {
	e := &event.Event{API: event.API{Route: "/login"}}
	e.Request.Method, e.Request.Path, e.Request.Query = "POST", "/login", "x=union select"
	e.Request.Headers = map[string]string{"agent": "a"}
	for filter, want := range map[string]bool{
		`is_login`:                       true,
		`!is_login`:                      false,
		`is_login && false || true`:      true,
		`carries(request.query, "^x=")`:  true,
		`somewhere("(?i)UNION +SELECT")`: true,
		`somewhere("nothing")`:           false,
		`both(is_login, somewhere("union")) && both(true || false, true)`: true,
		// A parameter stands for an expression, not for text: !(false || true).
		`unless(false || true)`:                  false,
		`request.path.size() > longest`:          true,
		`has_agent`:                              true,
		`twice(request.path)`:                    true,
		`[1, 2].exists(is_login, is_login == 2)`: true, // what is bound here hides the macro
		// The x of the macro and the x of the rule are not the same.
		`["/login"].exists(x, twice(x) && bound(x))`:                                 true,
		`["a", "b"].all(x, ["c"].exists(y, twice(x + y) && both(x != y, bound(y))))`: true,
		`["a"].exists(t, somewhere("union") && t == "a")`:                            true,
		`math.greatest(longest, 3) == 5`:                                             true,
		`[longest].map(longest, longest + 1) == [6]`:                                 true,
	} {
		set := mustLoad(t, sharedMacros+"---\nid: r\ntitle: R\nfilter: |\n  "+filter+"\n")
		if got := len(set.Match(e, nil)) > 0; got != want || set.Rules()[0].Errors() > 0 {
			t.Errorf("%s: %t, want %t; %d errors", filter, got, want, set.Rules()[0].Errors())
		}
	}
}

func TestMacroInAggregates(t *testing.T) {
	set := mustLoad(t, `
kind: macros
macros:
  failed: response.code in [401, 403]
  mostly: n * 2 > m
  at_least(v, k): v >= k
---
id: r
title: R
filter: failed || true
group_by: [source.address]
window: {size: 1m}
aggregates: {n: count(failed), m: count()}
condition: mostly && at_least(m, 3)
`)
	r := set.Rules()[0]
	for _, c := range []struct {
		values []float64
		want   bool
	}{{[]float64{2, 3}, true}, {[]float64{1, 3}, false}, {[]float64{2, 2}, false}} {
		if got, err := r.Holds(measured(c.values...)); got != c.want || err != nil {
			t.Errorf("%v: %t, %v", c.values, got, err)
		}
	}
}

// TestMacroVersion checks that a rule's version follows what its macros say, also within a comprehension.
func TestMacroVersion(t *testing.T) {
	for _, filter := range []string{`m`, `[1].exists(x, x == 1 && m)`, `deep(true)`} {
		version := func(body string) string {
			return mustLoad(t, "kind: macros\nmacros:\n  m: "+body+"\n  deep(x): '[x].all(y, y && m)'\n---\nid: a\ntitle: A\nfilter: '"+filter+"'\n").Rules()[0].Version
		}
		if version(`request.path == "/a"`) != version(`request.path  ==  "/a"`) {
			t.Errorf("%s: layout changes the version", filter)
		}
		if version(`request.path == "/a"`) == version(`request.path == "/b"`) {
			t.Errorf("%s: the macro does not change the version", filter)
		}
	}
	plain := mustLoad(t, "id: a\ntitle: A\nfilter: '[1].exists(x, x == 1 && request.path == \"/a\")'\n").Rules()[0].Version
	if got := mustLoad(t, "kind: macros\nmacros: {m(v): '[1].exists(x, x == v && request.path == \"/a\")'}\n---\nid: a\ntitle: A\nfilter: m(1)\n").Rules()[0].Version; got != plain {
		t.Error("a rule and the same one with a macro have different versions")
	}
}

// TestMacroBounds checks that macros cannot be used to write more than anybody can read.
func TestMacroBounds(t *testing.T) {
	var wide strings.Builder
	wide.WriteString("kind: macros\nmacros:\n  m0: request.path == \"/\"\n")
	for i := 1; i < 14; i++ {
		fmt.Fprintf(&wide, "  m%d: m%d && m%d\n", i, i-1, i-1)
	}
	var deep strings.Builder
	deep.WriteString("kind: macros\nmacros:\n  m0: request.path == \"/\"\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&deep, "  m%d: m%d\n", i, i-1)
	}
	for text, want := range map[string]string{
		wide.String(): "too large: with its macros written out the expression has more than 5000 parts",
		deep.String(): "macros use one another more than 16 deep",
	} {
		_, err := rules.Load(mapFS(map[string]string{"m.yaml": text}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestMacrosOfAllFiles checks that rules and macros need no order.
func TestMacrosOfAllFiles(t *testing.T) {
	set := mustLoadFiles(t, map[string]string{
		"a.yaml":   "id: a\ntitle: A\nfilter: outer\n",
		"m/1.yaml": "kind: macros\nmacros: {outer: inner && true}\n", "z.yml": "kind: macros\nmacros: {inner: request.path == \"/\"}\n",
	})
	e := &event.Event{}
	e.Request.Path = "/"
	if got := matched(set, e); !cmp.Equal(got, []string{"a"}) {
		t.Errorf("matches %v", got)
	}
}

// measured are values of aggregates that are numbers.
func measured(numbers ...float64) []rules.Value {
	var out []rules.Value
	for _, n := range numbers {
		out = append(out, rules.Value{Number: n})
	}
	return out
}
