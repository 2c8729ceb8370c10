package enforcer

import (
	"container/heap"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/warder/warder/internal/decision"
)

// maxProposed bounds the decisions that wait for a person. The others are bounded by how many may start in a minute and by
// their longest life, so that attackers with many addresses cannot make the ledger, and the topic, grow without end.
const maxProposed = 10_000

// maxEnded bounds the decisions that are over and kept for the ladder and for people; the oldest are forgotten first.
const maxEnded = 100_000

// ledger is the enforcer's view of the decisions topic: the newest record of each entity. It is
// safe for concurrent use: the tail of the topic and the alert partitions write to it.
type ledger struct {
	keep time.Duration // how long ended decisions are kept

	mu      sync.Mutex
	byKey   map[string]*row
	byID    map[string]*decision.Decision
	past    map[string]*decision.Decision // by id: replaced by another before they would have expired
	unsaid  map[string]bool               // ids of decisions that may not have reached the topic yet
	running byExpiry                      // active and proposed
	ended   byExpiry                      // the others
	young   map[string]*decision.Decision // by key: what the rollback may have to look at
	held    map[cause]int                 // proposals, by what they wait for
	thrown  decision.Switch               // the global switch; its zero value says nothing
	started []time.Time                   // when entities came to have an active decision, the last minute only

	proposed, inForce int   // of running
	touched           int64 // billionths: sum of the shares of refusing decisions in force
}

// row is an entity's place in the ledger.
type row struct {
	d  *decision.Decision
	at int // in its heap
}

// cause names what a proposal waits for.
type cause struct{ rule, guardrail string }

func causeOf(d *decision.Decision) cause { return cause{d.Reason.Rule, d.Guardrail} }

func newLedger(keep time.Duration) *ledger {
	return &ledger{keep: keep, byKey: map[string]*row{}, byID: map[string]*decision.Decision{}, past: map[string]*decision.Decision{},
		unsaid: map[string]bool{}, young: map[string]*decision.Decision{}, held: map[cause]int{}}
}

// byExpiry is a heap: what expires first is first.
type byExpiry []*row

func (h byExpiry) Len() int           { return len(h) }
func (h byExpiry) Less(i, j int) bool { return h[i].d.Expires.Before(h[j].d.Expires) }
func (h byExpiry) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }
func (h *byExpiry) Push(x any)        { r := x.(*row); r.at = len(*h); *h = append(*h, r) }
func (h *byExpiry) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}

// first returns rows from the first one on while more says so. It leaves the heap as it was.
func (h *byExpiry) first(more func(d *decision.Decision) bool) []*decision.Decision {
	var rows []*row
	var out []*decision.Decision
	for len(*h) > 0 && more((*h)[0].d) {
		r := heap.Pop(h).(*row)
		rows, out = append(rows, r), append(out, r.d)
	}
	for _, r := range rows {
		heap.Push(h, r)
	}
	return out
}

// newest returns what the ledger has for the key, nil when nothing.
func (l *ledger) newest(key string) *decision.Decision {
	if r := l.byKey[key]; r != nil {
		return r.d
	}
	return nil
}

// put takes a record of the topic, or one that was just written. Reading one's own record again changes nothing. The end of an
// earlier decision about an entity does not end the one in force: whoever wrote it had not seen that one yet. put returns the
// one in force then, for the topic has to be told again.
func (l *ledger) put(d *decision.Decision, now time.Time) (inForce *decision.Decision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.newest(string(d.Key()))
	if !d.Replaces(old, now) {
		return old
	}
	l.store(d, now)
	delete(l.unsaid, d.ID)
	return nil
}

func (l *ledger) store(d *decision.Decision, now time.Time) {
	key := string(d.Key())
	old := l.newest(key)
	minuteAgo := now.Add(-time.Minute)
	if d.Applies(now) && (old == nil || !old.Applies(now)) && d.Created.After(minuteAgo) {
		l.startedSince(minuteAgo)
		l.started = append(l.started, d.Created)
	}
	l.leave(key, d.ID, now)
	r := &row{d: d}
	l.byKey[key], l.byID[d.ID] = r, d
	delete(l.past, d.ID)
	heap.Push(l.heapOf(d), r)
	l.count(d, 1)
	if touches(d) > 0 && strings.HasPrefix(d.Creator, byRule) {
		l.young[key] = d
	}
}

