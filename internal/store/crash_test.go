package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/engine"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// ownEngine starts an engine that the test may kill.
func ownEngine(t *testing.T) (*engine.Engine, store.Config) {
	t.Helper()
	ecfg := engine.DefaultConfig()
	ecfg.Dir = t.TempDir()
	return engineOf(t, ecfg)
}

// engineOf starts an engine for the test.
func engineOf(t *testing.T, ecfg engine.Config) (*engine.Engine, store.Config) {
	t.Helper()
	e, err := engine.Start(t.Context(), ecfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatalf("no ClickHouse to test with: run `make deps`: %v", err)
	}
	t.Cleanup(func() { _ = e.Close() })
	cfg := store.DefaultConfig()
	cfg.Addrs, cfg.Protocol, cfg.Username, cfg.Password = []string{e.Addr()}, e.Protocol(), e.User(), e.Password()
	return e, cfg
}

// persist calls f until it succeeds, as the bus does with a handler, and returns how often it failed.
func persist(ctx context.Context, f func() error) (int, error) {
	for tries := 0; ; tries++ {
		err := f()
		if err == nil {
			return tries, nil
		}
		select {
		case <-ctx.Done():
			return tries, fmt.Errorf("%w; last: %w", ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestEngineKilledInTheMiddleOfInserts(t *testing.T) {
	e, cfg := ownEngine(t)
	s := storetest.OpenConfig(t, cfg)
	w, err := s.NewEventWriter(0)
	if err != nil {
		t.Fatal(err)
	}
	const batches, size = 24, 5000
	start := noon()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	failures := 0
	for b := range batches {
		from := uint64(b*size + 1)
		var events []*event.Event
		for seq := from; seq < from+size; seq++ {
			events = append(events, countsEverywhere("a", seq, start.Add(time.Duration(seq)*time.Millisecond)))
		}
		if b > 0 { // every batch comes with a tail of the one before
			events = append([]*event.Event{countsEverywhere("a", from-1, start.Add(time.Duration(from-1)*time.Millisecond))}, events...)
		}
		if b%4 == 3 {
			kill := time.AfterFunc(time.Duration(b)*2*time.Millisecond, func() {
				if pid := e.PID(); pid > 0 {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			})
			defer kill.Stop()
		}
		n, err := persist(ctx, func() error { return w.Insert(ctx, events) })
		if err != nil {
			t.Fatal(err)
		}
		failures += n
	}
	if failures == 0 {
		t.Error("no insert failed: the engine was not killed in the middle of one")
	}
	checkRollups(t, cfg, batches*size)
}
