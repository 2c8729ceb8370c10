package privacy_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/privacy"
)

// stored is a history that knows some names.
type stored struct {
	history.Reader
	has   map[string]bool
	asked []string
}

func (s *stored) Entity(_ context.Context, e history.EntityID, _ history.Span) (*history.Entity, error) {
	s.asked = append(s.asked, e.Value)
	if !s.has[e.Value] {
		return nil, history.ErrNotFound
	}
	return &history.Entity{EntityID: e}, nil
}

func (s *stored) Alerts(_ context.Context, f history.AlertFilter) ([]history.Alert, error) {
	s.asked = append(s.asked, f.Entity)
	if !s.has[f.Entity] {
		return nil, nil
	}
	return []history.Alert{{}}, nil
}

func (s *stored) Decisions(_ context.Context, f history.DecisionFilter) ([]history.DecisionChange, error) {
	s.asked = append(s.asked, f.Value)
	if !s.has[f.Value] {
		return nil, nil
	}
	return []history.DecisionChange{{}}, nil
}

func (s *stored) Erase(_ context.Context, _ string, names []string, _ bool) (*history.Erasure, error) {
	s.asked = append(s.asked, names...)
	return &history.Erasure{}, nil
}

// A person is found under the pseudonym, under the real name of older rows, or not at all.
func TestReaderAsksUnderEachName(t *testing.T) {
	names := pseudonyms(t, someKey, privacy.Principals, privacy.Addresses)
	const where = "203.0.113.9"
	alice, there := names.Principal("alice"), names.Stored(history.Address, where)[0]
	for _, c := range []struct {
		name  string
		has   string
		ask   func(privacy.Reader) (found bool, err error)
		asked []string
	}{
		{"entity, pseudonym", alice, entity(history.Principal, "alice"), []string{alice}},
		{"entity, old name", "alice", entity(history.Principal, "alice"), []string{alice, "alice"}},
		{"entity, nobody", "", entity(history.Principal, "alice"), []string{alice, "alice"}},
		{"entity, tenant", "acme", entity(history.Tenant, "acme"), []string{"acme"}},
		{"alerts, address", there, alerts(where), []string{there}},
		{"alerts, old address", where, alerts(where), []string{there, where}},
		{"alerts of all", "", alerts(""), []string{""}},
		{"decisions", alice, decisions("alice"), []string{alice}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &stored{has: map[string]bool{c.has: c.has != ""}}
			found, err := c.ask(privacy.Reader{Reader: s, Names: names})
			if err != nil && !errors.Is(err, history.ErrNotFound) {
				t.Fatal(err)
			}
			if found != (c.has != "") {
				t.Errorf("found: %v", found)
			}
			if diff := cmp.Diff(c.asked, s.asked); diff != "" {
				t.Errorf("names asked for (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEraserErasesUnderEachName(t *testing.T) {
	names := pseudonyms(t, someKey, privacy.Principals)
	s := new(stored)
	if _, err := (privacy.Eraser{Store: s, Names: names}).Erase(t.Context(), history.EntityID{Kind: history.Principal, Value: "alice"}, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{names.Principal("alice"), "alice"}, s.asked); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func entity(kind, value string) func(privacy.Reader) (bool, error) {
	return func(r privacy.Reader) (bool, error) {
		e, err := r.Entity(context.Background(), history.EntityID{Kind: kind, Value: value}, history.Span{})
		return e != nil, err
	}
}

func alerts(value string) func(privacy.Reader) (bool, error) {
	return func(r privacy.Reader) (bool, error) {
		a, err := r.Alerts(context.Background(), history.AlertFilter{Entity: value})
		return len(a) > 0, err
	}
}

func decisions(value string) func(privacy.Reader) (bool, error) {
	return func(r privacy.Reader) (bool, error) {
		d, err := r.Decisions(context.Background(), history.DecisionFilter{Value: value})
		return len(d) > 0, err
	}
}
