package bus_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
)

// handler is a Partition made of functions.
type handler struct {
	handle func(context.Context, []bus.Record) error
	close  func(context.Context) error
}

func (h handler) Handle(ctx context.Context, recs []bus.Record) error { return h.handle(ctx, recs) }

func (h handler) Close(ctx context.Context) error {
	if h.close == nil {
		return nil
	}
	return h.close(ctx)
}

// each opens every partition with the same function, at the committed offset.
func each(handle func(context.Context, []bus.Record) error) bus.Open {
	return func(context.Context, int) (bus.Partition, int64, error) {
		return handler{handle: handle}, bus.Committed, nil
	}
}

// start runs a function until the returned stop is called, or the test ends; stop returns its error.
func start(t testing.TB, run func(ctx context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("background run: %v", err)
		}
	})
	return stop
}

// BenchmarkHop is one hop of one record: produce until acknowledged, and until the consumer has it.
func BenchmarkHop(b *testing.B) {
	c := bustest.New(b)
	arrived := make(chan time.Time, 1)
	start(b, func(ctx context.Context) error {
		return c.Consume(ctx, "bench", bus.TopicDecisions, each(func(_ context.Context, recs []bus.Record) error {
			for range recs {
				arrived <- time.Now()
			}
			return nil
		}))
	})
	value := make([]byte, 400)
	hop := func() (ack, handled time.Duration) {
		t0 := time.Now()
		if err := c.Produce(b.Context(), bus.Record{Topic: bus.TopicDecisions, Key: []byte("k"), Value: value}); err != nil {
			b.Fatal(err)
		}
		ack = time.Since(t0)
		return ack, (<-arrived).Sub(t0)
	}
	for range 100 {
		hop()
	}
	var acks, hops []time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		a, h := hop()
		acks, hops = append(acks, a), append(hops, h)
	}
	b.StopTimer()
	report(b, "ack", acks)
	report(b, "hop", hops)
}

func report(b *testing.B, name string, d []time.Duration) {
	slices.Sort(d)
	b.ReportMetric(float64(d[len(d)/2].Microseconds()), name+"-p50-µs")
	b.ReportMetric(float64(d[len(d)*99/100].Microseconds()), name+"-p99-µs")
}

// BenchmarkThroughput moves records of 400 bytes in batches of 500 through one topic of four partitions.
func BenchmarkThroughput(b *testing.B) {
	c := bustest.New(b)
	const size = 500
	recs := make([]bus.Record, size)
	for i := range recs {
		recs[i] = bus.Record{Topic: bus.TopicEvents, Partition: bus.AnyPartition, Key: []byte("k" + strconv.Itoa(i)), Value: make([]byte, 400)}
	}
	counts := make(chan int, 1024)
	start(b, func(ctx context.Context) error {
		return c.Consume(ctx, "bench", bus.TopicEvents, each(func(_ context.Context, recs []bus.Record) error {
			counts <- len(recs)
			return nil
		}))
	})
	b.ReportAllocs()
	b.ResetTimer()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for left := b.N * size; left > 0; {
			left -= <-counts
		}
	}()
	for range b.N {
		if err := c.Produce(b.Context(), recs...); err != nil {
			b.Fatal(err)
		}
	}
	<-done
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "records/s")
}
