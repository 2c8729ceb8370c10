// Package apitest holds decisions in memory, for tests of the API and of what talks to it.
package apitest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/internal/decision"
)

// Decisions implements [api.Decisions] without guardrails. It is safe for concurrent use.
type Decisions struct {
	Now func() time.Time
	// Fail, when it is set, is what every change fails with.
	Fail error
	// Status is what Gateways returns.
	Status []enforcer.GatewayStatus
	// Story is what Explain says besides the decision.
	Story enforcer.Explanation

	mu   sync.Mutex
	all  []*decision.Decision // newest last
	sw   decision.Switch
	made int
}

var _ api.Decisions = (*Decisions)(nil)

// Put adds or replaces a decision as it is.
func (s *Decisions) Put(d *decision.Decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.index(d.ID); i >= 0 {
		s.all[i] = d
		return
	}
	s.all = append(s.all, d)
}

func (s *Decisions) index(id string) int {
	return slices.IndexFunc(s.all, func(d *decision.Decision) bool { return d.ID == id })
}

// List implements [api.Decisions].
func (s *Decisions) List(f enforcer.Filter) []*decision.Decision {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*decision.Decision
	skip := f.After != ""
	for _, d := range slices.Backward(s.all) {
		if skip {
			skip = d.ID != f.After
			continue
		}
		if matches(f, d) && (f.Limit == 0 || len(out) < f.Limit) {
			out = append(out, d)
		}
	}
	return out
}

func matches(f enforcer.Filter, d *decision.Decision) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, d.State)) && (f.Action == "" || f.Action == d.Action) &&
		(f.Scope == "" || f.Scope == d.Scope) && (f.Value == "" || f.Value == d.Value) &&
		(f.Rule == "" || f.Rule == d.Reason.Rule) && (f.Creator == "" || f.Creator == d.Creator)
}

// Get implements [api.Decisions].
func (s *Decisions) Get(id string) (*decision.Decision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.index(id)
	if i < 0 {
		return nil, fmt.Errorf("%w: %.40q", enforcer.ErrNotFound, id)
	}
	return s.all[i], nil
}

// Add implements [api.Decisions].
func (s *Decisions) Add(_ context.Context, by string, r enforcer.Request) (*decision.Decision, error) {
	if s.Fail != nil {
		return nil, s.Fail
	}
	s.mu.Lock()
	s.made++
	id := decision.NewID(fmt.Sprint(s.made), r.Action, r.Terms...)
	s.mu.Unlock()
	now := s.Now()
	d := &decision.Decision{Version: decision.Version, ID: id, Action: r.Action, Scope: r.Terms[0].Scope, Value: r.Terms[0].Value, And: r.Terms[1:],
		Rate: r.Rate, Status: r.Status, Mode: r.Mode, State: decision.Active, Creator: by, Created: now, Expires: now.Add(r.TTL), Note: r.Note}
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", enforcer.ErrInvalid, err)
	}
	s.Put(d)
	return d, nil
}

// change replaces the decision with a changed copy, if it is in one of the states.
func (s *Decisions) change(by, id string, apply func(*decision.Decision), states ...decision.State) (*decision.Decision, error) {
	if s.Fail != nil {
		return nil, s.Fail
	}
	old, err := s.Get(id)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(states, old.State) {
		return nil, fmt.Errorf("%w: the decision is %s", enforcer.ErrConflict, old.State)
	}
	d := *old
	d.Approver = by
	apply(&d)
	s.Put(&d)
	return &d, nil
}

// Extend implements [api.Decisions].
func (s *Decisions) Extend(_ context.Context, by, id string, ttl time.Duration) (*decision.Decision, error) {
	return s.change(by, id, func(d *decision.Decision) { d.Expires = s.Now().Add(ttl) }, decision.Active)
}

// Revoke implements [api.Decisions].
func (s *Decisions) Revoke(_ context.Context, by, id, note string) (*decision.Decision, error) {
	return s.change(by, id, func(d *decision.Decision) { d.State, d.Note = decision.Revoked, note }, decision.Active, decision.Proposed)
}

// Approve implements [api.Decisions].
func (s *Decisions) Approve(_ context.Context, by, id, note string) (*decision.Decision, error) {
	return s.change(by, id, func(d *decision.Decision) { d.State, d.Note = decision.Active, note }, decision.Proposed)
}

// Throw implements [api.Decisions].
func (s *Decisions) Throw(_ context.Context, by string, m decision.Mode, note string) (decision.Switch, error) {
	if s.Fail != nil {
		return decision.Switch{}, s.Fail
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sw = decision.Switch{Version: decision.Version, Mode: m, By: by, At: s.Now(), Note: note}
	return s.sw, nil
}

// Switch implements [api.Decisions].
func (s *Decisions) Switch() decision.Switch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sw
}

// Explain implements [api.Decisions].
func (s *Decisions) Explain(what string) (*enforcer.Explanation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range slices.Backward(s.all) {
		if d.ID == what || d.Value == what {
			e := s.Story
			e.Decision = d
			return &e, nil
		}
	}
	return nil, fmt.Errorf("%w: nothing is decided about %.60q", enforcer.ErrNotFound, what)
}

// Gateways implements [api.Decisions].
func (s *Decisions) Gateways() []enforcer.GatewayStatus { return s.Status }
