package bus_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
)

// patience bounds every wait. A group that lost a member without a goodbye takes the session timeout of 6 s.
const patience = 40 * time.Second

// conformance is what any Kafka must do for us. It makes its own topics, so that it can run against a shared cluster.
func conformance(t *testing.T, cfg bus.Config) {
	tests := []struct {
		name string
		run  func(*testing.T, bus.Config)
	}{
		{"ping", testPing},
		{"ensure topics twice", testEnsureTopics},
		{"record round trip", testRoundTrip},
		{"order", testOrder},
		{"keys are stable", testKeys},
		{"large batches are split", testLargeBatch},
		{"too large", testTooLarge},
		{"old times", testOldTimes},
		{"compressed records", testCompressed},
		{"concurrent produce", testConcurrentProduce},
		{"missing topic", testMissingTopic},
		{"commit after effect", testCommitAfterEffect},
		{"work in flight is finished and committed", testDrain},
		{"stuck work is cut off", testStuck},
		{"open fails first", testOpenFails},
		{"resume from committed", testResume},
		{"explicit start", testExplicitStart},
		{"offset out of range", testOutOfRange},
		{"members share partitions", testMembers},
		{"tail", testTail},
		{"tail of an empty topic", testTailEmpty},
		{"tail from a time on", testTailFrom},
		{"read partition is bounded", testReadPartition},
		{"dead letter", testDeadLetter},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, cfg) })
	}
}

// client makes a client that closes with the test.
func client(t *testing.T, cfg bus.Config) (*bus.Client, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	c, err := bus.New(cfg, bustest.Log(), reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, reg
}

// topic creates a topic with a name of its own.
func topic(t *testing.T, cfg bus.Config, partitions int, entries ...kafka.ConfigEntry) string {
	t.Helper()
	name := "warder.test." + rand.Text()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	k := &kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Transport: transport}
	res, err := k.CreateTopics(within(t), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: name, NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: entries,
	}}})
	if err == nil {
		err = res.Errors[name]
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// numbered makes records 0…n-1 for one partition, their number as value.
func numbered(topic string, partition, from, n int) []bus.Record {
	recs := make([]bus.Record, n)
	for i := range recs {
		recs[i] = bus.Record{Topic: topic, Partition: partition, Value: []byte(strconv.Itoa(from + i))}
	}
	return recs
}

// log collects what consumers get, and can be waited on.
type log struct {
	mu      sync.Mutex
	changed chan struct{}
	values  map[int][]string // by partition
}

func newLog() *log { return &log{changed: make(chan struct{}), values: make(map[int][]string)} }

func (l *log) add(recs []bus.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range recs {
		l.values[r.Partition] = append(l.values[r.Partition], string(r.Value))
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *log) handle(_ context.Context, recs []bus.Record) error {
	l.add(recs)
	return nil
}

func (l *log) partition(p int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.values[p])
}

func (l *log) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, v := range l.values {
		n += len(v)
	}
	return n
}

// await returns when the condition holds; it is looked at after every change.
func (l *log) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := within(t)
	for {
		l.mu.Lock()
		changed := l.changed
		l.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("gave up waiting for %s; have %d records", what, l.count())
		}
	}
}

func (l *log) awaitCount(t *testing.T, n int) {
	t.Helper()
	l.await(t, fmt.Sprintf("%d records", n), func() bool { return l.count() >= n })
}

func want(from, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(from + i)
	}
	return out
}

func produce(t *testing.T, c *bus.Client, recs ...bus.Record) {
	t.Helper()
	if err := c.Produce(context.Background(), recs...); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c *bus.Client, topic string, partition int) []bus.Record {
	t.Helper()
	var out []bus.Record
	err := c.ReadPartition(within(t), topic, partition, func(r bus.Record) error {
		out = append(out, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// metric sums a counter's or gauge's series.
func metric(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}
