package trial

import (
	"time"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// Explanation says what one rule made of some events.
type Explanation struct {
	Rule string `json:"rule"`
	// Events are what each of them did.
	Events []Outcome `json:"events"`
	// Focus is the number, from 1, of the event that Why takes apart; Fields are its values.
	Focus  int                `json:"focus"`
	Fields []rules.FieldValue `json:"fields"`
	Why    *rules.Why         `json:"why"`
	// Condition is the condition after that event, taken apart; nil when it counted in no window.
	Condition *rules.Term    `json:"condition,omitempty"`
	Alerts    []*alert.Alert `json:"alerts"`
}

// Outcome is what one event did.
type Outcome struct {
	Event   int       `json:"event"` // from 1
	Time    time.Time `json:"time"`
	Matches bool      `json:"matches"`
	// Window is what the event's window held then; nil when it counted in none.
	Window *Window `json:"window,omitempty"`
	// Forms is what the rule's form, or the memory of seenBefore, held: what became due with the event, then the event's own group.
	Forms  []Form `json:"forms,omitempty"`
	Alerts int    `json:"alerts,omitempty"`
}

// Form is what a rule's form holds for one group.
type Form struct {
	Group []string        `json:"group"`
	Time  time.Time       `json:"time"`
	Notes []detector.Note `json:"notes"`
	// Due tells that time raised it.
	Due bool `json:"due,omitempty"`
}

// Window is the window of one group after an event.
type Window struct {
	Group  []string           `json:"group"`
	Start  time.Time          `json:"start"`
	End    time.Time          `json:"end"`
	Count  int64              `json:"count"`
	Values []rules.FieldValue `json:"values"`
	Holds  bool               `json:"holds"`
	// Silent tells that the group alerted so recently that suppress keeps it silent.
	Silent bool   `json:"silent,omitempty"`
	Err    string `json:"error,omitempty"`
}

// Explain runs the rule alone over the events and takes apart what it made of one of them: of the focus, a number from 1, or with 0 of
// the first that alerted, else of the last that matched, else of the first.
func Explain(set *rules.Set, r *rules.Rule, events []*event.Event, focus int) (*Explanation, error) {
	alone := Alone(set, r)
	r = alone.Rule(r.ID)
	out := &Explanation{Rule: r.ID, Alerts: []*alert.Alert{}}
	var steps []Step
	Steps(alone, events, func(s Step) {
		steps = append(steps, s)
		o := Outcome{Event: s.Index + 1, Time: s.Event.Time, Matches: len(alone.Match(s.Event, nil)) > 0, Alerts: len(s.Alerts)}
		if s.Window != nil {
			o.Window = windowOf(r, s)
		}
		for _, f := range s.Forms {
			o.Forms = append(o.Forms, Form{Group: f.Group, Time: f.Time, Notes: f.Notes, Due: f.Due})
		}
		out.Events = append(out.Events, o)
		out.Alerts = append(out.Alerts, s.Alerts...)
	})
	if out.Focus = focus; focus < 1 || focus > len(events) {
		out.Focus = out.interesting()
	}
	s := steps[out.Focus-1]
	out.Fields = rules.Values(s.Event)
	var err error
	if out.Why, err = alone.Why(r, s.Event); err != nil {
		return nil, err
	}
	if s.Window != nil {
		out.Condition, err = r.WhyHolds(s.Window.Values)
	}
	return out, err
}

func windowOf(r *rules.Rule, s Step) *Window {
	j := s.Window
	w := &Window{Group: j.Group, Start: j.Start, End: j.End, Count: j.Count, Values: Named(r, j.Values), Holds: j.Holds, Silent: j.Silent}
	if j.Err != nil {
		w.Err = j.Err.Error()
	}
	return w
}

// interesting is the number of the event that people most likely ask about.
func (x *Explanation) interesting() int {
	matched := 1
	for _, o := range x.Events {
		if o.Alerts > 0 {
			return o.Event
		}
		if o.Matches {
			matched = o.Event
		}
	}
	return matched
}
