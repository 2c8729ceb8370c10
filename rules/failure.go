package rules

import (
	"errors"

	"github.com/google/cel-go/interpreter"
)

// Failure is an evaluation that failed and was taken as "no match".
type Failure struct {
	Rule *Rule
	// Overrun tells that the expression passed its bound of cost; otherwise it failed on what the event holds.
	Overrun bool
}

// Failures returns what failed while events were matched with this memory since the last Reset, in order. Whether an expression is
// asked at all follows from the event and the Set alone, and so do the failures.
func (m *Memory) Failures() []Failure { return m.failures }

// Suspend leaves the rule out of matches that are made with this memory, for good.
func (m *Memory) Suspend(r *Rule) {
	if m.suspended == nil {
		m.suspended = map[*Rule]bool{}
	}
	m.suspended[r] = true
}

// skips tells whether the rule is left out.
func (m *Memory) skips(r *Rule) bool { return len(m.suspended) > 0 && m.suspended[r] }

// skipsAll tells whether all of the rules are left out.
func (m *Memory) skipsAll(rules []*Rule) bool {
	if len(m.suspended) == 0 {
		return false
	}
	for _, r := range rules {
		if !m.suspended[r] {
			return false
		}
	}
	return true
}

// failed counts a failed evaluation of the rule.
func (r *Rule) failed(in *input, err error) {
	r.errs.Add(1)
	in.failures = append(in.failures, err)
	if in.memory != nil && in.memory != &in.own { // somebody will read it, and clear it
		in.memory.failures = append(in.memory.failures, Failure{r, Overrun(err)})
	}
}

// failedToo counts failures of an evaluation that the rule shares with others.
func (r *Rule) failedToo(in *input, errs []error) {
	for _, err := range errs {
		r.failed(in, err)
	}
}

// Overrun tells whether an evaluation ended because it passed its bound of cost.
func Overrun(err error) bool {
	var cancelled interpreter.EvalCancelledError
	return errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded
}
