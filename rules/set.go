package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/warder/warder/internal/event"
)

// Set is a compiled set of rules. It is immutable and safe for concurrent use.
type Set struct {
	rules []*Rule // in id order
	index *index
	// groupings are the different group_by lists of the rules; what an event has for one of them is worked out once.
	groupings  [][]*field
	pool       sync.Pool // of *input, for events
	conditions sync.Pool // of *input, for the values of aggregates
}

// newSet puts compiled rules together. They belong to the Set from then on.
func newSet(rules []*Rule) *Set {
	s := &Set{rules: rules, index: newIndex()}
	seen := map[string]int{}
	for i, r := range rules {
		key := strings.Join(r.GroupBy, " ")
		sig, ok := seen[key]
		if !ok {
			sig = len(s.groupings)
			seen[key] = sig
			s.groupings = append(s.groupings, r.group)
		}
		r.signature, r.set = sig, s
		s.index.add(r, i)
	}
	s.index.build()
	s.pool.New = func() any { return newInput(s) }
	s.conditions.New = func() any { return &input{set: s} }
	return s
}

// Rules returns the rules in id order. The caller must not change the slice.
func (s *Set) Rules() []*Rule { return s.rules }

// Rule returns the rule with the id, nil when there is none.
func (s *Set) Rule(id string) *Rule {
	i, ok := slices.BinarySearchFunc(s.rules, id, func(r *Rule, id string) int { return strings.Compare(r.ID, id) })
	if !ok {
		return nil
	}
	return s.rules[i]
}

// Only returns a Set of its own with the rules that keep says; it does not share error counters with s.
func (s *Set) Only(keep func(*Rule) bool) *Set {
	var rules []*Rule
	for _, r := range s.rules {
		if keep(r) {
			rules = append(rules, r.clone())
		}
	}
	return newSet(rules)
}

// clone returns a copy that can be part of another Set.
func (r *Rule) clone() *Rule {
	c := *r
	c.errs, c.excepted, c.unit, c.arguments = new(atomic.Uint64), new(atomic.Uint64), nil, 0
	c.filter, c.condition = r.filter.clone(), r.condition.clone()
	c.Except = slices.Clone(r.Except)
	for i := range c.Except {
		c.Except[i].when = c.Except[i].when.clone()
	}
	c.Aggregates = slices.Clone(r.Aggregates)
	for i := range c.Aggregates {
		a := &c.Aggregates[i]
		a.of, a.where = a.of.clone(), a.where.clone()
	}
	c.cloneForm()
	return &c
}

// Match appends a Match for every rule whose filter accepts the event, in id order. Events that are no requests match nothing.
// An event that a decision of Warder's answered only matches rules with include_enforced. An event that lacks the value of a
// group_by field does not match a rule grouped by it: there would be no entity to hold it against. Match does not
// allocate when nothing matches and no filter needs CEL itself; it is safe for concurrent use. The matches hold
// texts of e, and the caller must not change their Group and Args.
func (s *Set) Match(e *event.Event, dst []Match) []Match { return s.MatchIn(nil, e, dst) }

// MatchIn is Match with the caller's memory for Group and Args of the matches: they are valid until mem is reset. With nil
// they are valid for ever.
func (s *Set) MatchIn(mem *Memory, e *event.Event, dst []Match) []Match {
	if e.Kind != event.Request {
		return dst
	}
	in := s.pool.Get().(*input)
	if mem != nil {
		in.memory = mem
	}
	dst = in.match(e, dst)
	in.clear()
	s.pool.Put(in)
	return dst
}

// accepts evaluates a boolean expression over the event, natively as far as possible and once for all rules that share it. An
// evaluation error counts and is "no".
func (r *Rule) accepts(in *input, x *expression) bool {
	if x.test.exact && x.test.cost == costPlain {
		return x.test.fn(in)
	}
	c := new(cachedValue)
	if x.shared > 0 {
		var known bool
		if c, known = in.cached(x.shared); known {
			r.failedToo(in, c.failures)
			return c.holds
		}
	}
	c.holds, c.failures = x.test.fn == nil || x.test.fn(in), nil
	if !c.holds || x.test.exact {
		return c.holds
	}
	var err error
	if c.holds, err = x.holds(in); err != nil {
		r.failed(in, err)
		c.failures = []error{err}
	}
	return c.holds
}

// args works out what the event contributes to each aggregate.
func (r *Rule) args(in *input) []Arg {
	n := len(r.Aggregates) + r.FormArgs()
	if n == 0 {
		return nil
	}
	args := in.memory.args.take(n)
	r.evaluateForm(in, args[len(r.Aggregates):])
	for i := range r.Aggregates {
		a := &r.Aggregates[i]
		if a.where != nil && !r.accepts(in, a.where) {
			continue
		}
		args[i] = r.arg(in, a)
	}
	return args
}

// Holds evaluates the condition over the aggregates' values, in order; it is true when there is no condition. An error (for
// example a division by zero) is counted like a filter's and means that the condition does not hold. Safe for concurrent use.
func (r *Rule) Holds(values []Value) (bool, error) {
	if len(values) != len(r.Aggregates) {
		return false, fmt.Errorf("rule %s: %d values for %d aggregates", r.ID, len(values), len(r.Aggregates))
	}
	x := r.condition
	if x == nil {
		return true, nil
	}
	in := r.set.conditions.Get().(*input)
	in.aggregates, in.values = r.Aggregates, values
	ok, err := false, error(nil)
	switch {
	case x.test.fn != nil && !x.test.fn(in) && (x.test.no == nil || x.test.no(in)):
	case x.test.exact && x.test.fn(in):
		ok = true
	default:
		if ok, err = x.holds(in); err != nil {
			r.errs.Add(1)
			ok, err = false, fmt.Errorf("rule %s: condition: %w", r.ID, err)
		}
	}
	in.aggregates, in.values = nil, nil
	r.set.conditions.Put(in)
	return ok, err
}

// meaning is the hash of what the rule detects, in a canonical form: layout and comments do not matter, not even inside of
// expressions. How serious it is, what is done about it and how it is tested are not part of it, so that turning a rule from
// shadow to enforce keeps its windows.
func (r *Rule) meaning() string {
	h := sha256.New()
	put := func(parts ...any) { fmt.Fprintf(h, "%q\n", fmt.Sprint(parts...)) }
	canon := func(x *expression) string {
		if x == nil {
			return ""
		}
		return x.canonical
	}
	put("rule", r.ID)
	put("filter", canon(r.filter))
	for _, g := range r.GroupBy {
		put("group", g)
	}
	put("window", r.Window.Type, " ", r.Window.Size)
	if r.Window.Type == Session {
		put("gap", r.Window.Gap)
	}
	for i := range r.Aggregates {
		a := &r.Aggregates[i]
		put("aggregate", a.Name, " ", a.Func)
		put("of", canon(a.of))
		if a.Func == Quantile {
			put("q", a.Q)
		}
		put("where", canon(a.where))
	}
	put("condition", canon(r.condition))
	r.meaningOfForm(put)
	put("suppress", r.Suppress)
	put("enforced", r.IncludeEnforced)
	return hex.EncodeToString(h.Sum(nil)[:8])
}
