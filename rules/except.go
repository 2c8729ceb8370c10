package rules

import (
	"fmt"
	"time"
)

// MaxExcept bounds the exceptions of a rule.
const MaxExcept = 64

// Exception is known-good traffic that a rule leaves alone until a date. It is not part of the rule's version: to silence
// something keeps the windows.
type Exception struct {
	When   string // CEL over the event
	Owner  string // who answers for it
	Reason string
	// Until is when it ends: the midnight in UTC after the day that is written. The event's time decides.
	Until time.Time
	Line  int

	when      *expression
	inherited bool // from the rule that is extended
}

type exceptYAML struct {
	When   scalar `yaml:"when"`
	Owner  scalar `yaml:"owner"`
	Until  scalar `yaml:"until"`
	Reason scalar `yaml:"reason"`
}

// Excepted counts the matches that an exception took back. Safe for concurrent use.
func (r *Rule) Excepted() uint64 { return r.excepted.Load() }

// silenced tells whether one of the rule's exceptions holds for the event in hand. One that cannot be evaluated does not hold.
func (r *Rule) silenced(in *input) bool {
	if r.silencer(in) < 0 {
		return false
	}
	r.excepted.Add(1)
	return true
}

// exceptions reads the rule's exceptions.
func (b *builder) exceptions() {
	if n := len(b.raw.Except); n > MaxExcept {
		b.fail("except", b.raw.Except[MaxExcept].When, "has %d entries, limit is %d", n, MaxExcept)
		return
	}
	for i, raw := range b.raw.Except {
		key := fmt.Sprintf("except[%d]", i)
		x := Exception{When: raw.When.Value, Owner: raw.Owner.Value, Reason: raw.Reason.Value}
		where := raw.When
		if !where.set() {
			where = b.raw.ID
		}
		if x.Line, _ = b.src.locate(where, 0); b.inherited["except"] {
			x.Line, x.inherited = b.rule.Line, true
		}
		if !raw.Owner.set() || x.Owner == "" || len(x.Owner) > maxOwner {
			b.fail(key, where, "owner: want 1 to %d bytes: who answers for the exception", maxOwner)
		}
		if len(x.Reason) > maxMetadata {
			b.fail(key, raw.Reason, "reason: has %d bytes, limit is %d", len(x.Reason), maxMetadata)
		}
		day, err := time.Parse(time.DateOnly, raw.Until.Value)
		switch {
		case !raw.Until.set():
			b.fail(key, where, "until is missing: every exception ends; write the last day, such as until: 2027-01-31")
		case err != nil || day.Year() < 2000 || day.Year() > 2200:
			b.fail(key, raw.Until, "until: want the last day, such as 2027-01-31")
		}
		x.Until = day.AddDate(0, 0, 1)
		x.when = b.boolean(key+".when", raw.When, b.env.events, nil)
		b.rule.Except = append(b.rule.Except, x)
	}
}
