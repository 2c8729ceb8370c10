package mutation

import (
	"fmt"
	"strings"
	"time"

	"github.com/warder/warder/rules"
)

// Mutants lists the changes to the rule, in the order of its parts and of the places in them.
func Mutants(r *rules.Rule) []Mutant {
	var out []Mutant
	for _, p := range r.Parts() {
		out = append(out, expression(r, p)...)
	}
	add := func(kind Kind, part, change string, v rules.Variation) {
		out = append(out, Mutant{Rule: r.ID, Kind: kind, Part: part, File: r.File, Line: r.Line, Change: change, rule: r, variation: v})
	}
	windows(r, add)
	form(r, add)
	for _, g := range r.GroupBy {
		add(Group, "group_by", "without "+g, rules.Variation{Ungroup: g})
	}
	for _, a := range r.Aggregates {
		if a.Where != "" {
			add(Where, "aggregates."+a.Name, "counts every event", rules.Variation{Everything: a.Name})
		}
	}
	if r.IncludeEnforced { // what is not written is not changed
		add(Refused, "include_enforced", "include_enforced: false", rules.Variation{Refused: true})
	}
	return out
}

// form changes the spans and numbers of the rule's form, and leaves out steps, peers and exceptions.
func form(r *rules.Rule, add func(kind Kind, part, change string, v rules.Variation)) {
	for _, s := range r.Settings() {
		kind := Number
		if strings.Trim(s.Value, "0123456789.") != "" {
			kind = Window
		}
		for _, v := range []string{s.More, s.Fewer} {
			if v != "" && v != s.Value {
				add(kind, s.Key, s.Value+" → "+v, rules.Variation{Key: s.Key, Value: v})
			}
		}
	}
	if r.Sequence != nil {
		for i := range r.Sequence.Steps {
			name := r.Sequence.Steps[i].Name
			add(Step, "sequence."+name, "without step "+name, rules.Variation{Step: name})
		}
	}
	if r.Rare != nil {
		for _, p := range r.Rare.Peers {
			add(Group, "rare.peers", "without "+p, rules.Variation{Peer: p})
		}
	}
	for i := range r.Except {
		add(Except, fmt.Sprintf("except[%d]", i), "without the exception", rules.Variation{Unexcepted: i + 1})
	}
}

func windows(r *rules.Rule, add func(kind Kind, part, change string, v rules.Variation)) {
	size := r.Window.Size
	if r.Window.Type == rules.None {
		return
	}
	for _, d := range []time.Duration{size * 2, size / 2} {
		add(Window, "window", fmt.Sprintf("%s → %s", rules.Span(size), rules.Span(d)), rules.Variation{Window: d})
	}
	switch r.Window.Type {
	case rules.Sliding:
		add(Window, "window", "sliding → tumbling", rules.Variation{Type: rules.Tumbling})
	case rules.Tumbling:
		add(Window, "window", "tumbling → sliding", rules.Variation{Type: rules.Sliding})
	}
}

// Set returns a Set with nothing but the changed rule.
func (m *Mutant) Set() (*rules.Set, error) { return m.rule.Vary(m.variation) }