// leave takes the entity's decision out of the ledger. When another, with the id next, comes in its place before it would have expired, it
// is remembered: its alert may come again.
func (l *ledger) leave(key, next string, now time.Time) {
	r := l.byKey[key]
	if r == nil {
		return
	}
	heap.Remove(l.heapOf(r.d), r.at)
	l.count(r.d, -1)
	delete(l.byKey, key)
	delete(l.young, key)
	if r.d.ID == next {
		return
	}
	delete(l.unsaid, r.d.ID)
	if l.byID[r.d.ID] == r.d {
		delete(l.byID, r.d.ID)
	}
	if now.Before(r.d.Expires) && len(l.past) < maxEnded {
		l.past[r.d.ID] = r.d
	}
}

func (l *ledger) heapOf(d *decision.Decision) *byExpiry {
	if d.State == decision.Active || d.State == decision.Proposed {
		return &l.running
	}
	return &l.ended
}

// count adds the decision n times to what is in use.
func (l *ledger) count(d *decision.Decision, n int) {
	l.touched += int64(n) * touches(d)
	switch d.State {
	case decision.Active:
		l.inForce += n
	case decision.Proposed:
		l.proposed += n
		if l.held[causeOf(d)] += n; l.held[causeOf(d)] == 0 {
			delete(l.held, causeOf(d))
		}
	}
}

// billion is the whole of successful requests: shares are added up in billionths, which leave no rounding behind.
const billion = 1e9

// touches is what part of good traffic, in billionths, the decision takes of the budget.
func touches(d *decision.Decision) int64 {
	if d != nil && d.State == decision.Active && refuses(d) {
		return int64(math.Round(d.Share * billion))
	}
	return 0
}

// remove takes a tombstone of the topic. Like put it spares, and returns, a decision in force.
func (l *ledger) remove(key string, now time.Time) (inForce *decision.Decision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.newest(key); old != nil && old.Applies(now) {
		return old
	}
	l.leave(key, "", now)
	return nil
}

// all returns the newest decision of every entity that keep chooses, in no order.
func (l *ledger) all(keep func(*decision.Decision) bool) []*decision.Decision {
	l.mu.Lock()
	out := make([]*decision.Decision, 0, len(l.byKey))
	for _, r := range l.byKey {
		out = append(out, r.d)
	}
	l.mu.Unlock()
	return slices.DeleteFunc(out, func(d *decision.Decision) bool { return !keep(d) })
}

// watched returns the refusing decisions of rules that touch good traffic and that keep chooses. The others are not looked at again.
func (l *ledger) watched(keep func(*decision.Decision) bool) []*decision.Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.young, func(_ string, d *decision.Decision) bool { return !keep(d) })
	return slices.Collect(maps.Values(l.young))
}

// at returns what the ledger has for the key, nil when nothing.
func (l *ledger) at(key []byte) *decision.Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest(string(key))
}

func (l *ledger) throw(s decision.Switch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.thrown = s
}

func (l *ledger) switchedTo() decision.Switch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.thrown
}

// holds tells whether d is what stands for its entity.
func (l *ledger) holds(d *decision.Decision) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest(string(d.Key())) == d
}

// repeated returns the decision with the id, nil when there is none, and whether the topic may lack it.
func (l *ledger) repeated(id string) (d *decision.Decision, unsaid bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id], l.unsaid[id]
}

// replaced returns the decision with the id when another took its place before it would have expired, else nil.
func (l *ledger) replaced(id string) *decision.Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.past[id]
}

// outlasts tells whether what is in force is no less than what is asked for, so that nothing needs to be looked at.
func (l *ledger) outlasts(q *asked, now time.Time, c *Config) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.newest(string(q.Key()))
	c.climb(q, old, now)
	return old != nil && old.Applies(now) && stronger(old, q.Decision)
}

// renewal is the part of a decision's life that it must gain to take the place of one like it: a burst of alerts about one entity is one
// decision.
const renewal = 4

// stronger tells whether what is in force must not be replaced by less, or by hardly more.
func stronger(old, d *decision.Decision) bool {
	weaker := old.Mode == decision.Enforce && d.Mode == decision.Observe
	gained := d.Expires.Sub(old.Expires)
	return weaker || old.Mode == d.Mode && gained < max(1, d.Expires.Sub(d.Created)/renewal)
}

// admit checks a new decision against the history and takes it in, possibly as a proposal. It returns why it does not.
func (l *ledger) admit(q *asked, now time.Time, c *Config) (skip string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, old := q.Decision, l.newest(string(q.Key()))
	c.climb(q, old, now)
	applies := old != nil && old.Applies(now)
	if applies && stronger(old, d) {
		return skipLonger
	}
	if applies && refuses(old) {
		d.Share = max(d.Share, old.Share) // refused requests are no successful ones: what is measured now is too little
	}
	l.judge(q, old, applies, now, c)
	if skip := l.pointless(d, old, applies, now); skip != "" {
		return skip
	}
	l.store(d, now)
	l.unsaid[d.ID] = true
	return ""
}

