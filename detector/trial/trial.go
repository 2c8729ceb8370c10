// Package trial runs one rule by itself over events that somebody wrote down, in the real detector, and says what each event did: for
// the tests that rules carry, and for people who ask why a rule does or does not alert. It reads no clock.
package trial

import (
	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// Step is what one event did.
type Step struct {
	Index int // of the event, from 0
	Event *event.Event
	// Window is what the event's window held then; nil when the event counted in none.
	Window *detector.Judgement
	// Forms is what the rule's form or memory held: what became due first, then the event's own group.
	Forms  []*detector.Judgement
	Alerts []*alert.Alert
}

// Alone returns a Set with nothing but the rule.
func Alone(set *rules.Set, r *rules.Rule) *rules.Set {
	return set.Only(func(x *rules.Rule) bool { return x.ID == r.ID })
}

// Alerts feeds the events to a detector with the Set's rules and returns the alerts.
func Alerts(set *rules.Set, events []*event.Event) []*alert.Alert {
	shard := detector.NewShard(set, detector.DefaultConfig())
	var out []*alert.Alert
	for _, e := range events {
		out = shard.Process(e, out)
	}
	return out
}

// Steps feeds the events to a detector with the Set's rules and hands out what each of them did.
func Steps(set *rules.Set, events []*event.Event, yield func(Step)) {
	cfg := detector.DefaultConfig()
	var window *detector.Judgement
	var forms []*detector.Judgement
	cfg.Trace = func(j *detector.Judgement) {
		if j.Notes != nil {
			forms = append(forms, j)
			return
		}
		window = j
	}
	shard := detector.NewShard(set, cfg)
	for i, e := range events {
		window, forms = nil, nil
		alerts := shard.Process(e, nil)
		yield(Step{i, e, window, forms, alerts})
	}
}
