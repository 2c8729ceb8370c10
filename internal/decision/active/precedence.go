package active

import (
	"math"

	"github.com/warder/warder/internal/decision"
)

// The precedence of decisions that meet in one request: what is enforced goes before what only observes, then block, challenge, limit, log.
const (
	enforceBlock int8 = iota
	enforceChallenge
	enforceLimit
	enforceLog
	observeBlock
	observeChallenge
	observeLimit
	observeLog
	ranks
)

func rank(d *decision.Decision) int8 {
	r := enforceBlock
	switch d.Action {
	case decision.Challenge:
		r = enforceChallenge
	case decision.Limit:
		r = enforceLimit
	case decision.Log:
		r = enforceLog
	}
	if d.Mode != decision.Enforce {
		r += observeBlock
	}
	return r
}

// action is the rank without the mode: enforceBlock to enforceLog.
func action(rank int8) int8 { return rank % observeBlock }

// slot is a decision with what a look-up needs of it, so that it does not touch the decision itself, and the others that have the same
// first term. It never changes once it is published.
type slot struct {
	d         *decision.Decision
	until     int64 // Unix nanoseconds
	also      *rest // the further terms; nil: none
	next      *slot
	rank      int8
	strangers bool // only for clients that have not proven who they are
}

// rest is what a combination has beside its first term.
type rest struct {
	matcher *decision.Matcher
	key     string // canonical
}

func newSlot(e *entity, d *decision.Decision) *slot {
	sl := &slot{d: d, until: untilOf(d), rank: rank(d), strangers: forStrangers(d)}
	if e.rest != "" {
		sl.also = &rest{matcher: decision.NewMatcher(d.And...), key: e.rest}
	}
	return sl
}

func untilOf(d *decision.Decision) int64 {
	if d.Expires.Year() < 2200 { // the nanoseconds fit
		return d.Expires.UnixNano()
	}
	return math.MaxInt64
}

// forStrangers tells whether the decision asks clients to prove who they are. Whoever has done so meets it, unless it is about
// principals itself.
func forStrangers(d *decision.Decision) bool {
	if d.Action != decision.Challenge || d.Status != 401 {
		return false
	}
	for _, t := range d.Terms() {
		switch t.Scope {
		case decision.Principal, decision.APIKey, decision.Tenant:
			return false
		}
	}
	return true
}

// find returns the entity's decision, nil when the chain has none.
func (sl *slot) find(e *entity) *decision.Decision {
	for ; sl != nil; sl = sl.next {
		if sl.is(e) {
			return sl.d
		}
	}
	return nil
}

func (sl *slot) is(e *entity) bool {
	if sl.also == nil {
		return e.rest == "" && sl.d.Action == e.action
	}
	return sl.also.key == e.rest && sl.d.Action == e.action
}

// replace returns a chain with want (nil: nothing) in the place of the entity's decision; nil when nothing is left.
func (sl *slot) replace(e *entity, want *decision.Decision) (head *slot) {
	for ; sl != nil; sl = sl.next {
		if !sl.is(e) {
			c := *sl
			c.next, head = head, &c
		}
	}
	if want != nil {
		n := newSlot(e, want)
		n.next, head = head, n
	}
	return head
}

// found collects what applies to one request: the best of each rank.
type found struct {
	best  [ranks]*decision.Decision
	worst int8 // something of this rank was found that answers in any case: what has a higher one cannot matter
}

// take takes the chain's decisions that apply to q at the time at, in Unix nanoseconds. The first term is known to match.
func (f *found) take(sl *slot, q *decision.Subject, at int64) {
	for ; sl != nil; sl = sl.next {
		if sl.rank > f.worst || at >= sl.until || sl.strangers && q.Principal != "" || sl.also != nil && !sl.also.matcher.Matches(q) {
			continue
		}
		limit := action(sl.rank) == enforceLimit
		if had := f.best[sl.rank]; had != nil && !(limit && stricter(sl.d, had)) {
			continue
		}
		f.best[sl.rank] = sl.d
		if !limit {
			f.worst = sl.rank
		}
	}
}

// settled tells that nothing can take precedence over what was found.
func (f *found) settled() bool { return f.worst == enforceBlock }

// stricter orders limits by their rate, and equal ones by their id, so that every gateway chooses the same.
func stricter(a, b *decision.Decision) bool {
	x, y := perSecond(a.Rate), perSecond(b.Rate)
	return x < y || x == y && a.ID < b.ID
}

func perSecond(r *decision.Rate) float64 { return float64(r.Requests) / float64(r.Per) }