// judge applies the guardrails that need the history.
func (l *ledger) judge(q *asked, old *decision.Decision, applies bool, now time.Time, c *Config) {
	d := q.Decision
	if d.State != decision.Active {
		return
	}
	taken := float64(l.touched-touches(old)) / billion
	most := c.allowed(c.MaxShare, q.good)
	if most >= 1 { // shares of different times may add up to more
		most = math.Inf(1)
	}
	switch {
	case rolledBack(old, now) && refuses(d):
		hold(d, guardRollback, "good traffic fell after an earlier decision about "+d.Entity()+", which was rolled back")
		d.Expires = old.Expires // until then, and no longer
	case refuses(d) && d.Share > 0 && taken+d.Share > most+1/billion:
		hold(d, guardShare, fmt.Sprintf("it touches %.1f%% of the last minutes' successful requests and what is in force %.1f%%; together they may touch %.1f%%",
			100*d.Share, 100*taken, 100*most))
	case !applies && l.startedSince(now.Add(-time.Minute)) >= c.MaxNewPerMinute:
		hold(d, guardTooMany, fmt.Sprintf("more than %d new decisions within a minute", c.MaxNewPerMinute))
	}
}

// rolledBack tells whether the rollback took the decision back and its original expiry has not come.
func rolledBack(old *decision.Decision, now time.Time) bool {
	return old != nil && old.State == decision.Revoked && old.Guardrail == guardRollback && now.Before(old.Expires)
}

// pointless tells why a decision is not to take the place of what the entity has.
func (l *ledger) pointless(d, old *decision.Decision, applies bool, now time.Time) string {
	held := d.State == decision.Proposed
	waits := old != nil && old.State == decision.Proposed && now.Before(old.Expires)
	switch {
	case held && applies && old.Wanted != decision.Observe:
		return skipLonger
	case waits && (held || d.Wanted == decision.Observe):
		return skipWaiting
	case old != nil && old.State == decision.Revoked && old.Approver != "" && d.Reason.EventTime.Before(old.Created):
		return skipRevoked
	case held && !(waits || old != nil && old.State == decision.Proposed) && l.proposed >= maxProposed:
		return skipFull
	}
	return ""
}

// startedSince counts the starts after t and forgets the others. They come nearly in order: one that is older than the one before it is
// forgotten with that one.
func (l *ledger) startedSince(t time.Time) int {
	old := 0
	for old < len(l.started) && !l.started[old].After(t) {
		old++
	}
	l.started = slices.Delete(l.started, 0, old)
	return len(l.started)
}

// due returns what the sweep has to write: active or proposed decisions past their expiry, as expired ones, and the keys of
// those that ended long ago. bounded of them are forgotten before their time.
func (l *ledger) due(now time.Time) (expired []*decision.Decision, forget []string, bounded int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.running.first(func(d *decision.Decision) bool { return !now.Before(d.Expires) }) {
		e := *d
		e.State = decision.Expired
		expired = append(expired, &e)
	}
	over := len(l.ended) - maxEnded
	l.ended.first(func(d *decision.Decision) bool {
		early := now.Sub(d.Expires) <= l.keep
		if early && len(forget) >= over {
			return false
		}
		if early {
			bounded++
		}
		forget = append(forget, string(d.Key()))
		return true
	})
	maps.DeleteFunc(l.past, func(_ string, d *decision.Decision) bool { return !now.Before(d.Expires) })
	return expired, forget, bounded
}

// switched returns, changed, the decisions in force whose mode is not what mode says.
func (l *ledger) switched(now time.Time, mode func(wanted decision.Mode) decision.Mode) []*decision.Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*decision.Decision
	for _, r := range l.byKey {
		d := r.d
		if m := mode(d.Wanted); d.Applies(now) && d.Wanted != "" && d.Mode != m {
			c := *d
			c.Mode = m
			out = append(out, &c)
		}
	}
	return out
}

// active counts the decisions in force; one that just ran out counts until the sweep has ended it.
func (l *ledger) active() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inForce
}

// waitingFor counts the proposals that wait for what d waits for.
func (l *ledger) waitingFor(d *decision.Decision) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[causeOf(d)]
}

// shareInUse is what all refusing decisions in force touch, as it was estimated when each was made.
func (l *ledger) shareInUse() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(l.touched) / billion
}

// switchPosition is 0 when the global switch is on observe, else 1.
func (l *ledger) switchPosition() float64 {
	if l.switchedTo().Mode == decision.Observe {
		return 0
	}
	return 1
}
