package privacy

import (
	"context"
	"errors"

	"github.com/warder/warder/internal/history"
)

// Reader answers questions about a person by their real name, too, for as long as the key is there: what is asked by name is looked for under
// the pseudonym first, then under the name itself, as rows from before pseudonyms have it. Filters of searches are not looked into:
// `warder privacy pseudonym` tells what to write there.
type Reader struct {
	history.Reader
	Names *Pseudonyms
}

// Stored returns the names under which an entity may be stored, the given one last.
func (p *Pseudonyms) Stored(kind, value string) []string {
	stored := value
	switch kind {
	case history.Principal:
		stored = p.Principal(value)
	case history.Address:
		stored = p.address(value)
	}
	if stored == value {
		return []string{value}
	}
	return []string{stored, value}
}

// Entity implements history.Reader.
func (r Reader) Entity(ctx context.Context, id history.EntityID, s history.Span) (*history.Entity, error) {
	var last error
	for _, name := range r.Names.Stored(id.Kind, id.Value) {
		e, err := r.Reader.Entity(ctx, history.EntityID{Kind: id.Kind, Value: name}, s)
		if !errors.Is(err, history.ErrNotFound) {
			return e, err
		}
		last = err
	}
	return nil, last
}

// Alerts implements history.Reader.
func (r Reader) Alerts(ctx context.Context, f history.AlertFilter) ([]history.Alert, error) {
	return firstFound(r.values(f.Entity), func(name string) ([]history.Alert, error) {
		f.Entity = name
		return r.Reader.Alerts(ctx, f)
	})
}

// Decisions implements history.Reader.
func (r Reader) Decisions(ctx context.Context, f history.DecisionFilter) ([]history.DecisionChange, error) {
	return firstFound(r.values(f.Value), func(name string) ([]history.DecisionChange, error) {
		f.Value = name
		return r.Reader.Decisions(ctx, f)
	})
}

// values are the names of an entity whose kind was not said.
func (r Reader) values(value string) []string { return r.Names.Stored(history.GuessKind(value), value) }

// firstFound asks under each name until one has an answer.
func firstFound[T any](names []string, ask func(name string) ([]T, error)) ([]T, error) {
	for _, name := range names {
		if out, err := ask(name); err != nil || len(out) > 0 {
			return out, err
		}
	}
	return nil, nil
}

// Eraser deletes a person's rows under every name that they are stored under.
type Eraser struct {
	Store interface {
		Erase(ctx context.Context, kind string, names []string, dryRun bool) (*history.Erasure, error)
	}
	Names *Pseudonyms
}

// Erase implements history.Eraser.
func (e Eraser) Erase(ctx context.Context, id history.EntityID, dryRun bool) (*history.Erasure, error) {
	return e.Store.Erase(ctx, id.Kind, e.Names.Stored(id.Kind, id.Value), dryRun)
}
