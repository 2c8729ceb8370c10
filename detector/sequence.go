package detector

import (
	"slices"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/rules"
)

// Bounds of one group of a sequence.
const (
	maxRuns = 16 // attempts beyond the first step; as many beginnings. The oldest is given up above it.
	maxRefs = 32 // events that an attempt shows as evidence, the newest
)

// plan is a sequence in the form in which it is followed.
type plan struct {
	span  int64
	kept  int
	steps []planStep // those that must happen
	// trailing has the steps after the last of them that must not happen until the span ends.
	trailing []*rules.Step
}

type planStep struct {
	*rules.Step
	absent []*rules.Step // must not happen between the step before and this one
}

func newPlan(s *rules.Sequence) *plan {
	p := &plan{span: int64(s.Span), kept: s.Kept}
	var absent []*rules.Step
	for i := range s.Steps {
		st := &s.Steps[i]
		if st.Absent {
			absent = append(absent, st)
			continue
		}
		p.steps = append(p.steps, planStep{st, absent})
		absent = nil
	}
	p.trailing = absent
	return p
}

// attempt is a sequence on its way.
type attempt struct {
	step        int8 // the one that comes next; len(plan.steps): only the span's end is waited for
	n           int8 // events of that step so far
	total       int32
	start, last int64
	kept        []uint64 // by slot; what is not kept yet is 0
	refs        []ref    // newest events, oldest first
}

// steps is the state of a sequence in one group.
type steps struct {
	unwindowed
	timer
	*plan
	high int64 // newest event
	now  int64 // how far time has come, while an event is in hand
	// beginnings count events of the first step when it needs more than one: for each combination of kept values the newest of
	// them. Touched last comes last.
	beginnings []attempt
	attempts   []attempt // in the order in which they began
}

var _ timed = (*steps)(nil)

func (q *steps) newest() int64 { return q.high }
func (q *steps) alarm() *timer { return &q.timer }

func (q *steps) cost() int {
	n := costSpan + 100
	for _, l := range [][]attempt{q.beginnings, q.attempts} {
		for i := range l {
			n += 72 + 8*len(l[i].kept) + 24*len(l[i].refs) // lengths, so that a restored group costs as much
		}
	}
	return n
}

// waiting tells whether the attempt only waits for the end of the span.
func (q *steps) waiting(a *attempt) bool { return int(a.step) == len(q.steps) }

// grow appends by single elements while there are few: most groups have one or two.
func grow[T any](l []T, x T) []T {
	if n := len(l); n == cap(l) && n < 8 {
		l = append(make([]T, 0, n+1), l...)
	}
	return append(l, x)
}

// next is the end of the span of the attempt that waits for it longest.
func (q *steps) next() int64 {
	due := int64(0)
	for i := range q.attempts {
		if a := &q.attempts[i]; q.waiting(a) && (due == 0 || a.start+q.span < due) {
			due = a.start + q.span
		}
	}
	return due
}

// sequence takes one event of a group.
func (s *Shard) sequence(t *table, tap *tapClock, group []string, args []Arg, o *Origin, dst []*alert.Alert) []*alert.Alert {
	at := o.Time.UnixNano()
	s.key = groupKey(s.key[:0], group)
	n := t.grouping.find(s.key, t.place)
	if n == nil || n.cur == nil {
		if first := t.plan.steps[0]; !first.matches(args, nil) || !first.keeps(args, nil) {
			return dst // nothing that it could follow
		}
	}
	n = t.touch(s.key, tap)
	q, ok := n.cur.(*steps)
	if !ok {
		q = &steps{plan: t.plan}
		n.cur = q
	}
	q.now = s.passedBy(tap)
	q.prune(q.now - s.maxJump) // a tap that lags may still complete it
	done, forgot := q.take(at, refOf(o.ID, at), args)
	s.stats.Forgotten += uint64(forgot)
	if done != nil {
		dst = s.say(t, n, group, o, q.finding(done, done.last), dst)
	}
	s.tracedSteps(t, q, done, group, args, o)
	t.arm(n)
	t.settle(n)
	s.shrink(n)
	return dst
}

