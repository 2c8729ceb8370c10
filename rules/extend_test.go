package rules_test

import (
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

const parentRule = `
id: base
title: Base
description: What it means.
severity: high
tags: [a, b]
filter: response.code == 404 // missing
group_by: [source.address]
window: {size: 60s}
aggregates: {n: count()}
condition: n > 5
suppress: 10m
mode: enforce
respond: [{block: {scope: source.address, ttl: 5m}}]
owner: platform
tests:
  - {name: none, events: [{response.code: 200}], expect: []}
`

func TestExtend(t *testing.T) {
	set := mustLoad(t, parentRule+`---
id: tuned
extend: base
severity: low
tags: [c]
filter_and: request.path.startsWith("/api/")
condition: n > 50
mode: shadow
---
id: again
extend: tuned
filter_and: request.method == "GET"
keep_parent: true
respond: []
`)
	var ids []string
	for _, r := range set.Rules() {
		ids = append(ids, r.ID)
	}
	if diff := cmp.Diff([]string{"again", "tuned"}, ids); diff != "" {
		t.Fatalf("rules (-want +got):\n%s", diff)
	}
	tuned, again := set.Rule("tuned"), set.Rule("again")
	got := []any{tuned.Title, tuned.Description, tuned.Severity, tuned.Tags, tuned.Suppress, tuned.Mode, tuned.Owner, len(tuned.Respond), len(tuned.Tests), tuned.Extends,
		again.Tags, len(again.Respond), again.Extends}
	want := []any{"Base", "What it means.", tuned.Severity, []string{"c"}, 10 * time.Minute, tuned.Mode, "platform", 1, 0, "base", []string{"c"}, 0, "tuned"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inherited (-want +got):\n%s", diff)
	}
	if tuned.Severity != "low" || tuned.Mode != "shadow" {
		t.Errorf("own keys: %s %s", tuned.Severity, tuned.Mode)
	}
	for values, want := range map[float64]bool{6: false, 51: true} {
		if ok, err := tuned.Holds(measured(values)); ok != want || err != nil {
			t.Errorf("condition of %v: %t, %v", values, ok, err)
		}
	}
	for _, c := range []struct {
		method, path string
		want         []string
	}{{"GET", "/api/x", []string{"again", "tuned"}}, {"PUT", "/api/x", []string{"tuned"}}, {"GET", "/x", []string{}}} {
		e := traffic(1)[0]
		e.Request.Method, e.Request.Path, e.Response.Code = c.method, c.path, 404
		if diff := cmp.Diff(c.want, matched(set, e)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c, diff)
		}
	}
}

