package enforcer

import (
	"fmt"
	"slices"
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
	mu       sync.Mutex
	byKey    map[string]*decision.Decision
	byID     map[string]*decision.Decision
	unsaid   map[string]bool // ids of decisions that may not have reached the topic yet
	proposed int             // of byKey
	touched  float64         // sum of the shares of refusing decisions in force, by the sweep's reckoning
	thrown   decision.Switch // the global switch; its zero value says nothing
	started  []time.Time     // when entities came to have an active decision, the last minute only
}

func newLedger() *ledger {
	return &ledger{byKey: map[string]*decision.Decision{}, byID: map[string]*decision.Decision{}, unsaid: map[string]bool{}}
}

// put takes a record of the topic, or one that was just written. Reading one's own record again changes nothing. The end of an
// earlier decision about an entity does not end the one in force: whoever wrote it had not seen that one yet. put returns the
// one in force then, for the topic has to be told again.
func (l *ledger) put(d *decision.Decision, now time.Time) (inForce *decision.Decision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.byKey[string(d.Key())]
	if !d.Replaces(old, now) {
		return old
	}
	l.store(d, now)
	delete(l.unsaid, d.ID)
	return nil
}

func (l *ledger) store(d *decision.Decision, now time.Time) {
	key := string(d.Key())
	old := l.byKey[key]
	minuteAgo := now.Add(-time.Minute)
	if d.Applies(now) && (old == nil || !old.Applies(now)) && d.Created.After(minuteAgo) {
		l.startedSince(minuteAgo)
		l.started = append(l.started, d.Created)
	}
	l.proposed += proposals(d) - proposals(old)
	l.touched += touches(d) - touches(old)
	if old != nil && old.ID != d.ID {
		l.drop(old)
	}
	l.byKey[key], l.byID[d.ID] = d, d
}

// touches is what part of good traffic the decision takes of the budget.
func touches(d *decision.Decision) float64 {
	if d != nil && d.State == decision.Active && refuses(d) {
		return d.Share
	}
	return 0
}

func proposals(d *decision.Decision) int {
	if d != nil && d.State == decision.Proposed {
		return 1
	}
	return 0
}

// remove takes a tombstone of the topic. Like put it spares, and returns, a decision in force.
func (l *ledger) remove(key string, now time.Time) (inForce *decision.Decision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.byKey[key]
	if old != nil && old.Applies(now) {
		return old
	}
	l.proposed -= proposals(old)
	l.touched -= touches(old)
	if old != nil {
		l.drop(old)
	}
	delete(l.byKey, key)
	return nil
}

// drop forgets the id of a decision that lost its place.
func (l *ledger) drop(d *decision.Decision) {
	delete(l.unsaid, d.ID)
	if l.byID[d.ID] == d {
		delete(l.byID, d.ID)
	}
}

// said notes that the topic has the decisions.
func (l *ledger) said(ds []*decision.Decision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range ds {
		delete(l.unsaid, d.ID)
	}
}

// all returns the newest decision of every entity that keep chooses, in no order.
func (l *ledger) all(keep func(*decision.Decision) bool) []*decision.Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*decision.Decision
	for _, d := range l.byKey {
		if keep(d) {
			out = append(out, d)
		}
	}
	return out
}

// at returns what the ledger has for the key, nil when nothing.
func (l *ledger) at(key []byte) *decision.Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byKey[string(key)]
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
	return l.byKey[string(d.Key())] == d
}

// repeated returns the decision with the id, nil when there is none, and whether the topic may lack it.
func (l *ledger) repeated(id string) (d *decision.Decision, unsaid bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id], l.unsaid[id]
}

// outlasts tells whether what is in force is no less than what is asked for, so that nothing needs to be looked at.
func (l *ledger) outlasts(q *asked, now time.Time, c *Config) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.byKey[string(q.Key())]
	c.climb(q, old, now)
	return old != nil && old.Applies(now) && stronger(old, q.Decision)
}

// stronger tells whether what is in force must not be replaced by less.
func stronger(old, d *decision.Decision) bool {
	weaker := old.Mode == decision.Enforce && d.Mode == decision.Observe
	return weaker || !old.Expires.Before(d.Expires) && old.Mode == d.Mode
}

// admit checks a new decision against the history and takes it in, possibly as a proposal. It returns why it does not.
func (l *ledger) admit(q *asked, now time.Time, c *Config) (skip string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, old := q.Decision, l.byKey[string(q.Key())]
	c.climb(q, old, now)
	applies := old != nil && old.Applies(now)
	if applies && stronger(old, d) {
		return skipLonger
	}
	if applies && refuses(old) {
		d.Share = max(d.Share, old.Share) // refused requests are no successful ones: what is measured now is too little
	}
	l.judge(d, old, applies, now, c)
	if skip := l.pointless(d, old, applies, now); skip != "" {
		return skip
	}
	l.store(d, now)
	l.unsaid[d.ID] = true
	return ""
}

// judge applies the guardrails that need the history.
func (l *ledger) judge(d, old *decision.Decision, applies bool, now time.Time, c *Config) {
	if d.State != decision.Active {
		return
	}
	taken := l.touched - touches(old)
	switch {
	case rolledBack(old, now) && refuses(d):
		hold(d, guardRollback, "good traffic fell after an earlier decision about "+d.Entity()+", which was rolled back")
		d.Expires = old.Expires // until then, and no longer
	case refuses(d) && d.Share > 0 && taken+d.Share > c.MaxShare:
		hold(d, guardShare, fmt.Sprintf("it touches %.1f%% of the last minutes' successful requests and what is in force %.1f%%; together they may touch %.1f%%",
			100*d.Share, 100*max(taken, 0), 100*c.MaxShare))
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
	case held && proposals(old) == 0 && l.proposed >= maxProposed:
		return skipFull
	}
	return ""
}

func (l *ledger) startedSince(t time.Time) int {
	n := 0
	keep := l.started[:0]
	for _, s := range l.started {
		if s.After(t) {
			keep = append(keep, s)
			n++
		}
	}
	l.started = keep
	return n
}

// due returns what the sweep has to write: active or proposed decisions past their expiry, as expired ones, and the keys of
// those that ended longer than keep ago.
func (l *ledger) due(now time.Time, keep time.Duration) (expired []*decision.Decision, forget []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.touched = 0 // anew each time, so that rounding does not add up
	var ended []*decision.Decision
	for key, d := range l.byKey {
		l.touched += touches(d)
		switch d.State {
		case decision.Active, decision.Proposed:
			if !now.Before(d.Expires) {
				e := *d
				e.State = decision.Expired
				expired = append(expired, &e)
			}
		default:
			if now.Sub(d.Expires) > keep {
				forget = append(forget, key)
			} else {
				ended = append(ended, d)
			}
		}
	}
	if over := len(ended) - maxEnded; over > 0 {
		slices.SortFunc(ended, func(a, b *decision.Decision) int { return a.Expires.Compare(b.Expires) })
		for _, d := range ended[:over] {
			forget = append(forget, string(d.Key()))
		}
	}
	return expired, forget
}

// switched returns, changed, the decisions in force whose mode is not what mode says.
func (l *ledger) switched(now time.Time, mode func(wanted decision.Mode) decision.Mode) []*decision.Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*decision.Decision
	for _, d := range l.byKey {
		if m := mode(d.Wanted); d.Applies(now) && d.Wanted != "" && d.Mode != m {
			c := *d
			c.Mode = m
			out = append(out, &c)
		}
	}
	return out
}

// active counts the decisions in force.
func (l *ledger) active(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, d := range l.byKey {
		if d.Applies(now) {
			n++
		}
	}
	return n
}
