package bus_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"

	"github.com/warder/warder/internal/bus"
)

func testRoundTrip(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top := topic(t, cfg, 2)
	at := time.Date(2026, 5, 4, 3, 2, 1, 999_999_999, time.UTC)
	sent := []bus.Record{
		{Topic: top, Partition: 1, Key: []byte("k"), Value: []byte("v"), Time: at},
		{Topic: top, Partition: 1, Key: []byte("k"), Time: at.Add(1500 * time.Microsecond),
			Headers: []bus.Header{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte{0, 255}}}},
		{Topic: top, Partition: 1, Value: bytes.Repeat([]byte("x"), 100_000), Time: at.Add(-time.Hour)},
	}
	produce(t, c, sent...)
	wanted := slices.Clone(sent)
	for i := range wanted {
		wanted[i].Offset = int64(i)
		wanted[i].Time = wanted[i].Time.Truncate(time.Millisecond)
	}
	if d := cmp.Diff(wanted, read(t, c, top, 1)); d != "" {
		t.Error(d)
	}
}

func testOrder(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top := topic(t, cfg, 2)
	const calls, size = 200, 7
	for i := range calls {
		produce(t, c, append(numbered(top, 0, i*size, size), numbered(top, 1, i*size, size)...)...)
	}
	l := newLog()
	start(t, func(ctx context.Context) error { return c.Consume(ctx, rand.Text(), top, each(l.handle)) })
	l.awaitCount(t, 2*calls*size)
	for p := range 2 {
		if d := cmp.Diff(want(0, calls*size), l.partition(p)); d != "" {
			t.Errorf("partition %d: %s", p, d)
		}
	}
}

// testKeys compares with the partitions that the Java client's murmur2 gives for four partitions.
func testKeys(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top := topic(t, cfg, 4)
	var recs []bus.Record
	for range 3 {
		for i := range 50 {
			key := strconv.Itoa(i)
			recs = append(recs, bus.Record{Topic: top, Partition: bus.AnyPartition, Key: []byte(key), Value: []byte(key)})
		}
	}
	produce(t, c, recs[:75]...)
	for _, r := range recs[75:] {
		produce(t, c, r)
	}
	where := make(map[string]int)
	used := make(map[int]bool)
	for p := range 4 {
		for _, r := range read(t, c, top, p) {
			if before, ok := where[string(r.Key)]; ok && before != p {
				t.Errorf("key %s is in partitions %d and %d", r.Key, before, p)
			}
			where[string(r.Key)] = p
			used[p] = true
		}
	}
	if len(where) != 50 || len(used) != 4 {
		t.Errorf("%d keys in %d partitions, want 50 in 4", len(where), len(used))
	}
}

func testLargeBatch(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top := topic(t, cfg, 1)
	var recs []bus.Record
	for i := range 12 {
		recs = append(recs, bus.Record{Topic: top, Key: []byte(strconv.Itoa(i)), Value: make([]byte, bus.MaxRecord/3)})
	}
	recs = append(recs, bus.Record{Topic: top, Key: []byte("12"), Value: make([]byte, bus.MaxRecord-100)})
	produce(t, c, recs...)
	var keys []string
	for _, r := range read(t, c, top, 0) {
		keys = append(keys, string(r.Key))
	}
	if d := cmp.Diff(want(0, 13), keys); d != "" {
		t.Error(d)
	}
}

func testTooLarge(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top := topic(t, cfg, 1, kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "5000"})
	err := c.Produce(within(t), bus.Record{Topic: top, Value: make([]byte, bus.MaxRecord)})
	if !errors.Is(err, bus.ErrTooLarge) || !bytes.Contains([]byte(err.Error()), []byte(top)) {
		t.Errorf("above MaxRecord: %v, want ErrTooLarge with the topic", err)
	}
	err = c.Produce(within(t), bus.Record{Topic: top, Value: make([]byte, 6000)})
	if !errors.Is(err, kafka.MessageSizeTooLarge) || !bytes.Contains([]byte(err.Error()), []byte(top)) {
		t.Errorf("above the topic's limit: %v, want MessageSizeTooLarge with the topic", err)
	}
	produce(t, c, bus.Record{Topic: top, Value: []byte("still works")})
}

