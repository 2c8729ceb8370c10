package trial

import (
	"fmt"
	"slices"
	"strings"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// Difference is where a run departs from what its test expects.
type Difference struct {
	// Unexpected tells that the event raised an alert that is not expected; otherwise an alert is missing, and the event is the one
	// that came nearest to it.
	Unexpected bool `json:"unexpected"`
	// Event is the event's number from 1; 0 when no event has the group.
	Event  int                `json:"event,omitempty"`
	Time   string             `json:"time,omitempty"`
	Fields []rules.FieldValue `json:"fields,omitempty"`
	// Group is the alert's.
	Group []string `json:"group"`
	// Values are the aggregates after the event.
	Values []rules.FieldValue `json:"values,omitempty"`
	// Reason says in words what was wrong.
	Reason string `json:"reason"`
}

// maxLooked bounds the events whose filter is taken apart in search of the nearest one.
const maxLooked = 200

// differ finds the first difference of one test.
type differ struct {
	rule   *rules.Rule
	alone  *rules.Set
	expect []rules.Expectation
	steps  []Step
}

func (d *differ) find(events []*event.Event) *Difference {
	Steps(d.alone, events, func(s Step) { d.steps = append(d.steps, s) })
	left := slices.Clone(d.expect)
	var surplus *Difference
	for _, s := range d.steps {
		for _, a := range s.Alerts {
			got := d.rule.Found(a)
			if i := slices.IndexFunc(left, func(e rules.Expectation) bool { return e.Covers(got) }); i >= 0 {
				left = slices.Delete(left, i, i+1)
			} else if surplus == nil {
				surplus = d.at(s, got.Group)
				surplus.Unexpected = true
			}
		}
	}
	if surplus != nil {
		surplus.Reason = "raised an alert that the test does not expect"
		if i := slices.IndexFunc(left, func(e rules.Expectation) bool { return slices.Equal(e.Group, surplus.Group) }); i >= 0 {
			surplus.Reason = "raised an alert with other values than " + left[i].String()
		}
		return surplus
	}
	if len(left) == 0 {
		return nil
	}
	return d.missing(left[0])
}

// at describes the step.
func (d *differ) at(s Step, group []string) *Difference {
	out := &Difference{Event: s.Index + 1, Time: s.Event.Time.Format("2006-01-02T15:04:05.999999999Z07:00"), Group: group, Fields: d.fields(s.Event)}
	if s.Window != nil {
		out.Values = Named(d.rule, s.Window.Values)
	}
	return out
}

// fields are the event's values without those that the tests make up.
func (d *differ) fields(e *event.Event) []rules.FieldValue {
	return slices.DeleteFunc(rules.Values(e), func(v rules.FieldValue) bool { return v.Name == "event.time" || v.Name == "event.tap" })
}

// Named gives the values of the rule's aggregates their names.
func Named(r *rules.Rule, values []rules.Value) []rules.FieldValue {
	var out []rules.FieldValue
	add := func(name, value string) { out = append(out, rules.FieldValue{Name: name, Value: value}) }
	for i, v := range values[:min(len(values), len(r.Aggregates))] {
		names := r.Aggregates[i].Names()
		if len(names) > 1 {
			add(names[0], v.Text)
			names = names[1:]
		}
		for j, name := range names {
			add(name, fmt.Sprintf("%.6g", []float64{v.Number, v.Share}[j]))
		}
	}
	return out
}

// missing looks for the event that came nearest to the expected alert.
func (d *differ) missing(want rules.Expectation) *Difference {
	var best *Step
	bestScore, bestCount := -1, int64(0)
	var why *rules.Term
	for i := range d.steps {
		s := &d.steps[i]
		if s.Window == nil || !slices.Equal(s.Window.Group, want.Group) {
			continue
		}
		t, err := d.rule.WhyHolds(s.Window.Values)
		if err != nil || t == nil {
			continue
		}
		if n := score(t); n > bestScore || n == bestScore && s.Window.Count > bestCount {
			best, bestScore, bestCount, why = s, n, s.Window.Count, t
		}
	}
	if best == nil {
		return d.unmatched(want)
	}
	out := d.at(*best, want.Group)
	out.Reason = reason(best.Window, why)
	return out
}

// score is how many of the condition's parts hold.
func score(t *rules.Term) int {
	if len(t.Terms) == 0 || t.Op == rules.TermNot {
		if t.Holds {
			return 1
		}
		return 0
	}
	n := 0
	for _, x := range t.Terms {
		if t.Op == rules.TermAnd {
			n += score(x)
		} else {
			n = max(n, score(x))
		}
	}
	return n
}

func reason(w *detector.Judgement, t *rules.Term) string {
	switch {
	case w.Err != nil:
		return "came nearest: the condition could not be evaluated: " + w.Err.Error()
	case w.Holds && w.Silent:
		return "came nearest: the condition holds, but the group alerted before and suppress keeps it silent"
	case w.Holds:
		return "came nearest: the condition holds, and its alert was taken for another one that the test expects"
	}
	return "came nearest: the condition does not hold: " + strings.Join(Failing(t), "; ")
}

// Failing lists the parts that keep the term from being true.
func Failing(t *rules.Term) []string {
	switch {
	case t == nil || t.Holds:
		return nil
	case t.Op == rules.TermAnd:
		var out []string
		for _, x := range t.Terms {
			out = append(out, Failing(x)...)
		}
		return out
	case t.Err != "":
		return []string{named(t) + " failed: " + short(t.Err)}
	}
	return []string{named(t) + " is false" + with(t.Fields)}
}

// maxPart bounds what a reason quotes of an expression or a value, in runes: a pattern can have thousands.
const maxPart = 80

// named is the term as its author wrote it, cut to what a line can hold.
func named(t *rules.Term) string {
	if t.Macro != "" {
		return short(t.Macro)
	}
	return short(t.Text)
}

func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxPart {
		return string(r[:maxPart-1]) + "…"
	}
	return s
}

