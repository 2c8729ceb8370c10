package rules_test

import (
	"testing"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// detect runs one rule over events in a fresh shard of the real detector.
func detect(set *rules.Set) func(*rules.Rule, []*event.Event) ([]*alert.Alert, error) {
	return func(r *rules.Rule, events []*event.Event) ([]*alert.Alert, error) {
		shard := detector.NewShard(set.Only(func(x *rules.Rule) bool { return x.ID == r.ID }), detector.DefaultConfig())
		var alerts []*alert.Alert
		for _, e := range events {
			alerts = shard.Process(e, alerts)
		}
		return alerts, nil
	}
}

func TestPacks(t *testing.T) {
	set, err := rules.Load(rules.Packs())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules.RunTests(set, rules.Packs(), detect(set)) {
		if !r.Passed() {
			t.Errorf("%s:%d: rule %s, test %q: %s", r.Rule.File, r.Line, r.Rule.ID, r.Test, r.String())
		}
	}
	for _, f := range rules.Lint(rules.Packs()) {
		t.Errorf("lint: %s", f)
	}
	for _, r := range set.Rules() {
		if r.Title == "" || r.Description == "" || len(r.Tags) == 0 || r.Suppress == 0 || r.Mode == alert.Shadow && len(r.Respond) > 0 {
			t.Errorf("rule %s: title, description, tags and suppress are mandatory in a shipped rule, and what only records answers nothing", r.ID)
		}
		if r.Errors() != 0 {
			t.Errorf("rule %s: %d evaluation errors", r.ID, r.Errors())
		}
	}
}