// TestExtendShipped checks that one's own folder can extend a shipped rule that is not loaded with it.
func TestExtendShipped(t *testing.T) {
	shipped, err := rules.Load(rules.Packs())
	if err != nil {
		t.Fatal(err)
	}
	set := mustLoad(t, "id: mine\nextend: path-probing\nmode: shadow\n")
	if len(set.Rules()) != 1 || set.Rules()[0].Title != shipped.Rule("path-probing").Title {
		t.Errorf("rules: %v", set.Rules())
	}
	// Together with the packs it takes the place of the shipped rule.
	packs := fstest.MapFS{"mine.yaml": {Data: []byte("id: mine\nextend: path-probing\nmode: shadow\n")}}
	err = fs.WalkDir(rules.Packs(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			packs[name] = new(fstest.MapFile)
			packs[name].Data, err = fs.ReadFile(rules.Packs(), name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	both, err := rules.Load(packs)
	if err != nil {
		t.Fatal(err)
	}
	if both.Rule("path-probing") != nil || both.Rule("mine") == nil || len(both.Rules()) != len(shipped.Rules()) {
		t.Errorf("%d rules with the extension, %d without", len(both.Rules()), len(shipped.Rules()))
	}
}

func TestExcept(t *testing.T) {
	set := mustLoad(t, `
id: r
title: R
filter: request.path == "/x"
except:
  - {when: 'inList(source.address, "office")', owner: platform, until: 2027-01-31, reason: our own scanner}
  - {when: 'request.headers["x"] == "y" && request.headers["z"].matches("a$")', owner: platform, until: 2027-01-31, reason: fails without the header}
---
kind: lists
lists: {office: {values: [192.0.2.0/24], type: network}}
`)
	event := func(address string, at time.Time) *event.Event {
		e := traffic(1)[0]
		e.Request.Path, e.Time, e.Source.Address = "/x", at, netip.MustParseAddr(address)
		return e
	}
	last := time.Date(2027, 1, 31, 23, 59, 59, 0, time.UTC)
	for _, c := range []struct {
		address string
		at      time.Time
		want    int
	}{{"192.0.2.1", last, 0}, {"192.0.2.1", last.Add(time.Second), 1}, {"198.51.100.1", last, 1}} {
		if got := len(set.Match(event(c.address, c.at), nil)); got != c.want {
			t.Errorf("%+v: %d matches", c, got)
		}
	}
	if n := set.Rules()[0].Excepted(); n != 1 {
		t.Errorf("%d matches counted as excepted", n)
	}
	without := mustLoad(t, "id: r\ntitle: R\nfilter: request.path == \"/x\"\nowner: me\nreferences: [https://example.org]\nfalsepositives: [scanners]\n")
	if without.Rules()[0].Version != set.Rules()[0].Version {
		t.Error("an exception or a note changes the version")
	}
}

func TestMetadata(t *testing.T) {
	r := mustLoad(t, `
id: r
title: R
filter: "true"
owner: payments-team
author: Jane Doe
license: DRL 1.1
references: [https://example.org/a, https://example.org/b]
source_id: 5f113a8f-8b61-41ca-b90f-d374fa7e4a39
falsepositives: [Vulnerability scans]
`).Rules()[0]
	got := []any{r.Owner, r.Author, r.License, r.References, r.SourceID, r.FalsePositives}
	want := []any{"payments-team", "Jane Doe", "DRL 1.1", []string{"https://example.org/a", "https://example.org/b"},
		"5f113a8f-8b61-41ca-b90f-d374fa7e4a39", []string{"Vulnerability scans"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func TestLintShared(t *testing.T) {
	text := `
kind: macros
macros: {used: response.code == 404, spare: response.code == 500}
---
kind: lists
lists: {seldom: {values: [a]}, often: {values: [b]}}
---
id: base
title: Base
description: D
tags: [a]
filter: used && inList(request.path, "often")
suppress: 1m
except:
  - {when: request.path == "/a", owner: me, until: 2026-12-31}
  - {when: "true", owner: me, until: 2026-12-30, reason: old}
tests:
  - {name: n, events: [{response.code: 200}], expect: []}
  - {name: p, events: [{response.code: 404, request.path: b}], expect: [{group: []}]}
---
id: heir
extend: base
keep_parent: true
`
	var got []string
	for _, f := range rules.LintOn(time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC), mapFS(map[string]string{"r.yaml": text})) {
		got = append(got, strings.TrimPrefix(f.String(), "r.yaml:"))
	}
	want := []string{
		"3: warning: no rule uses the macro spare (unused-macro)",
		"6: warning: no rule uses the list seldom (unused-list)",
		`15: warning: rule "base": an exception of me has no reason (missing-reason)`,
		`16: warning: rule "base": an exception of me ended with 2026-12-30: remove it, or ask whether it is still needed (expired-exception)`,
		`16: warning: rule "base": an exception of me silences the whole rule (over-broad)`,
		`21: warning: rule "heir": detects the same as rule "base" (r.yaml:8) (duplicate-rule)`,
		`21: warning: rule "heir": has no test that expects an alert (missing-tests)`,
		`21: warning: rule "heir": has no test that expects none (missing-tests)`,
		`21: warning: rule "heir": extends base and has no tests: those of base are not inherited, because what was tuned may contradict them (untested-extension)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
