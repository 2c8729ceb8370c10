package rules

import (
	"fmt"
	"math/bits"
	"reflect"
	"slices"
	"strings"

	"github.com/warder/warder/internal/event"
)

// cachedValue is what one of the expressions that rules share has said of the event: a where, or a rule's aggregates.
type cachedValue struct {
	gen      uint32
	holds    bool
	args     []Arg
	failures []error // of evaluations that failed: they count for each rule
}

// share numbers a where by what it says, so that rules which ask the same thing are answered once an event.
func (x *index) share(r *Rule, e *expression) {
	if e != nil {
		e.shared = x.number("where " + r.scope() + e.canonical)
	}
}

// shareArgs does the same with all of a rule's aggregates; rules of other forms work out their own arguments.
func (x *index) shareArgs(r *Rule) {
	if len(r.Aggregates) == 0 || r.FormArgs() > 0 {
		return
	}
	var b strings.Builder
	b.WriteString(r.scope())
	for i := range r.Aggregates {
		a := &r.Aggregates[i]
		b.WriteString(a.Func)
		for _, e := range []*expression{a.of, a.where} {
			b.WriteByte(0)
			if e != nil {
				b.WriteString(e.canonical)
			}
		}
		b.WriteByte(0)
	}
	r.arguments = x.number("args " + b.String())
}

// scope tells rules apart whose lists are not the same, so that one name may mean two things.
func (r *Rule) scope() string {
	if len(r.lists) == 0 {
		return ""
	}
	return fmt.Sprintf("%x ", reflect.ValueOf(r.lists).Pointer())
}

// number returns the number of a value that rules share, from 1.
func (x *index) number(text string) int {
	n, ok := x.values[text]
	if !ok {
		n = len(x.values) + 1
		x.values[text] = n
	}
	return n
}

// cached returns the value with the number; false when the event has none yet. Then the caller sets it.
func (in *input) cached(number int) (*cachedValue, bool) {
	c := &in.shared[number-1]
	if c.gen == in.gen {
		return c, true
	}
	c.gen = in.gen
	return c, false
}

// arguments is args, once an event for all rules with the same aggregates.
func (in *input) arguments(r *Rule) []Arg {
	if r.arguments == 0 {
		return r.args(in)
	}
	c, ok := in.cached(r.arguments)
	if !ok {
		before := len(in.failures)
		c.args = r.args(in)
		c.failures = slices.Clone(in.failures[before:])
		in.argued = append(in.argued, r.arguments-1)
	} else {
		r.failedToo(in, c.failures)
	}
	return c.args
}

// judge evaluates the filters that the index lets the event in to, and marks the rules that match.
func (in *input) judge(refused bool) {
	x := in.set.index
	in.firsts.or(x.always)
	x.lookup.candidates(in)
	for i, used := range in.firsts.used {
		for ; used != 0; used &= used - 1 {
			w := i<<6 + bits.TrailingZeros64(used)
			for left := in.firsts.words[w] & (in.seconds.words[w] | x.single[w]); left != 0; left &= left - 1 {
				u := x.units[w<<6+bits.TrailingZeros64(left)]
				if (!refused || u.enforced) && !in.memory.skipsAll(u.rules) && u.accepts(in) {
					in.accepted.or(u.numbers)
				}
			}
		}
	}
	in.firsts.clear()
	in.seconds.clear()
}

// accepts evaluates the filter, natively as far as possible.
func (u *unit) accepts(in *input) bool {
	x := u.filter
	if x.test.fn != nil && !x.test.fn(in) {
		return false
	}
	if x.test.exact {
		return true
	}
	ok, err := x.holds(in)
	if err != nil {
		for _, r := range u.rules {
			r.failed(in, err)
		}
	}
	return ok
}

// report appends the matches of the rules that were marked, in id order.
func (in *input) report(refused bool, dst []Match) []Match {
	rules := in.set.rules
	for i, used := range in.accepted.used {
		for ; used != 0; used &= used - 1 {
			w := i<<6 + bits.TrailingZeros64(used)
			for left := in.accepted.words[w]; left != 0; left &= left - 1 {
				r := rules[w<<6+bits.TrailingZeros64(left)]
				if refused && !r.IncludeEnforced || in.memory.skips(r) {
					continue
				}
				if group, ok := in.group(r); ok && !r.silenced(in) {
					dst = append(dst, Match{Rule: r, Group: group, Args: in.arguments(r)})
				}
			}
		}
	}
	in.accepted.clear()
	return dst
}

// match is Set.MatchIn for a request.
func (in *input) match(e *event.Event, dst []Match) []Match {
	in.begin(e)
	refused := e.Refused()
	in.judge(refused)
	return in.report(refused, dst)
}
