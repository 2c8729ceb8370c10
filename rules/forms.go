package rules

import (
	"strings"
	"time"
)

// Limits of the rule forms. What exceeds them is refused when the file is loaded.
const (
	MaxSpan     = 7 * 24 * time.Hour   // of a sequence, an absence and of rare
	MaxRemember = 365 * 24 * time.Hour // of first_seen and seenBefore
	MaxSteps    = 8
	MaxCount    = 100 // of one step
	MaxKeep     = 4   // values of one step
	MaxAfter    = 1_000_000
	MaxSeen     = 4 // calls of seenBefore in one filter
	// MaxFormArgs bounds what Match hands over for a form beside the aggregates' arguments.
	MaxFormArgs = 48
)

// Form says how a rule judges the events that it matches.
type Form = string

// The forms. FormEvents is each event by itself, or aggregates over a window.
const (
	FormEvents    Form = ""
	FormSequence  Form = "sequence"
	FormAbsence   Form = "absence"
	FormFirstSeen Form = "first_seen"
	FormRare      Form = "rare"
)

// Absence is the form that alerts when a group that was there falls silent.
type Absence struct {
	// Span is how long nothing must match, in event time.
	Span time.Duration
	// After is how many matches, none of them more than Span after the one before, make a group worth missing.
	After int
}

// FirstSeen is the form that alerts on a value that is new to its group.
type FirstSeen struct {
	// Value is the CEL text of the value; the empty text is no value.
	Value string
	// Learn is for how long after a group's first event nothing alerts; Forget how long a value is remembered after it was
	// seen last, and a group after its last event.
	Learn, Forget time.Duration

	value *expression
}

// Rare is the form that alerts on a value that few of an entity's peers have.
type Rare struct {
	// Value is the CEL text of the value; the empty text is no value.
	Value string
	// Peers names the fields whose values the entities share that are compared with each other; none: all are.
	Peers []string
	// Share is below which share of the peers a value is rare; Least how many peers there must be.
	Share float64
	Least int
	Span  time.Duration

	value *expression
	peers []*field
}

// Timed tells whether the rule can alert because time passes, without an event: then its detector needs to hear of time even
// where nothing matches.
func (r *Rule) Timed() bool {
	return r.Form == FormAbsence || r.Form == FormSequence && r.Sequence.trailing()
}

// Timed tells whether one of the rules is, see [Rule.Timed].
func (s *Set) Timed() bool {
	for _, r := range s.rules {
		if r.Timed() {
			return true
		}
	}
	return false
}

// FormArgs is how many arguments a Match of the rule has after those of its aggregates: first the form's, then one for each
// of Rule.Seen.
//
// A sequence has, for each step in order, one that is In when the part of the step's filter that looks at the event alone
// holds, then the texts of the values that it keeps, then the texts that it compares with kept values; Step, Keep and
// Compare say where. FirstSeen has the value. Rare has the value and the peers' values. Absence has none.
func (r *Rule) FormArgs() int { return r.formArgs + len(r.Seen) }

// ValueNames lists the names of an alert's values that are not aggregates: the steps of a sequence, and what the other
// forms counted.
func (r *Rule) ValueNames() []string {
	switch r.Form {
	case FormSequence:
		var names []string
		for i := range r.Sequence.Steps {
			if s := &r.Sequence.Steps[i]; !s.Absent {
				names = append(names, s.Name)
			}
		}
		return names
	case FormAbsence:
		return []string{"matches"}
	case FormFirstSeen:
		return []string{"known"}
	case FormRare:
		return []string{"share", "peers"}
	}
	return nil
}

// evaluateForm works out the form's arguments.
func (r *Rule) evaluateForm(in *input, args []Arg) {
	switch r.Form {
	case FormSequence:
		r.evaluateSteps(in, args)
	case FormFirstSeen:
		args[0] = r.textArg(in, r.FirstSeen.value)
	case FormRare:
		args[0] = r.textArg(in, r.Rare.value)
		for i, f := range r.Rare.peers {
			v := in.value(f)
			args[1+i] = Arg{In: v != "", Text: v}
		}
	}
	for i := range r.Seen {
		args[r.formArgs+i] = r.textArg(in, r.Seen[i].of)
	}
}

// textArg is the text of an expression; it is not In when the text is empty or the evaluation failed.
func (r *Rule) textArg(in *input, x *expression) Arg {
	v, err := in.text(x)
	if err != nil {
		r.failed(in, err)
		return Arg{}
	}
	return Arg{In: v != "", Text: v}
}

// formExpressions calls fn with each of the form's expressions.
func (r *Rule) formExpressions(fn func(**expression)) {
	if r.Sequence != nil {
		for i := range r.Sequence.Steps {
			s := &r.Sequence.Steps[i]
			fn(&s.filter)
			for j := range s.Keep {
				fn(&s.Keep[j].of)
			}
			for j := range s.Compare {
				fn(&s.Compare[j].of)
			}
		}
	}
	if r.FirstSeen != nil {
		fn(&r.FirstSeen.value)
	}
	if r.Rare != nil {
		fn(&r.Rare.value)
	}
	for i := range r.Seen {
		fn(&r.Seen[i].of)
	}
}

// cloneForm makes the form's expressions the rule's own, after the rule itself was copied.
func (r *Rule) cloneForm() {
	if s := r.Sequence; s != nil {
		r.Sequence = s.clone()
	}
	if f := r.FirstSeen; f != nil {
		c := *f
		r.FirstSeen = &c
	}
	if f := r.Rare; f != nil {
		c := *f
		r.Rare = &c
	}
	r.Seen = append([]Seen(nil), r.Seen...)
	r.formExpressions(func(x **expression) { *x = (*x).clone() })
}

// meaningOfForm hands the parts of the form that decide what the rule detects to put; nothing for FormEvents without
// seenBefore, so that such rules keep their versions.
func (r *Rule) meaningOfForm(put func(...any)) {
	switch r.Form {
	case FormSequence:
		r.Sequence.meaning(put)
	case FormAbsence:
		put("absence", r.Absence.Span, " ", r.Absence.After)
	case FormFirstSeen:
		put("first_seen", r.FirstSeen.value.canonical)
		put("memory", r.FirstSeen.Learn, " ", r.FirstSeen.Forget)
	case FormRare:
		put("rare", r.Rare.value.canonical)
		put("peers", strings.Join(r.Rare.Peers, " "))
		put("share", r.Rare.Share, " ", r.Rare.Least, " ", r.Rare.Span)
	}
	for i := range r.Seen {
		put("seen", r.Seen[i].Not, " ", r.Seen[i].Within)
		put("of", r.Seen[i].of.canonical)
	}
}
