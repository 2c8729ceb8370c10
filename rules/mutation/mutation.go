// Package mutation measures how good the tests of rules are: it breaks each rule in many small ways, one at a time, and counts how
// many of the broken rules fail one of the rule's own tests. A change that no test notices is called a survivor: either a test is
// missing, or the part of the rule that was changed is not needed.
//
// The idea is that of mutation testing (DeMillo, Lipton, Sayward: Hints on test data selection, 1978).
package mutation

import (
	"context"
	"io/fs"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// Kind says what was changed.
type Kind string

// The kinds of change.
const (
	Drop    Kind = "drop"    // one operand of && or || is left out
	Negate  Kind = "negate"  // a condition is turned round
	Compare Kind = "compare" // < for <=, == for !=, …
	Number  Kind = "number"  // one more, one less, twice as much
	Element Kind = "element" // one element of a list is left out
	Text    Kind = "text"    // a text becomes another one
	Pattern Kind = "pattern" // one of a regular expression's outermost alternatives is left out, or all of it changed
	Window  Kind = "window"  // a window, a span or a memory twice or half as long, or a window of the other type
	Group   Kind = "group"   // a field of group_by or of rare's peers is left out
	Step    Kind = "step"    // a step of a sequence is left out
	Except  Kind = "except"  // an exception is left out
	Where   Kind = "where"   // an aggregate counts every event
	Refused Kind = "refused" // include_enforced is turned round
)

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{Drop, Negate, Compare, Number, Element, Text, Pattern, Window, Group, Step, Except, Where, Refused}
}

// Mutant is one change to one rule.
type Mutant struct {
	Rule string `json:"rule"`
	Kind Kind   `json:"kind"`
	// Part is what was changed: filter, condition, aggregates.users.where, sequence.failures.count, except[0].when, window, group_by,
	// include_enforced.
	Part   string `json:"part"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column,omitempty"`
	// Change says what became of what, in CEL or in words.
	Change string `json:"change"`
	// Killed tells that a test noticed; By is its name.
	Killed bool   `json:"killed"`
	By     string `json:"by,omitempty"`

	rule      *rules.Rule
	variation rules.Variation
}

// Options say how a run goes.
type Options struct {
	// Passes tells whether a Set that holds a changed form of the rule passes the rule's test over these events. It is called from
	// several goroutines.
	Passes func(set *rules.Set, r *rules.Rule, test *rules.Test, events []*event.Event) bool
	// Parallel is how many mutants are tried at once.
	Parallel int
	// Sample, from 2 on, tries only each n-th mutant of each rule.
	Sample int
	// Done, when set, is called with the number of mutants that are done and that there are, from several goroutines.
	Done func(done, total int)
}

// Report is the outcome of a run.
type Report struct {
	// Mutants are in the order of rules, parts and places.
	Mutants []Mutant
	// Invalid counts changes that make no rule: they do not compile, or a bound forbids them. They are no mutants.
	Invalid int
	// Untested are the rules without a test, which are left out.
	Untested []string
	// Broken are the rules of which a test fails or cannot run even without a change. They are left out, too.
	Broken []string
}

// Run tries every change to every rule of the set. Fixtures are looked for in fsys. The outcome does not depend on Parallel. The
// error is ctx's.
func Run(ctx context.Context, set *rules.Set, fsys fs.FS, opt Options) (*Report, error) {
	out := &Report{}
	var subjects []*subject
	total := 0
	for _, r := range set.Rules() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s := &subject{rule: r, opt: &opt}
		switch {
		case len(r.Tests) == 0:
			out.Untested = append(out.Untested, r.ID)
			continue
		case !s.prepare(fsys):
			out.Broken = append(out.Broken, r.ID)
			continue
		}
		s.mutants = sample(Mutants(r), opt.Sample)
		total += len(s.mutants)
		subjects = append(subjects, s)
	}
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(opt.Parallel, 1))
	for _, s := range subjects {
		s.valid = make([]bool, len(s.mutants))
		for i := range s.mutants {
			g.Go(func() error {
				s.valid[i] = s.try(&s.mutants[i])
				if n := int(done.Add(1)); opt.Done != nil {
					opt.Done(n, total)
				}
				return ctx.Err()
			})
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, s := range subjects {
		for i, ok := range s.valid {
			if ok {
				out.Mutants = append(out.Mutants, s.mutants[i])
			} else {
				out.Invalid++
			}
		}
	}
	return out, nil
}

func sample(all []Mutant, n int) []Mutant {
	if n < 2 {
		return all
	}
	var out []Mutant
	for i := 0; i < len(all); i += n {
		out = append(out, all[i])
	}
	return out
}

// subject is one rule with the events of its tests.
type subject struct {
	rule    *rules.Rule
	opt     *Options
	events  [][]*event.Event // by test
	order   []int            // of the tests: short ones first
	mutants []Mutant
	valid   []bool
}

// prepare reads the events; false when a test cannot run or fails as it is.
func (s *subject) prepare(fsys fs.FS) bool {
	read := s.rule.TestEvents(fsys)
	whole, err := s.rule.Vary(rules.Variation{})
	if err != nil {
		return false
	}
	for i := range s.rule.Tests {
		events, err := read(i)
		if err != nil || !s.opt.Passes(whole, s.rule, &s.rule.Tests[i], events) {
			return false
		}
		s.events = append(s.events, events)
		s.order = append(s.order, i)
	}
	slices.SortStableFunc(s.order, func(a, b int) int { return len(s.events[a]) - len(s.events[b]) })
	return true
}

// try runs the tests until one notices; false when the change makes no rule.
func (s *subject) try(m *Mutant) bool {
	set, err := s.rule.Vary(m.variation)
	if err != nil {
		return false
	}
	for _, i := range s.order {
		if t := &s.rule.Tests[i]; !s.opt.Passes(set, s.rule, t, s.events[i]) {
			m.Killed, m.By = true, t.Name
			return true
		}
	}
	return true
}

// Tally is how many mutants there are, and how many of them a test noticed.
type Tally struct {
	Killed int `json:"killed"`
	Total  int `json:"total"`
}

// Percent is the share of those that were noticed, 100 when there are none.
func (t Tally) Percent() float64 {
	if t.Total == 0 {
		return 100
	}
	return 100 * float64(t.Killed) / float64(t.Total)
}

// Tally counts the mutants for which wanted says yes; nil counts all.
func (r *Report) Tally(wanted func(*Mutant) bool) Tally {
	var t Tally
	for i := range r.Mutants {
		m := &r.Mutants[i]
		if wanted != nil && !wanted(m) {
			continue
		}
		t.Total++
		if m.Killed {
			t.Killed++
		}
	}
	return t
}
