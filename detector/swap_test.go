package detector

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const swapRules = `
id: kept
title: kept
filter: response.code == 404
group_by: [source.address]
window: {size: 60s, type: sliding}
aggregates: {n: count()}
condition: n >= 10
---
id: changed
title: changed
filter: response.code == 404
group_by: [source.address]
window: {size: 60s, type: sliding}
aggregates: {n: count()}
condition: n >= 10
`

// TestSwap: a rule that did not change alerts at its tenth event, as if nothing had happened; a rule that changed counts anew, and
// the counts and clocks of the shard go on.
func TestSwap(t *testing.T) {
	events := parseEvents(t, "0s x12 +1s code=404 addr=192.0.2.9")
	first := NewShard(loadRules(t, swapRules), DefaultConfig())
	if got := run(first, events[:9]); len(got) != 0 {
		t.Fatalf("alerts before the swap: %v", got)
	}
	before := first.Stats()
	next := strings.Replace(swapRules, "title: kept", "title: kept, and now enforced\nmode: enforce", 1)
	next = next[:strings.LastIndex(next, "n >= 10")] + "n >= 3\n"
	second, err := first.Swap(loadRules(t, next))
	if err != nil {
		t.Fatal(err)
	}
	if now := second.Stats(); now.Events != before.Events || now.Matches != before.Matches || now.Entities != 1 {
		t.Errorf("stats after the swap: %+v, before: %+v", now, before)
	}
	var got []string
	for _, a := range run(second, events[9:]) {
		got = append(got, a.Title+": "+describe(a))
	}
	want := []string{
		"kept, and now enforced: kept at 9s window 0s..9s source.address=192.0.2.9 n=10 of 10 events, ids 1..10 (10)",
		"changed: changed at 11s window 9s..11s source.address=192.0.2.9 n=3 of 3 events, ids 10..12 (3)",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("alerts after the swap (-want +got):\n%s", d)
	}
}
