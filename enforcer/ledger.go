package enforcer

import (
	"sync"
	"time"

	"github.com/warder/warder/internal/decision"
)

// maxProposed bounds the decisions that wait for a person. The others are bounded by how many may start in a minute and by
// their longest life, so that attackers with many addresses cannot make the ledger, and the topic, grow without end.
const maxProposed = 10_000

// ledger is the enforcer's view of the decisions topic: the newest record of each entity. It is
// safe for concurrent use: the tail of the topic and the alert partitions write to it.
type ledger struct {
	mu       sync.Mutex
	byKey    map[string]*decision.Decision
	proposed int         // of them
	started  []time.Time // when entities came to have an active decision, the last minute only
}

func newLedger() *ledger {
	return &ledger{byKey: map[string]*decision.Decision{}}
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
	l.byKey[key] = d
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
	delete(l.byKey, key)
	return nil
}

// holds tells whether d is what stands for its entity.
func (l *ledger) holds(d *decision.Decision) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byKey[string(d.Key())] == d
}

// admit checks a new decision against the history and takes it in, possibly as a proposal. It returns the decision to write:
// d, or under skipKnown what was written for it before, or nil with the reason.
func (l *ledger) admit(d *decision.Decision, now time.Time, maxPerMinute int) (*decision.Decision, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.byKey[string(d.Key())]
	if old != nil && old.ID == d.ID {
		return old, skipKnown
	}
	if old == nil || !old.Applies(now) {
		if d.State == decision.Active && l.startedSince(now.Add(-time.Minute)) >= maxPerMinute {
			hold(d, guardTooMany, "held back: more new decisions within a minute than max_new_per_minute allows")
		}
		if d.State == decision.Proposed && proposals(old) == 0 && l.proposed >= maxProposed {
			return nil, skipFull
		}
		l.store(d, now)
		return d, ""
	}
	weaker := old.Mode == decision.Enforce && d.Mode == decision.Observe
	if d.State == decision.Proposed || weaker || (!old.Expires.Before(d.Expires) && old.Mode == d.Mode) {
		return nil, skipLonger // what is in force must not be replaced by less
	}
	l.store(d, now)
	return d, ""
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
	for key, d := range l.byKey {
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
			}
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
