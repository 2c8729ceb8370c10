package detector

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/rules"
)

const frailRules = `
id: frail
title: Frail
filter: int(request.path) > 5 || request.method == "PUT"
owner: platform-team
---
id: sound
title: Sound
filter: request.method == "PUT"
group_by: [source.address]
suppress: 1h
---
id: divides
title: Divides
filter: response.code == 500
window: {size: 60s}
aggregates: {n: count(), m: count(request.method == "PUT")}
condition: n / m > 1
`

func suspendConfig() Config {
	cfg := DefaultConfig()
	cfg.SuspendWindow, cfg.SuspendFailures, cfg.SuspendOverruns = 100, 10, 3
	return cfg
}

// ids counts alerts by rule, and by the rule that they suspend.
func ids(alerts []*alert.Alert) map[string]int {
	out := map[string]int{}
	for _, a := range alerts {
		name := a.Rule
		if a.Rule == SuspendedRule {
			name += " " + a.Group["rule"]
		}
		out[name]++
	}
	return out
}

func TestSuspend(t *testing.T) {
	set := loadRules(t, frailRules)
	s := NewShard(set, suspendConfig())
	alerts := run(s, parseEvents(t, "0s x9 +1s path=/x\n9s x1 +1s path=/x\n10s x40 +1s method=PUT path=/x\n60s x20 +1s code=500 path=9"))
	want := map[string]int{SuspendedRule + " frail": 1, SuspendedRule + " divides": 1, "sound": 1}
	if diff := cmp.Diff(want, ids(alerts)); diff != "" {
		t.Fatalf("alerts (-want +got):\n%s", diff)
	}
	a := alerts[0]
	if a.Severity != alert.Medium || a.Time != base.Add(9*time.Second) || a.ID == "" || a.Values["failures"] != 10 || a.Sample == nil {
		t.Errorf("alert: %+v", a)
	}
	for _, part := range []string{`"frail"`, "owner: platform-team", "rules.yaml:2", "failed 10 times within 100 records"} {
		if !strings.Contains(a.Description, part) {
			t.Errorf("description %q lacks %q", a.Description, part)
		}
	}
	if st := s.Stats(); st.Suspended != 2 || st.Skipped != 0 {
		t.Errorf("%d suspended, %d matches skipped", st.Suspended, st.Skipped)
	}
	if n := set.Rule("frail").Errors(); n != 10 {
		t.Errorf("a suspended rule is still evaluated: %d errors", n)
	}
}

// TestSuspendBlocks checks that failures long ago are forgotten.
func TestSuspendBlocks(t *testing.T) {
	s := NewShard(loadRules(t, frailRules), suspendConfig())
	alerts := run(s, parseEvents(t, "0s x9 +1s path=/x\n10s x90 +1s path=1\n200s x9 +1s path=/x"))
	if diff := cmp.Diff(map[string]int{}, ids(alerts)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

func TestSuspendOverrun(t *testing.T) {
	set := loadRules(t, frailRules)
	s := NewShard(set, suspendConfig())
	e := parseEvents(t, "0s path=/x")[0]
	var alerts []*alert.Alert
	for range 4 {
		alerts = s.Failed([]rules.Failure{{Rule: set.Rule("sound"), Overrun: true}}, &Origin{Time: e.Time, ID: e.ID}, alerts)
	}
	if len(alerts) != 1 || !strings.Contains(alerts[0].Description, "passed their bound of cost 3 times") || !strings.Contains(alerts[0].Description, "nobody is named") {
		t.Errorf("alerts: %+v", alerts)
	}
}

// TestSuspendSnapshot checks that a suspension outlives a restart at any record, and ends with the rule's version.
func TestSuspendSnapshot(t *testing.T) {
	events := parseEvents(t, "0s x15 +1s path=/x\n20s x20 +1s method=PUT path=/x\n60s x20 +1s code=500 path=9")
	whole := NewShard(loadRules(t, frailRules), suspendConfig())
	want := encode(t, run(whole, events))
	for cut := 0; cut <= len(events); cut += 3 {
		first := NewShard(loadRules(t, frailRules), suspendConfig())
		alerts := run(first, events[:cut])
		second := NewShard(loadRules(t, frailRules), suspendConfig())
		if err := second.Restore(first.Snapshot(nil)); err != nil {
			t.Fatal(err)
		}
		if got := encode(t, append(alerts, run(second, events[cut:])...)); got != want {
			t.Fatalf("cut at %d: other alerts", cut)
		}
		if string(second.Snapshot(nil)) != string(whole.Snapshot(nil)) {
			t.Fatalf("cut at %d: other snapshot", cut)
		}
	}
	changed := NewShard(loadRules(t, strings.Replace(frailRules, `int(request.path) > 5 || `, "", 1)), suspendConfig())
	if err := changed.Restore(whole.Snapshot(nil)); err != nil {
		t.Fatal(err)
	}
	if got := ids(run(changed, parseEvents(t, "100s method=PUT"))); got["frail"] != 1 {
		t.Errorf("a changed rule is still suspended: %v", got)
	}
}
