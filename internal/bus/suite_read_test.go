package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/bus"
)

func testPing(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	if err := c.Ping(within(t)); err != nil {
		t.Error(err)
	}
}

func testEnsureTopics(t *testing.T, cfg bus.Config) {
	for range 2 {
		c, _ := client(t, cfg)
		if err := c.EnsureTopics(within(t)); err != nil {
			t.Fatal(err)
		}
		for topic, n := range map[string]int{bus.TopicEvents: cfg.Partitions, bus.TopicMatches: cfg.Partitions, bus.TopicAlerts: cfg.Partitions,
			bus.TopicCheckpoints: cfg.Partitions, bus.TopicDeliveries: cfg.Partitions, bus.TopicDecisions: 1, bus.TopicTelemetry: 1, bus.TopicDeadLetters: 1} {
			if got, err := c.Partitions(within(t), topic); err != nil || got != n {
				t.Errorf("Partitions(%s) = %d, %v, want %d", topic, got, err, n)
			}
		}
	}
}

func testTail(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top := topic(t, cfg, 3)
	for p := range 3 {
		produce(t, c, numbered(top, p, 0, 10)...)
	}
	l := newLog()
	caughtUp := make(chan int, 10)
	stop := start(t, func(ctx context.Context) error {
		return c.Tail(ctx, top, func(recs []bus.Record) error { return l.handle(ctx, recs) }, func() { caughtUp <- l.count() })
	})
	if n := <-caughtUp; n != 30 {
		t.Errorf("caught up after %d records, want 30", n)
	}
	produce(t, c, numbered(top, 1, 10, 5)...)
	l.awaitCount(t, 35)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want(0, 15), l.partition(1)); d != "" {
		t.Error(d)
	}
	if len(caughtUp) != 0 {
		t.Error("caughtUp was called again")
	}
	broken := errors.New("broken")
	if err := c.Tail(within(t), top, func([]bus.Record) error { return broken }, nil); !errors.Is(err, broken) {
		t.Errorf("Tail = %v, want the error of fn", err)
	}
}

func testTailFrom(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top := topic(t, cfg, 2)
	since := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	old, young := numbered(top, 0, 0, 10), numbered(top, 0, 10, 10)
	for i := range old {
		old[i].Time, young[i].Time = since.Add(-time.Millisecond), since
	}
	produce(t, c, append(old, young...)...)
	only := numbered(top, 1, 0, 5) // a partition with nothing young enough
	for i := range only {
		only[i].Time = since.Add(-time.Hour)
	}
	produce(t, c, only...)
	l := newLog()
	caughtUp := make(chan int, 1)
	start(t, func(ctx context.Context) error {
		return c.TailFrom(ctx, top, since, func(recs []bus.Record) error { return l.handle(ctx, recs) }, func() { caughtUp <- l.count() })
	})
	if n := <-caughtUp; n != 10 {
		t.Errorf("caught up after %d records, want 10", n)
	}
	produce(t, c, numbered(top, 1, 5, 5)...)
	l.awaitCount(t, 15)
	if d := cmp.Diff(want(10, 10), l.partition(0)); d != "" {
		t.Error(d)
	}
}

func testTailEmpty(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top := topic(t, cfg, 1)
	l := newLog()
	caughtUp := make(chan struct{})
	start(t, func(ctx context.Context) error {
		return c.Tail(ctx, top, func(recs []bus.Record) error { return l.handle(ctx, recs) }, func() { close(caughtUp) })
	})
	<-caughtUp
	produce(t, c, numbered(top, 0, 0, 1)...)
	l.awaitCount(t, 1)
}

func testReadPartition(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top := topic(t, cfg, 2)
	produce(t, c, numbered(top, 1, 0, 100)...)
	n := 0
	err := c.ReadPartition(within(t), top, 1, func(bus.Record) error {
		n++
		produce(t, c, numbered(top, 1, 100, 1)...) // it must not run after its own tail
		return nil
	})
	if err != nil || n != 100 {
		t.Errorf("read %d records, %v, want 100", n, err)
	}
	if recs := read(t, c, top, 0); len(recs) != 0 {
		t.Errorf("read %d records of an empty partition", len(recs))
	}
	broken := errors.New("broken")
	if err := c.ReadPartition(within(t), top, 1, func(bus.Record) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("ReadPartition = %v, want the error of fn", err)
	}
}
