package bus_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/bus"
)

func testCommitAfterEffect(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top, group := topic(t, cfg, 1), rand.Text()
	produce(t, c, numbered(top, 0, 0, 10)...)
	broken := errors.New("no effect")
	fails := make(chan struct{}, 1000)
	stop := start(t, func(ctx context.Context) error {
		return c.Consume(ctx, group, top, each(func(_ context.Context, recs []bus.Record) error {
			if string(recs[0].Value) != "0" {
				t.Errorf("records from %s after a failure, want 0", recs[0].Value)
			}
			fails <- struct{}{}
			return broken
		}))
	})
	for range 3 {
		<-fails
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	l := newLog()
	start(t, func(ctx context.Context) error { return c.Consume(ctx, group, top, each(l.handle)) })
	l.awaitCount(t, 10)
	if d := cmp.Diff(want(0, 10), l.partition(0)); d != "" {
		t.Error(d)
	}
}

// testDrain stops a consumer in the middle of Handle: the work is finished, Close comes after it, and the offset is committed.
func testDrain(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top, group := topic(t, cfg, 1), rand.Text()
	produce(t, c, numbered(top, 0, 0, 5)...)
	entered, finish := make(chan struct{}), make(chan struct{})
	var calls []string
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error)
	go func() {
		done <- c.Consume(ctx, group, top, func(context.Context, int) (bus.Partition, int64, error) {
			return handler{
				handle: func(ctx context.Context, _ []bus.Record) error {
					close(entered)
					<-finish
					calls = append(calls, "handled")
					return ctx.Err()
				},
				close: func(ctx context.Context) error {
					if _, ok := ctx.Deadline(); !ok || ctx.Err() != nil {
						t.Error("the context of Close has ended or has no deadline")
					}
					calls = append(calls, "closed")
					return nil
				},
			}, bus.Committed, nil
		})
	}()
	<-entered
	cancel()
	close(finish)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"handled", "closed"}, calls); d != "" {
		t.Error(d)
	}
	produce(t, c, numbered(top, 0, 5, 1)...)
	l := newLog()
	start(t, func(ctx context.Context) error { return c.Consume(ctx, group, top, each(l.handle)) })
	l.awaitCount(t, 1)
	if d := cmp.Diff([]string{"5"}, l.partition(0)); d != "" {
		t.Errorf("what was handled while stopping came again: %s", d)
	}
}

// testStuck: a Handle that waits for its context does not hold up the end for long.
func testStuck(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top := topic(t, cfg, 1)
	produce(t, c, numbered(top, 0, 0, 1)...)
	entered := make(chan struct{})
	stop := start(t, func(ctx context.Context) error {
		return c.Consume(ctx, rand.Text(), top, each(func(ctx context.Context, _ []bus.Record) error {
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		}))
	})
	<-entered
	began := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the end took %s", took)
	}
}

func testOpenFails(t *testing.T, cfg bus.Config) {
	c, reg := client(t, cfg)
	top := topic(t, cfg, 1)
	produce(t, c, numbered(top, 0, 0, 3)...)
	l := newLog()
	var mu sync.Mutex
	tries := 0
	start(t, func(ctx context.Context) error {
		return c.Consume(ctx, rand.Text(), top, func(context.Context, int) (bus.Partition, int64, error) {
			mu.Lock()
			defer mu.Unlock()
			if tries++; tries < 3 {
				return nil, 0, errors.New("no checkpoint yet")
			}
			return handler{handle: func(ctx context.Context, recs []bus.Record) error {
				if n := metric(t, reg, "warder_bus_lag_records"); n != 3 {
					t.Errorf("lag = %v while the records are handled, want 3", n)
				}
				return l.handle(ctx, recs)
			}}, bus.Committed, nil
		})
	})
	l.awaitCount(t, 3)
	if n := metric(t, reg, "warder_bus_handle_errors_total"); n != 2 {
		t.Errorf("errors counted = %v, want 2", n)
	}
}

func testResume(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top, group := topic(t, cfg, 2), rand.Text()
	l := newLog()
	for round := range 3 {
		produce(t, c, append(numbered(top, 0, round*10, 10), numbered(top, 1, round*10, 10)...)...)
		stop := start(t, func(ctx context.Context) error { return c.Consume(ctx, group, top, each(l.handle)) })
		l.awaitCount(t, 20*(round+1))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	for p := range 2 {
		if d := cmp.Diff(want(0, 30), l.partition(p)); d != "" {
			t.Errorf("partition %d: %s", p, d)
		}
	}
}

func testExplicitStart(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top, group := topic(t, cfg, 1), rand.Text()
	produce(t, c, numbered(top, 0, 0, 10)...)
	for _, from := range []int64{7, 3} { // before what was committed, too
		l := newLog()
		stop := start(t, func(ctx context.Context) error {
			return c.Consume(ctx, group, top, func(context.Context, int) (bus.Partition, int64, error) {
				return handler{handle: l.handle}, from, nil
			})
		})
		l.awaitCount(t, 10-int(from))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want(int(from), 10-int(from)), l.partition(0)); d != "" {
			t.Errorf("from %d: %s", from, d)
		}
	}
}

func testOutOfRange(t *testing.T, cfg bus.Config) {
	c, reg := client(t, cfg)
	top := topic(t, cfg, 1)
	produce(t, c, numbered(top, 0, 0, 5)...)
	l := newLog()
	start(t, func(ctx context.Context) error {
		return c.Consume(ctx, rand.Text(), top, func(context.Context, int) (bus.Partition, int64, error) {
			return handler{handle: l.handle}, 1000, nil
		})
	})
	l.awaitCount(t, 5)
	if d := cmp.Diff(want(0, 5), l.partition(0)); d != "" {
		t.Error(d)
	}
	if n := metric(t, reg, "warder_bus_offset_resets_total"); n != 1 {
		t.Errorf("offset resets = %v, want 1", n)
	}
}

// testMembers: two members share the partitions; what the first leaves goes to the second, and nothing is lost or repeated.
func testMembers(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top, group := topic(t, cfg, 4), rand.Text()
	all := newLog()
	type member struct {
		mu    sync.Mutex
		owned map[int]bool
	}
	run := func(m *member) func() error {
		return start(t, func(ctx context.Context) error {
			return c.Consume(ctx, group, top, func(_ context.Context, p int) (bus.Partition, int64, error) {
				m.mu.Lock()
				m.owned[p] = true
				m.mu.Unlock()
				all.add(nil) // a change to wait on
				return handler{handle: all.handle, close: func(context.Context) error {
					m.mu.Lock()
					delete(m.owned, p)
					m.mu.Unlock()
					return nil
				}}, bus.Committed, nil
			})
		})
	}
	owns := func(m *member) int {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.owned)
	}
	sent := 0
	send := func() {
		for p := range 4 {
			produce(t, c, numbered(top, p, sent, 10)...)
		}
		sent += 10
		all.awaitCount(t, 4*sent)
	}
	a, b := &member{owned: make(map[int]bool)}, &member{owned: make(map[int]bool)}
	stopA := run(a)
	send()
	run(b)
	all.await(t, "two partitions each", func() bool { return owns(a) == 2 && owns(b) == 2 })
	send()
	if err := stopA(); err != nil {
		t.Fatal(err)
	}
	if n := owns(a); n != 0 {
		t.Errorf("%d partitions were not closed", n)
	}
	all.await(t, "all partitions with the second member", func() bool { return owns(b) == 4 })
	send()
	for p := range 4 {
		if d := cmp.Diff(want(0, sent), all.partition(p)); d != "" {
			t.Errorf("partition %d: %s", p, d)
		}
	}
}
