package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// some events of a tap, a minute apart, up to some hours before noon.
func batch(tap string, from, to uint64, hoursAgo int) []*event.Event {
	var out []*event.Event
	for n := from; n <= to; n++ {
		e := sample(tap, n, noon().Add(-time.Duration(hoursAgo)*time.Hour+time.Duration(n)*time.Minute))
		out = append(out, e)
	}
	return out
}

// storedSince lists what a search for what was stored since finds, in its order, and the store's clock.
func storedSince(t *testing.T, r *store.Searcher, q history.Search) ([]string, time.Time) {
	t.Helper()
	q.OldestFirst = true
	got := []string{}
	sum, err := r.Search(t.Context(), q, func(e *event.Event) error {
		got = append(got, fmt.Sprintf("%s %d", e.Tap, e.Seq))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, sum.Stored
}

// later returns a time of the store's clock after which nothing so far was stored.
func later(t *testing.T, r *store.Searcher) time.Time {
	t.Helper()
	_, now := storedSince(t, r, history.Search{Span: history.Span{Since: time.Now().Add(time.Hour)}})
	for at := now; ; {
		if _, at = storedSince(t, r, history.Search{Span: history.Span{Since: time.Now().Add(time.Hour)}}); at.After(now) {
			return at
		}
	}
}

// What was stored since a time is found whatever time the events are of, in every partition, and nothing else.
func TestSearchOfWhatWasStoredSince(t *testing.T) {
	s := storetest.Open(t)
	r := store.NewSearcher(s, compile)
	put := func(partition int, events []*event.Event) {
		t.Helper()
		if err := s.InsertEvents(t.Context(), partition, events); err != nil {
			t.Fatal(err)
		}
	}
	put(0, batch("a", 1, 5, 2))
	put(1, batch("b", 1, 5, 2))
	first := later(t, r)
	if got, _ := storedSince(t, r, history.Search{StoredSince: first}); len(got) > 0 {
		t.Errorf("nothing was stored since, got %v", got)
	}
	put(0, append(batch("a", 6, 7, 30), batch("a", 8, 9, 2)...)) // late, of the day before, and others
	second := later(t, r)
	put(1, batch("b", 6, 7, 3)) // late
	for _, c := range []struct {
		name string
		q    history.Search
		want []string
	}{
		{"all that came since", history.Search{StoredSince: first}, []string{"a 6", "a 7", "b 6", "b 7", "a 8", "a 9"}},
		{"the last", history.Search{StoredSince: second}, []string{"b 6", "b 7"}},
		{"with a filter that ClickHouse evaluates", history.Search{StoredSince: first, Filter: `event.tap == "b"`}, []string{"b 6", "b 7"}},
		{"with one that Warder evaluates", history.Search{StoredSince: first, Filter: `decode(event.tap) == "a"`}, []string{"a 6", "a 7", "a 8", "a 9"}},
		{"within a span", history.Search{StoredSince: first, Span: history.Span{Since: noon().Add(-10 * time.Hour)}}, []string{"b 6", "b 7", "a 8", "a 9"}},
		{"with a limit", history.Search{StoredSince: first, Limit: 1}, []string{"a 6"}},
		{"long ago", history.Search{StoredSince: first.Add(-time.Hour), Filter: `event.tap == "b"`}, []string{"b 1", "b 2", "b 3", "b 4", "b 5", "b 6", "b 7"}},
	} {
		got, _ := storedSince(t, r, c.q)
		if c.name == "long ago" {
			slices.Sort(got)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
	}
}

// A block that was begun before a time and is finished after it, by another writer, is found.
func TestSearchOfWhatWasStoredSinceAfterACrash(t *testing.T) {
	s := storetest.Open(t)
	r := store.NewSearcher(s, compile)
	w, err := s.NewEventWriter(0)
	if err != nil {
		t.Fatal(err)
	}
	killed := errors.New("killed")
	w.SetStep(func(name string) error {
		if name == "rollups" {
			return killed
		}
		return nil
	})
	events := batch("a", 1, 3, 2)
	if err = w.Insert(t.Context(), events); !errors.Is(err, killed) {
		t.Fatal(err)
	}
	since := later(t, r)
	if err = s.InsertEvents(t.Context(), 0, events); err != nil {
		t.Fatal(err)
	}
	if got, _ := storedSince(t, r, history.Search{StoredSince: since}); !slices.Equal(got, []string{"a 1", "a 2", "a 3"}) {
		t.Errorf("got %v", got)
	}
}
