package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// growing is a history to which something is added before each question after the first. Its clock goes on by a second a question.
type growing struct {
	history.Reader
	events []*event.Event
	alerts []history.Alert
	stored map[string]time.Time // by id
	clock  time.Time
	asked  int
	grow   []func(*growing) error // nil returns stand for no failure
	done   context.CancelFunc
}

func (g *growing) next() error {
	g.clock = g.clock.Add(time.Second)
	g.asked++
	if g.asked == 1 {
		return nil
	}
	if g.asked-2 == len(g.grow) {
		g.done()
		return nil
	}
	return g.grow[g.asked-2](g)
}

func (g *growing) addEvents(seqs ...uint64) {
	for _, n := range seqs {
		e := somethingSeen(n)
		g.events = append(g.events, e)
		g.stored[e.ID.String()] = g.clock
	}
}

func (g *growing) addAlerts(ids ...string) {
	for _, id := range ids {
		g.alerts = append(g.alerts, history.Alert{Alert: &alert.Alert{ID: id, Severity: alert.High, Time: somethingSeen(1).Time}, Stored: g.clock})
	}
}

func (g *growing) Search(_ context.Context, q history.Search, fn func(*event.Event) error) (history.Summary, error) {
	if err := g.next(); err != nil {
		return history.Summary{}, err
	}
	for _, e := range g.events {
		if e.Time.Before(q.Since) || g.stored[e.ID.String()].Before(q.StoredSince) {
			continue
		}
		if err := fn(e); err != nil {
			return history.Summary{}, err
		}
	}
	return history.Summary{Stored: g.clock}, nil
}

func (g *growing) Alerts(_ context.Context, f history.AlertFilter) ([]history.Alert, error) {
	if err := g.next(); err != nil {
		return nil, err
	}
	var out []history.Alert
	for _, a := range slices.Backward(g.alerts) {
		if !a.Stored.Before(f.StoredSince) && len(out) < f.Limit {
			out = append(out, a)
		}
	}
	return out, nil
}

func newGrowing(grow ...func(*growing) error) *growing {
	return &growing{stored: map[string]time.Time{}, clock: time.Date(2026, 1, 2, 16, 0, 0, 0, time.UTC), grow: grow}
}

// comes is a step at which events of the numbers, hours old, are stored.
func comes(seqs ...uint64) func(*growing) error {
	return func(g *growing) error { g.addEvents(seqs...); return nil }
}

func away(*growing) error { return errors.New("the store is away") }

// quietly is a step at which nothing comes, so many seconds later.
func quietly(seconds int) func(*growing) error {
	return func(g *growing) error { g.clock = g.clock.Add(time.Duration(seconds) * time.Second); return nil }
}

// Following prints each event once, however late it is stored and whatever went wrong in between.
func TestFollowEvents(t *testing.T) {
	old := func() *growing {
		g := newGrowing(comes(2), quietly(60), comes(3, 4), away, quietly(3600), away, comes(5), quietly(1))
		g.addEvents(1)
		g.clock = g.clock.Add(time.Minute)
		return g
	}
	for _, c := range []struct {
		name    string
		fromNow bool
		want    []uint64
	}{
		{"from now on", true, []uint64{2, 3, 4, 5}},
		{"since some time", false, []uint64{1, 2, 3, 4, 5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := old()
			var ctx context.Context
			ctx, g.done = context.WithCancel(t.Context())
			var out, told strings.Builder
			w := newEventWriter(streams{out: &out, err: &told}, asCSV, eventColumns()[1:2])
			if err := followEvents(ctx, streams{out: &out, err: &told}, g, history.Search{}, c.fromNow, w, time.Millisecond); err != nil {
				t.Fatal(err)
			}
			want := "id\n"
			for _, n := range c.want {
				want += event.NewID("t", n).String() + "\n"
			}
			if diff := cmp.Diff(want, out.String()); diff != "" {
				t.Error(diff)
			}
			if n := strings.Count(told.String(), "the store is away; still trying"); n != 2 {
				t.Errorf("told %d times: %s", n, told.String())
			}
		})
	}
}

// Following alerts prints the newest of what is there and each that comes, whenever its event was.
func TestFollowAlerts(t *testing.T) {
	comes := func(ids ...string) func(*growing) error {
		return func(g *growing) error { g.addAlerts(ids...); return nil }
	}
	g := newGrowing(comes("c1"), quietly(7200), comes("c2", "c3"), away, quietly(300), comes("c4"), quietly(1))
	g.addAlerts("a1", "a2", "a3")
	var ctx context.Context
	ctx, g.done = context.WithCancel(t.Context())
	var out, told strings.Builder
	if err := followAlerts(ctx, streams{out: &out, err: &told}, g, history.AlertFilter{Limit: 2}, asTable, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(out.String()) {
		ids = append(ids, strings.Fields(line)[0])
	}
	if diff := cmp.Diff([]string{"a2", "a3", "c1", "c2", "c3", "c4"}, ids); diff != "" {
		t.Error(diff)
	}
}

// More alerts than one question is answered with are not left out in silence.
func TestFollowAlertsTellsOfTooMany(t *testing.T) {
	many := func(g *growing) error {
		for i := range history.MaxRows + 1 {
			g.addAlerts(fmt.Sprintf("m%d", i))
		}
		return nil
	}
	g := newGrowing(many)
	g.addAlerts("a1")
	var ctx context.Context
	ctx, g.done = context.WithCancel(t.Context())
	var out, told strings.Builder
	if err := followAlerts(ctx, streams{out: &out, err: &told}, g, history.AlertFilter{Limit: 2}, asJSON, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(told.String(), "more than 10000 alerts came at once") {
		t.Errorf("told: %q", told.String())
	}
}