// wake completes attempts whose span has passed without what must not happen.
func (q *steps) wake(t *table, n *entity, until int64, dst []*alert.Alert) []*alert.Alert {
	for due := q.next(); due != 0 && due < until; due = q.next() {
		i := slices.IndexFunc(q.attempts, func(a attempt) bool { return q.waiting(&a) && a.start+q.span == due })
		a := q.attempts[i]
		q.attempts = slices.Delete(q.attempts, i, i+1)
		o := &Origin{Time: timeOf(due)}
		group := splitKey(n.seat.key, len(t.rule.GroupBy))
		if t.shard.cfg.Trace != nil {
			t.shard.noted(t, group, o, true, []Note{{"due", "the span of an attempt has passed" + t.shard.keptText(t, a.kept)}})
		}
		dst = t.shard.say(t, n, group, o, q.finding(&a, due), dst)
	}
	return dst
}

func (q *steps) finding(a *attempt, end int64) finding {
	f := finding{start: a.start, end: end, count: int64(a.total), refs: a.refs, named: map[string]float64{}}
	for _, s := range q.steps {
		f.named[s.Name] = float64(s.Count)
	}
	return f
}

// prune lets go of what can no longer be completed.
func (q *steps) prune(now int64) {
	q.beginnings = slices.DeleteFunc(q.beginnings, func(a attempt) bool { return a.last+q.span < now })
	q.attempts = slices.DeleteFunc(q.attempts, func(a attempt) bool { return !q.waiting(&a) && a.start+q.span < now })
}

// take moves attempts on by one event and begins new ones. It returns the oldest attempt that is complete, and how many were
// given up for lack of room.
func (q *steps) take(at int64, r ref, args []Arg) (done *attempt, forgot int) {
	q.high = max(q.high, at)
	moved := false
	left := q.attempts[:0]
	for i := range q.attempts {
		a := &q.attempts[i]
		switch q.move(a, at, r, args) {
		case attemptKilled:
			continue
		case attemptMoved:
			moved = true
			if q.waiting(a) && len(q.trailing) == 0 {
				if done == nil {
					done = new(attempt)
					*done = *a
				}
				continue
			}
		}
		left = append(left, *a)
	}
	clear(q.attempts[len(left):])
	q.attempts = left
	begun, forgot := q.begin(at, r, args)
	if begun {
		forgot += q.bound(&q.attempts)
	}
	if begun || moved {
		q.merge()
	}
	return done, forgot
}

// What became of an attempt.
const (
	attemptLeft = iota
	attemptMoved
	attemptKilled
)

func (q *steps) move(a *attempt, at int64, r ref, args []Arg) int {
	if at-a.start > q.span || at < a.last {
		return attemptLeft // not within it
	}
	if q.waiting(a) {
		if anyMatches(q.trailing, args, a.kept) {
			return attemptKilled
		}
		return attemptLeft
	}
	s := q.steps[a.step]
	same := a.kept
	if a.n == 0 {
		same = nil
	}
	if s.matches(args, a.kept) && s.keeps(args, same) {
		a.count(r)
		if a.n == 0 && len(s.Keep) > 0 {
			a.kept = slices.Clone(a.kept)
			s.store(args, a.kept)
		}
		if a.n++; int(a.n) == s.Count {
			a.step, a.n = a.step+1, 0
		}
		return attemptMoved
	}
	if anyMatches(s.absent, args, a.kept) {
		return attemptKilled
	}
	return attemptLeft
}

// count adds an event.
func (a *attempt) count(r ref) {
	if len(a.refs) == maxRefs {
		a.refs = slices.Clone(a.refs[1:])
	}
	a.refs = grow(a.refs, r)
	a.last = max(a.last, r.time)
	a.total++
}

