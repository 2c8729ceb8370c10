package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// checkRollups compares the rollups' sums with what the events table holds, and want with both.
func checkRollups(t *testing.T, cfg store.Config, want uint64) {
	t.Helper()
	conn := storetest.Conn(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for what, sql := range map[string]string{
		"rows":           "SELECT count() FROM events",
		"distinct rows":  "SELECT uniqExact(id) FROM events",
		"traffic_minute": "SELECT sum(requests) FROM traffic_minute",
		"traffic_hour":   "SELECT sum(requests) FROM traffic_hour",
		"origin_minute":  "SELECT sum(requests) FROM origin_minute",
		"address":        "SELECT sum(requests) FROM entity_hour WHERE kind = 'address'",
		"principal":      "SELECT sum(requests) FROM entity_hour WHERE kind = 'principal'",
		"tenant":         "SELECT sum(requests) FROM entity_hour WHERE kind = 'tenant'",
		"endpoints":      "SELECT sum(requests) FROM endpoints",
		"llm_minute":     "SELECT sum(requests) FROM llm_minute",
	} {
		var got uint64
		if _, err := persist(ctx, func() error { return conn.QueryRow(ctx, sql).Scan(&got) }); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
}

// countsEverywhere returns event seq of a tap, which counts in every rollup.
func countsEverywhere(tap string, seq uint64, at time.Time) *event.Event {
	e := sample(tap, seq, at)
	e.Principal = event.Principal{ID: fmt.Sprint("u", seq%7), Tenant: "acme"}
	e.LLM = event.LLM{Model: "m", PromptTokens: 5}
	e.API = event.API{Route: fmt.Sprintf("/r/%d", seq%3), Name: "shop"}
	return e
}

// everyRollup returns events from..to of a tap that each count in every rollup, over two days.
func everyRollup(tap string, from, to uint64, start time.Time) []*event.Event {
	var out []*event.Event
	for seq := from; seq <= to; seq++ {
		out = append(out, countsEverywhere(tap, seq, start.Add(time.Duration(seq)*time.Second-time.Duration(seq%5/4)*24*time.Hour)))
	}
	return out
}

// Whatever is repeated, overlaps and fails in between, each event is there once and counts once in every rollup.
func TestRollupsCountEachEventOnce(t *testing.T) {
	cfg := storetest.Config(t)
	s := storetest.OpenConfig(t, cfg)
	rng := rand.New(rand.NewPCG(1, 2))
	errInjected := errors.New("injected")
	failures := map[string]int{}
	fail := func(name string) error {
		if rng.IntN(4) > 0 {
			return nil
		}
		failures[name]++
		return errInjected
	}
	var w *store.EventWriter
	next, start := map[string]uint64{}, noon()
	for round := range 40 {
		if w == nil || rng.IntN(3) == 0 { // as after a restart
			var err error
			if w, err = s.NewEventWriter(0); err != nil {
				t.Fatal(err)
			}
		}
		var batch []*event.Event
		for _, tap := range []string{"a", "b"} {
			from := max(1, int(next[tap])-rng.IntN(60))
			to := uint64(from + rng.IntN(200))
			batch = append(batch, everyRollup(tap, uint64(from), to, start)...)
			next[tap] = max(next[tap], to)
		}
		calls := make(chan error, 1) // the steps run in several goroutines, one at a time
		w.SetStep(func(name string) error {
			calls <- nil
			defer func() { <-calls }()
			return fail(name)
		})
		for {
			err := w.Insert(t.Context(), batch)
			if err == nil {
				break
			}
			if !errors.Is(err, errInjected) {
				t.Fatalf("round %d: %v", round, err)
			}
		}
	}
	for _, name := range []string{"journal", "events", "rollups", "done", "recover"} {
		if failures[name] == 0 {
			t.Errorf("step %q never failed", name)
		}
	}
	checkRollups(t, cfg, next["a"]+next["b"])
}

// A block whose events are there and whose rollups are not, or in part, is finished by the next writer, once.
func TestTheNextWriterFinishesABlock(t *testing.T) {
	cfg := storetest.Config(t)
	s := storetest.OpenConfig(t, cfg)
	conn := storetest.Conn(t, cfg)
	events := everyRollup("a", 1, 1000, noon())
	w, err := s.NewEventWriter(3)
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	w.SetStep(func(name string) error {
		if name == "done" {
			return stop
		}
		return nil
	})
	if err = w.Insert(t.Context(), events); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	checkRollups(t, cfg, 1000)
	for _, lost := range [][]string{nil, {"origin_minute"}, {"traffic_hour", "entity_hour"}} {
		for _, table := range lost { // as if the engine had been killed before it came to these
			if err = conn.Exec(t.Context(), "TRUNCATE TABLE "+table); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if w, err = s.NewEventWriter(3); err != nil {
				t.Fatal(err)
			}
			w.SetStep(func(name string) error {
				if name == "done" {
					return stop
				}
				return nil
			})
			if err = w.Insert(t.Context(), slices.Clone(events)); !errors.Is(err, stop) {
				t.Fatal(err)
			}
		}
		checkRollups(t, cfg, 1000)
	}
}
