package proof

import (
	"container/list"
	"time"

	"github.com/warder/warder/internal/decision"
)

// The bounds of what is remembered of decisions.
const (
	maxDecisions = 200_000
	keepEnded    = time.Hour
)

// decisions remembers those in force or ended within an hour.
type decisions struct {
	byID  map[string]*record
	byKey map[string]*record // the newest of each entity and action
	order *list.List         // of *record, the one that was taken first in front
	// refusing counts enforced blocks and challenges that are in force, enforcing those and limits.
	refusing, enforcing int64
}

// record is what is remembered of one decision.
type record struct {
	id, key  string
	element  *list.Element
	offset   int64 // of its newest record
	state    decision.State
	expires  time.Time
	enforced bool      // active in mode enforce, and more than a mark
	limit    bool      // it refuses only above a rate
	since    time.Time // when it became enforced
	ended    time.Time // zero while it may be in force
	refusals uint64
	first    time.Time // refusal
}

func newDecisions() *decisions {
	return &decisions{byID: map[string]*record{}, byKey: map[string]*record{}, order: list.New()}
}

// take notes the decision and returns how many others were forgotten to make room.
func (s *decisions) take(d *decision.Decision, offset int64, at time.Time) (forgotten int) {
	key := string(d.Key())
	if had := s.byKey[key]; had != nil && had.id != d.ID {
		if !d.Replaces(&decision.Decision{ID: had.id, State: had.state, Expires: had.expires}, at) {
			return 0
		}
		s.end(had, at)
	}
	r := s.byID[d.ID]
	if r == nil {
		r = &record{id: d.ID}
		r.element = s.order.PushBack(r)
		s.byID[d.ID] = r
	}
	s.drop(r)
	r.key, r.offset, r.state, r.expires = key, offset, d.State, d.Expires
	s.byKey[key] = r
	s.force(r, d, at)
	for len(s.byID) > maxDecisions {
		s.forget(s.order.Front().Value.(*record))
		forgotten++
	}
	return forgotten
}

// force notes whether, and since when, the decision is in force.
func (s *decisions) force(r *record, d *decision.Decision, at time.Time) {
	was := r.enforced
	r.enforced = d.Applies(at) && d.Mode == decision.Enforce && d.Action != decision.Log
	r.limit = d.Action == decision.Limit
	r.ended = time.Time{}
	if d.State == decision.Expired || d.State == decision.Revoked {
		r.ended = at
	}
	if r.enforced && !was {
		r.since = at
	}
	s.count(r, 1)
}

// drop takes the record out of what it is counted and found by, so that it can change.
func (s *decisions) drop(r *record) {
	s.count(r, -1)
	if s.byKey[r.key] == r {
		delete(s.byKey, r.key)
	}
}

func (s *decisions) count(r *record, n int64) {
	if !r.enforced {
		return
	}
	s.enforcing += n
	if !r.limit {
		s.refusing += n
	}
}

// end notes that the decision is in force no more.
func (s *decisions) end(r *record, at time.Time) {
	s.drop(r)
	r.enforced = false
	if r.ended.IsZero() {
		r.ended = at
	}
}

func (s *decisions) forget(r *record) {
	s.drop(r)
	delete(s.byID, r.id)
	s.order.Remove(r.element)
}

// sweep ends what has expired and forgets what ended long ago.
func (s *decisions) sweep(now time.Time) {
	for _, r := range s.byID {
		if r.ended.IsZero() && !now.Before(r.expires) {
			s.count(r, -1)
			r.enforced, r.ended = false, r.expires
		}
		if !r.ended.IsZero() && now.Sub(r.ended) > keepEnded {
			s.forget(r)
		}
	}
}

// oldest returns since when the oldest enforced decision is in force; ok is false when there is none.
func (s *decisions) oldest() (since time.Time, ok bool) {
	if s.enforcing == 0 {
		return since, false
	}
	for _, r := range s.byID {
		if r.enforced && (!ok || r.since.Before(since)) {
			since, ok = r.since, true
		}
	}
	return since, ok
}