// testOldTimes: kafka-go cannot write times more than 24 days apart into one batch.
func testOldTimes(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top := topic(t, cfg, 1, kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "-1"})
	now := time.Now().UTC().Truncate(time.Millisecond)
	var recs []bus.Record
	var times []time.Time
	for _, days := range []int{0, -300, -10, 0, -19, -1} {
		times = append(times, now.AddDate(0, 0, days))
		recs = append(recs, bus.Record{Topic: top, Value: []byte("v"), Time: times[len(times)-1]})
	}
	produce(t, c, recs...)
	var got []time.Time
	for _, r := range read(t, c, top, 0) {
		got = append(got, r.Time)
	}
	if d := cmp.Diff(times, got); d != "" {
		t.Error(d)
	}
}

// testCompressed reads what other producers may have compressed.
func testCompressed(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top := topic(t, cfg, 1)
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	k := &kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Transport: transport}
	for i, codec := range []kafka.Compression{0, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		var recs []kafka.Record
		for _, v := range want(100*i, 100) {
			recs = append(recs, kafka.Record{Value: kafka.NewBytes([]byte(v))})
		}
		res, err := k.Produce(within(t), &kafka.ProduceRequest{Topic: top, RequiredAcks: kafka.RequireAll, Compression: codec,
			Records: kafka.NewRecordReader(recs...)})
		if err == nil {
			err = res.Error
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range read(t, c, top, 0) {
		got = append(got, string(r.Value))
	}
	if d := cmp.Diff(want(0, 500), got); d != "" {
		t.Error(d)
	}
}

func testConcurrentProduce(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	top := topic(t, cfg, 1)
	const callers, calls = 8, 100
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range calls {
				rec := bus.Record{Topic: top, Key: []byte(strconv.Itoa(caller)), Value: []byte(strconv.Itoa(i))}
				if err := c.Produce(context.Background(), rec); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	got := make(map[string][]string)
	for _, r := range read(t, c, top, 0) {
		got[string(r.Key)] = append(got[string(r.Key)], string(r.Value))
	}
	for caller := range callers {
		if d := cmp.Diff(want(0, calls), got[strconv.Itoa(caller)]); d != "" {
			t.Errorf("caller %d: %s", caller, d)
		}
	}
}

// testMissingTopic: nothing creates a topic behind our back with the cluster's defaults.
func testMissingTopic(t *testing.T, cfg bus.Config) {
	c, _ := client(t, cfg)
	name := "warder.test." + rand.Text()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := c.Produce(ctx, bus.Record{Topic: name, Partition: bus.AnyPartition}); !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("Produce: %v, want UnknownTopicOrPartition", err)
	}
	if err := c.Consume(ctx, "g", name, nil); err != nil {
		t.Errorf("Consume: %v, want nil after the context's end", err)
	}
	if n, err := c.Partitions(within(t), name); err == nil {
		t.Errorf("the topic was created with %d partitions", n)
	}
}

func testDeadLetter(t *testing.T, cfg bus.Config) {
	c, reg := client(t, cfg)
	if err := c.EnsureTopics(within(t)); err != nil {
		t.Fatal(err)
	}
	mark := rand.Text()
	bad := bus.Record{Topic: bus.TopicEvents, Partition: 3, Offset: 42, Key: []byte(mark), Value: []byte("{"), Headers: []bus.Header{{Key: "h", Value: []byte("v")}}}
	if err := c.DeadLetter(within(t), bad, "store", errors.New("not \xff JSON")); err != nil {
		t.Fatal(err)
	}
	var got *bus.Record
	for _, r := range read(t, c, bus.TopicDeadLetters, 0) {
		if string(r.Key) == mark {
			got = &r
		}
	}
	if got == nil {
		t.Fatal("no dead letter")
	}
	headers := make(map[string]string)
	for _, h := range got.Headers {
		headers[h.Key] = string(h.Value)
	}
	wanted := map[string]string{"h": "v", bus.HeaderStage: "store", bus.HeaderReason: "not \uFFFD JSON", bus.HeaderSourceTopic: bus.TopicEvents,
		bus.HeaderSourcePartition: "3", bus.HeaderSourceOffset: "42"}
	if d := cmp.Diff(wanted, headers); d != "" || string(got.Value) != "{" {
		t.Errorf("value %q, headers: %s", got.Value, d)
	}
	if n := metric(t, reg, "warder_bus_dead_letters_total"); n != 1 {
		t.Errorf("dead letters counted = %v, want 1", n)
	}
}
