package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Variation is one change to a rule, see [Rule.Vary]. The zero value of a field leaves its part of the rule as it is.
type Variation struct {
	// Part names the expression that Text takes the place of, as in [Rule.Parts].
	Part, Text string
	// Key names a setting of the rule's form, as in its YAML, and Value what it becomes: absence.span, sequence.STEP.count,
	// window.gap, … see [Rule.Settings].
	Key, Value string
	Step       string        // the step of a sequence that is left out
	Peer       string        // the field of rare.peers that is left out
	Unexcepted int           // the exception that is left out, from 1
	Window     time.Duration // another size
	Type       WindowType    // another kind of window
	Ungroup    string        // the group_by field that is left out
	Everything string        // the aggregate whose where is left out
	Refused    bool          // include_enforced is turned round
}

// Vary returns a Set with nothing but a copy of the rule that has the change. It shares the rule's environment, so it costs no more
// than to compile the changed expression. The error says why the changed rule would not be loaded. Safe for concurrent use.
func (r *Rule) Vary(v Variation) (*Set, error) {
	c := r.clone()
	env := *r.env // counts what it compiles
	env.expanded = 0
	c.env = &env
	if err := c.varyForm(v); err != nil {
		return nil, err
	}
	if v.Window != 0 {
		c.Window.Size = v.Window
	}
	if v.Type != None {
		c.Window.Type = v.Type
	}
	if i := slices.Index(r.GroupBy, v.Ungroup); i >= 0 {
		c.GroupBy = slices.Delete(slices.Clone(r.GroupBy), i, i+1)
		c.group = slices.Delete(slices.Clone(r.group), i, i+1)
	}
	for i := range c.Aggregates {
		if a := &c.Aggregates[i]; v.Everything == a.Name {
			a.where, a.Where = nil, ""
		}
	}
	c.IncludeEnforced = c.IncludeEnforced != v.Refused
	if c.Window.Type != None && (c.Window.Size < time.Second || c.Window.Size > MaxWindow) {
		return nil, fmt.Errorf("window of %s: want 1s to %s", c.Window.Size, MaxWindow)
	}
	if c.Window.Gap > c.Window.Size {
		return nil, fmt.Errorf("window.gap of %s is longer than the window", c.Window.Gap)
	}
	c.Version = c.meaning()
	return newSet([]*Rule{c}), nil
}

// replace compiles the text in the place of the expression.
func (r *Rule) replace(part, text string) error {
	switch {
	case part == "filter" && r.Form != FormSequence && strings.Contains(text+r.filterText(), seenFunction):
		return r.refilter(text)
	case strings.HasPrefix(part, "sequence."):
		return r.resequence(part, text, "")
	}
	x, err := r.expression(part)
	if err != nil {
		return err
	}
	e, known := r.env.events, []string(nil)
	if part == "condition" {
		if e, known, err = r.env.conditions(r); err != nil {
			return err
		}
	}
	changed, err := r.env.compile(e, text, known)
	if err != nil {
		return err
	}
	if !changed.typ.IsExactType((*x).typ) {
		return fmt.Errorf("%s is %s and would become %s", part, (*x).typ, changed.typ)
	}
	*x = changed
	return nil
}

// expression returns where the rule keeps the expression of a part.
func (r *Rule) expression(part string) (**expression, error) {
	name, what, _ := strings.Cut(strings.TrimPrefix(part, "aggregates."), ".")
	for i := range r.Aggregates {
		a := &r.Aggregates[i]
		switch {
		case a.Name != name:
		case what == "of" && a.of != nil:
			return &a.of, nil
		case what == "where" && a.where != nil:
			return &a.where, nil
		}
	}
	var n int
	switch {
	case part == "filter" && r.Form != FormSequence:
		return &r.filter, nil
	case part == "first_seen.value" && r.FirstSeen != nil:
		return &r.FirstSeen.value, nil
	case part == "rare.value" && r.Rare != nil:
		return &r.Rare.value, nil
	case exceptPart(part, &n) && n < len(r.Except):
		return &r.Except[n].when, nil
	case part == "condition" && r.condition != nil:
		return &r.condition, nil
	}
	return nil, errors.New("the rule has no " + part)
}
