package push

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
)

// wanted collects what the set tells. take is for one goroutine; note may be called from any.
type wanted struct {
	mu      sync.Mutex
	pending map[string]*decision.Decision // what changed since the last take; nil: gone

	held   map[string]*decision.Decision
	sorted []string // the keys of held
}

func newWanted() *wanted {
	return &wanted{pending: map[string]*decision.Decision{}, held: map[string]*decision.Decision{}}
}

// note takes changes as active.Set tells them. Decisions that observe are not wanted.
func (w *wanted) note(cs []active.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range cs {
		if c.Old != nil {
			w.pending[string(c.Old.Key())] = nil
		}
		if c.New != nil && c.New.Mode == decision.Enforce && c.New.Action != decision.Log {
			w.pending[string(c.New.Key())] = c.New
		}
	}
}

// take returns what is in force, in the order of keys, and when the first of it expires; the zero time when nothing is held. It takes
// time proportional to what is held, and sorts only new keys.
func (w *wanted) take(now time.Time) (ds []*decision.Decision, next time.Time) {
	w.mu.Lock()
	pending := w.pending
	w.pending = map[string]*decision.Decision{}
	w.mu.Unlock()
	var added []string
	for k, d := range pending {
		if _, ok := w.held[k]; !ok && d != nil {
			added = append(added, k)
		}
		if d == nil {
			delete(w.held, k)
		} else {
			w.held[k] = d
		}
	}
	maps.DeleteFunc(w.held, func(_ string, d *decision.Decision) bool { return !d.Applies(now) })
	slices.Sort(added)
	w.sorted = merge(w.sorted, added, w.held)
	ds = make([]*decision.Decision, len(w.sorted))
	for i, k := range w.sorted {
		ds[i] = w.held[k]
		if next.IsZero() || ds[i].Expires.Before(next) {
			next = ds[i].Expires
		}
	}
	return ds, next
}

// merge returns the keys of two sorted lists that are still held.
func merge(a, b []string, held map[string]*decision.Decision) []string {
	out := make([]string, 0, len(held))
	for len(a) > 0 || len(b) > 0 {
		from := &a
		if len(a) == 0 || len(b) > 0 && b[0] < a[0] {
			from = &b
		}
		k := (*from)[0]
		*from = (*from)[1:]
		if _, ok := held[k]; ok && (len(out) == 0 || out[len(out)-1] != k) {
			out = append(out, k)
		}
	}
	return out
}