// begin takes an event of the first step, and begins an attempt when there are enough of them.
func (q *steps) begin(at int64, r ref, args []Arg) (begun bool, forgot int) {
	s := q.steps[0]
	if !s.matches(args, nil) || !s.keeps(args, nil) {
		return false, 0
	}
	kept := make([]uint64, q.kept)
	s.store(args, kept)
	if s.Count == 1 {
		q.attempts = grow(q.attempts, attempt{step: 1, start: at, last: at, total: 1, kept: kept, refs: []ref{r}})
		return true, 0
	}
	i := slices.IndexFunc(q.beginnings, func(b attempt) bool { return near(at, b.last, q.span) && slices.Equal(b.kept, kept) })
	var b attempt
	if i < 0 {
		b = attempt{start: at, last: at, kept: kept}
	} else {
		b = q.beginnings[i]
		q.beginnings = slices.Delete(q.beginnings, i, i+1)
	}
	b.insert(r, q.span)
	if len(b.refs) >= s.Count {
		refs := slices.Clone(b.refs[max(0, len(b.refs)-maxRefs):])
		q.attempts = grow(q.attempts, attempt{step: 1, start: b.refs[0].time, last: b.last, total: int32(s.Count), kept: kept, refs: refs})
		b.refs = append(b.refs[:0], b.refs[1:]...)
		begun = true
	}
	q.beginnings = grow(q.beginnings, b)
	return begun, q.bound(&q.beginnings)
}

// insert adds an event of the first step in the order of time and lets go of those that are more than the span older than the
// newest.
func (a *attempt) insert(r ref, span int64) {
	at := len(a.refs)
	for at > 0 && a.refs[at-1].time > r.time {
		at--
	}
	a.refs = grow(a.refs, r)
	copy(a.refs[at+1:], a.refs[at:])
	a.refs[at] = r
	a.last = a.refs[len(a.refs)-1].time
	gone := 0
	for a.last-a.refs[gone].time > span {
		gone++
	}
	a.refs = slices.Delete(a.refs, 0, gone)
	a.start = a.refs[0].time
}

// bound gives up the oldest ones above the bound, after those that only an event that comes late could complete.
func (q *steps) bound(l *[]attempt) (forgot int) {
	if len(*l) > maxRuns {
		q.prune(q.now)
	}
	if forgot = len(*l) - maxRuns; forgot <= 0 {
		return 0
	}
	*l = slices.Delete(*l, 0, forgot)
	return forgot
}

// merge lets go of attempts that another one makes needless: of two that stand at the same place with the same values, the one
// that began later can be completed for longer; of two that wait for the span's end, the earlier one says it first.
func (q *steps) merge() {
	for i := 0; i < len(q.attempts); i++ {
		for j := i + 1; j < len(q.attempts); j++ {
			a, b := &q.attempts[i], &q.attempts[j]
			if a.step != b.step || a.n != b.n || !slices.Equal(a.kept, b.kept) {
				continue
			}
			gone := i
			if q.waiting(a) == (a.start <= b.start) {
				gone = j
			}
			q.attempts = slices.Delete(q.attempts, gone, gone+1)
			i--
			break
		}
	}
}

// matches tells whether the event is the step, for an attempt that keeps these values.
func (s planStep) matches(args []Arg, kept []uint64) bool { return stepMatches(s.Step, args, kept) }

func stepMatches(s *rules.Step, args []Arg, kept []uint64) bool {
	if !args[s.Arg].In {
		return false
	}
	for _, c := range s.Compare {
		if a := args[c.Arg]; !a.In || (a.Bits == kept[c.Slot]) == c.Not {
			return false
		}
	}
	return true
}

func anyMatches(l []*rules.Step, args []Arg, kept []uint64) bool {
	return slices.ContainsFunc(l, func(s *rules.Step) bool { return stepMatches(s, args, kept) })
}

// keeps tells whether the event has the values that the step keeps: those in same, when the step has begun.
func (s planStep) keeps(args []Arg, same []uint64) bool {
	for _, k := range s.Keep {
		if a := args[k.Arg]; !a.In || same != nil && a.Bits != same[k.Slot] {
			return false
		}
	}
	return true
}

func (s planStep) store(args []Arg, kept []uint64) {
	for _, k := range s.Keep {
		kept[k.Slot] = args[k.Arg].Bits
	}
}
