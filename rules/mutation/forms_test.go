package mutation

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/warder/warder/rules"
)

const forms = `kind: macros
macros:
  is_login: request.path == "/login"
---
kind: lists
lists: {office: {values: [192.0.2.0/24], type: network}}
---
id: steps
title: Steps
group_by: [source.address]
sequence:
  span: 10m
  steps:
    - {name: failures, filter: is_login && response.code == 401, count: 3, keep: {id: principal.id}}
    - {name: reset, filter: request.path == "/reset" && principal.id == failures.id, absent: true}
    - {name: success, filter: "response.code == 200 && principal.id == failures.id && !inList(source.address, 'office')"}
except:
  - {when: request.path == "/health", owner: me, until: 2030-01-01}
---
id: gone
title: Gone
filter: request.path == "/beat"
group_by: [source.address]
absence: {span: 10m, after: 3}
---
id: new
title: New
filter: response.code == 200
group_by: [principal.id]
first_seen: {value: source.country, learn: 2d, forget: 9d}
---
id: odd
title: Odd
filter: is_login
group_by: [principal.id]
rare: {value: api.route, peers: [api.name], share: 0.1, least: 5, span: 2h}
---
id: again
title: Again
filter: is_login && !seenBefore(request.path, duration("6h"))
group_by: [principal.id]
---
id: again-home
title: Again
extend: again
keep_parent: true
filter_and: response.code == 200
`

func formRules(t *testing.T) *rules.Set {
	t.Helper()
	set, err := rules.Load(fstest.MapFS{"a.yaml": {Data: []byte(forms)}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestMutantsOfForms(t *testing.T) {
	set := formRules(t)
	for id, want := range map[string][]string{
		"steps": {
			"drop sequence.failures.filter: without is_login 14", "drop sequence.success.filter: without principal.id == failures.id 16",
			"window sequence.span: 10m → 20m 8", "number sequence.failures.count: 3 → 4 8", "number sequence.failures.count: 3 → 2 8",
			"step sequence.reset: without step reset 8", "except except[0]: without the exception 8",
			`text except[0].when: "/health" → "/health§" 18`,
		},
		"gone":       {"window absence.span: 10m → 20m 20", "number absence.after: 3 → 2 20"},
		"new":        {"window first_seen.learn: 48h → 96h 26", "window first_seen.forget: 216h → 108h 26"},
		"odd":        {"number rare.share: 0.1 → 0.2 32", "number rare.least: 5 → 4 32", "window rare.span: 2h → 4h 32", "group rare.peers: without api.name 32"},
		"again":      {`window filter: "6h" → "12h" 40`, `drop filter: without !(seenBefore(request.path, duration("6h"))) 40`},
		"again-home": {`window filter: "6h" → "12h" 40`, "drop filter: without response.code == 200 47"},
	} {
		var got []string
		for _, m := range Mutants(set.Rule(id)) {
			_, err := m.Set()
			got = append(got, strings.TrimSpace(string(m.Kind)+" "+m.Part+": "+m.Change+" "+strconv.Itoa(m.Line)))
			if slices.Contains(want, got[len(got)-1]) && err != nil {
				t.Errorf("%s: %s: %v", id, m.Change, err)
			}
		}
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: no mutant %q in\n%s", id, w, strings.Join(got, "\n"))
			}
		}
	}
}

// TestVaryInParallel is for the race detector: variations share the environment with its macros and lists.
func TestVaryInParallel(t *testing.T) {
	set := formRules(t)
	var wg sync.WaitGroup
	for _, id := range []string{"steps", "again", "odd"} {
		for _, m := range Mutants(set.Rule(id)) {
			wg.Go(func() { _, _ = m.Set() })
		}
	}
	wg.Wait()
}

func TestVaryDoesNotTouchTheRule(t *testing.T) {
	set := formRules(t)
	for _, r := range set.Rules() {
		before := r.Version
		for _, m := range Mutants(r) {
			changed, err := m.Set()
			if err != nil {
				continue
			}
			if m.Kind != Except && !strings.HasPrefix(m.Part, "except") && changed.Rules()[0].Version == before {
				t.Errorf("%s: %s: %s: the version is the same", r.ID, m.Part, m.Change)
			}
		}
		again, err := r.Vary(rules.Variation{})
		if err != nil || again.Rules()[0].Version != before {
			t.Errorf("%s changed: %v", r.ID, err)
		}
	}
}
