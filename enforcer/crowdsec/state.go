package crowdsec

import (
	"container/list"
	"sync"
	"time"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
)

// Bounds of what is kept of values that are no longer decided on, for bouncers that have been away: longer ones find in their own state
// that a decision's time is over.
const (
	keepDeleted = 24 * time.Hour
	maxDeleted  = 1 << 20
)

// key is what bouncers tell decisions apart by.
type key struct{ scope, value string }

// entry is what bouncers are told of one key: at most one decision, because several bouncers keep just one for each value. It is
// replaced, never changed, once it is published.
type entry struct {
	key
	kind string // ban or captcha
	d    *decision.Decision
}

// place holds the decisions of one key, by action, and stands in one of state's lists, at its last change.
type place struct {
	at      *list.Element
	in      *list.List
	seq     uint64
	block   *decision.Decision
	wall    *decision.Decision // challenge
	limit   *decision.Decision
	now     *entry    // what bouncers are to have; nil: nothing
	was     *entry    // what they had, when now is nil
	deleted time.Time // when now became nil
}

// state is the bouncers' view of the set, with the order of its changes. Lists hold *place, ascending by seq.
type state struct {
	limitsAs string

	mu     sync.Mutex
	seq    uint64
	places map[key]*place
	active *list.List
	gone   *list.List
	forgot uint64 // deletions that were dropped because there were too many

	pending sync.Mutex // guards queue; held for moments, as the set's writers wait for it
	queue   []active.Change
	wake    chan struct{} // capacity 1
}

func newState(limitsAs string) *state {
	return &state{limitsAs: limitsAs, places: map[key]*place{}, active: list.New(), gone: list.New(), wake: make(chan struct{}, 1)}
}

// take queues changes. It is called while the set is locked.
func (s *state) take(cs []active.Change) {
	s.pending.Lock()
	s.queue = append(s.queue, cs...)
	s.pending.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// absorb brings the state up to date. The caller holds s.mu.
func (s *state) absorb(now time.Time) {
	s.pending.Lock()
	cs := s.queue
	s.queue = nil
	s.pending.Unlock()
	for _, c := range cs {
		was, had := keyOf(c.Old)
		is, has := keyOf(c.New)
		if had && !(has && was == is) {
			s.change(was, c.Old, nil, now)
		}
		if has {
			s.change(is, c.New, c.New, now)
		}
	}
	s.prune(now)
}

// keyOf tells how bouncers name what the decision is about; false when they cannot, or are not to act on it.
func keyOf(d *decision.Decision) (key, bool) {
	if d == nil || d.Mode != decision.Enforce || len(d.And) > 0 {
		return key{}, false
	}
	scope, ok := map[decision.Scope]string{decision.Address: scopeIP, decision.CIDR: scopeRange, decision.Country: scopeCountry,
		decision.ASN: scopeAS, decision.Principal: scopeUser}[d.Scope]
	if !ok {
		return key{}, false
	}
	t, err := decision.Canonical(decision.Term{Scope: d.Scope, Value: d.Value})
	if err != nil {
		return key{}, false
	}
	return key{scope, t[0].Value}, true
}

// change puts d, or nothing, in the place of the key's decision that has the action of like.
func (s *state) change(k key, like, d *decision.Decision, now time.Time) {
	p := s.places[k]
	if p == nil {
		if d == nil {
			return
		}
		p = new(place)
		s.places[k] = p
	}
	switch like.Action {
	case decision.Block:
		p.block = d
	case decision.Challenge:
		p.wall = d
	case decision.Limit:
		p.limit = d
	}
	s.settle(k, p, now)
}

// settle finds what bouncers are to have of the place, and gives it a new number when that is not what they had.
func (s *state) settle(k key, p *place, now time.Time) {
	want := s.strongest(k, p)
	switch {
	case want == nil && p.now == nil:
		if p.in == nil {
			delete(s.places, k) // an action that bouncers are not told of
		}
		return
	case want != nil && p.now != nil && *want == *p.now:
		return
	case want == nil:
		p.was, p.deleted = p.now, now
		s.again(k)
	case p.now == nil:
		p.was = nil
	}
	p.now = want
	s.renumber(p)
}

// renumber gives the place the next number, at the end of its list.
func (s *state) renumber(p *place) {
	s.seq++
	p.seq = s.seq
	if p.in != nil {
		p.in.Remove(p.at)
	}
	if p.in = s.active; p.now == nil {
		p.in = s.gone
	}
	p.at = p.in.PushBack(p)
}

// again has the deletions of the value in other scopes told once more: the one that ends now kept them from bouncers that saw both.
func (s *state) again(ends key) {
	for _, scope := range scopes() {
		if p := s.places[key{scope, ends.value}]; p != nil && scope != ends.scope && p.in == s.gone {
			s.renumber(p)
		}
	}
}

// has tells whether the bouncer has the value by another scope.
func (s *state) has(f *filter, k key) bool {
	for _, scope := range scopes() {
		if p := s.places[key{scope, k.value}]; p != nil && scope != k.scope && p.now != nil && f.takes(p.now) {
			return true
		}
	}
	return false
}

// strongest is the place's decision that refuses most.
func (s *state) strongest(k key, p *place) *entry {
	switch {
	case p.block != nil:
		return &entry{k, ban, p.block}
	case p.limit != nil && s.limitsAs == ban:
		return &entry{k, ban, p.limit}
	case p.wall != nil:
		return &entry{k, captcha, p.wall}
	case p.limit != nil && s.limitsAs == captcha:
		return &entry{k, captcha, p.limit}
	}
	return nil
}

// prune forgets deletions that are old or too many.
func (s *state) prune(now time.Time) {
	for e := s.gone.Front(); e != nil; e = s.gone.Front() {
		p := e.Value.(*place)
		old := now.Sub(p.deleted) > keepDeleted
		if !old && s.gone.Len() <= maxDeleted {
			return
		}
		if !old {
			s.forgot++
		}
		s.gone.Remove(e)
		delete(s.places, p.was.key)
	}
}

// since returns what changed after the number from, oldest first, and the number to ask from the next time.
func (s *state) since(from uint64, f *filter, now time.Time) (fresh, gone []*entry, next uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absorb(now)
	for e := after(s.active, from); e != nil; e = e.Next() {
		if p := e.Value.(*place); f.takes(p.now) {
			fresh = append(fresh, p.now)
		}
	}
	for e := after(s.gone, from); e != nil; e = e.Next() {
		// Some bouncers delete by the value alone: one that they have by another scope is not named until that ends.
		if p := e.Value.(*place); f.takes(p.was) && !s.has(f, p.was.key) {
			gone = append(gone, p.was)
		}
	}
	return fresh, gone, s.seq
}

// after returns the first element whose number is above from.
func after(l *list.List, from uint64) *list.Element {
	if from == 0 {
		return l.Front()
	}
	var first *list.Element
	for e := l.Back(); e != nil && e.Value.(*place).seq > from; e = e.Prev() {
		first = e
	}
	return first
}

// named returns what is in force for the keys, in their order.
func (s *state) named(keys []key, now time.Time) (out []*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absorb(now)
	for _, k := range keys {
		if p := s.places[k]; p != nil && p.now != nil {
			out = append(out, p.now)
		}
	}
	return out
}
