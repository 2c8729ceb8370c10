package mutation

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/rules"
)

const changed = `id: a
title: A
filter: |
  request.method == "POST" &&
  (response.code in [401, 403] || request.path.matches("(?i)/a|/b"))
group_by: [source.address]
window: {size: 1m}
aggregates:
  n: count(response.code >= 400)
condition: n > 3
`

func TestMutants(t *testing.T) {
	set, err := rules.Load(fstest.MapFS{"a.yaml": {Data: []byte(changed)}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	seen := map[string]bool{}
	for _, m := range Mutants(set.Rule("a")) {
		if _, err := m.Set(); err != nil {
			t.Errorf("%s: %v", m.Change, err)
		}
		if seen[m.variation.Text] && m.variation.Text != "" {
			t.Errorf("twice: %s", m.variation.Text)
		}
		seen[m.variation.Text] = true
		got = append(got, string(m.Kind)+" "+m.Part+": "+m.Change)
		if m.Kind == Drop && m.Change == "without response.code in [401, 403]" && (m.Line != 5 || m.Column != 4) {
			t.Errorf("%s is at %d:%d", m.Change, m.Line, m.Column)
		}
	}
	want := []string{
		`drop filter: without request.method == "POST"`,
		`drop filter: without response.code in [401, 403] || request.path.matches("(?i)/a|/b")`,
		`drop filter: without response.code in [401, 403]`,
		`drop filter: without request.path.matches("(?i)/a|/b")`,
		`negate filter: response.code in [401, 403] → !(response.code in [401, 403])`,
		`negate filter: request.path.matches("(?i)/a|/b") → !request.path.matches("(?i)/a|/b")`,
		`compare filter: request.method == "POST" → request.method != "POST"`,
		`text filter: "POST" → "POST§"`,
		`element filter: without 401`, `element filter: without 403`,
		`number filter: 401 → 402`, `number filter: 401 → 400`, `number filter: 401 → 802`,
		`number filter: 403 → 404`, `number filter: 403 → 402`, `number filter: 403 → 806`,
		`pattern filter: without alternative /a`, `pattern filter: without alternative /b`,
		`negate aggregates.n.where: response.code >= 400 → !(response.code >= 400)`,
		`compare aggregates.n.where: response.code >= 400 → response.code > 400`,
		`number aggregates.n.where: 400 → 401`, `number aggregates.n.where: 400 → 399`, `number aggregates.n.where: 400 → 800`,
		`negate condition: n > 3 → !(n > 3)`, `compare condition: n > 3 → n >= 3`,
		`number condition: 3 → 4`, `number condition: 3 → 2`, `number condition: 3 → 6`,
		`window window: 1m → 2m`, `window window: 1m → 30s`, `window window: sliding → tumbling`,
		`group group_by: without source.address`, `where aggregates.n: counts every event`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
