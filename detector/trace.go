package detector

import (
	"slices"
	"time"

	"github.com/warder/warder/rules"
)

// Judgement is what a rule's window holds after an event was counted in it, for people who want to know why a rule does or does not
// alert.
type Judgement struct {
	Rule  *rules.Rule
	Group []string  // values of the rule's group_by, in its order
	Time  time.Time // of the event that was counted
	// Start and End are the first and last event in the window, Count is how many it holds.
	Start, End time.Time
	Count      int64
	// Values are the aggregates, in the rule's order.
	Values []rules.Value
	// Holds tells whether the condition holds; Err is set when it could not be evaluated, and counts as no.
	Holds bool
	Err   error
	// Silent tells that the group alerted so recently that suppress keeps it silent.
	Silent bool
	// Notes say what a form, or the memory of seenBefore, holds for the group; a window has none. Due tells that time raised an
	// alert, not an event.
	Notes []Note
	Due   bool
}

// trace tells Config.Trace of the entity's window. It changes nothing that detection sees, but a condition that fails counts once
// more among the rule's errors.
func (s *Shard) trace(t *table, n *entity, group []string, o *Origin) {
	j := &Judgement{Rule: t.rule, Group: slices.Clone(group), Time: o.Time, Values: n.cur.values(nil)}
	start, count, _ := n.cur.evidence()
	end := n.cur.newest()
	j.Start, j.End, j.Count, j.Silent = timeOf(start), timeOf(end), count, n.silent(end, t.suppress)
	j.Holds, j.Err = t.rule.Holds(j.Values)
	s.cfg.Trace(j)
}