func with(fields []rules.FieldValue) string {
	if len(fields) == 0 {
		return ""
	}
	var parts []string
	for _, f := range fields {
		parts = append(parts, fmt.Sprintf("%s is %q", f.Name, short(f.Value)))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// unmatched explains an alert for a group of which no event counted in a window.
func (d *differ) unmatched(want rules.Expectation) *Difference {
	out := &Difference{Group: want.Group, Reason: "no event has this group"}
	best, looked := -1, 0
	for _, s := range d.steps {
		if looked >= maxLooked {
			break
		}
		w, err := d.alone.Why(d.rule, s.Event)
		if err != nil || !sameGroup(w.Group, want.Group) {
			continue
		}
		looked++
		n := score(w.Filter)
		if w.Matches && len(s.Forms) > 0 {
			n++ // a later one knows more of the form's state
		}
		if n > best || n == best && w.Matches && len(s.Forms) > 0 {
			best = n
			*out = *d.at(s, want.Group)
			out.Reason = unmatchedReason(w)
			if n := s.notes(); n != "" && w.Matches {
				out.Reason = "came nearest: it matches, and then: " + n
			}
		}
	}
	return out
}

func unmatchedReason(w *rules.Why) string {
	switch {
	case w.Not != "":
		return "came nearest: the filter holds, but " + w.Not
	case w.Matches && !slices.ContainsFunc(w.Args, func(a rules.NamedArg) bool { return a.In }) && len(w.Args) > 0:
		return "came nearest: it matches the filter, but counts for none of the aggregates"
	case w.Matches:
		return "matches the filter, but raised no alert: the group alerted before, or suppress keeps it silent"
	}
	return "came nearest: the filter does not hold: " + strings.Join(Failing(w.Filter), "; ")
}

func sameGroup(have []rules.FieldValue, want []string) bool {
	return slices.EqualFunc(have, want, func(v rules.FieldValue, w string) bool { return v.Value == w })
}

// notes is what the form held after the event.
func (s *Step) notes() string {
	var out []string
	for _, f := range s.Forms {
		for _, n := range f.Notes {
			out = append(out, n.Name+" "+short(n.Value))
		}
	}
	return strings.Join(out, "; ")
}
