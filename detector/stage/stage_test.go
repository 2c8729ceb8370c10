package stage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

// TestDetects: events of many partitions, groups that are the topic's key and groups that are not, a restart in between.
func TestDetects(t *testing.T) {
	c := bustest.New(t)
	events := attack()
	want := expected(t, events)
	if d := cmp.Diff(map[string]int{"local": 1, "spread": 1, "wide": 1}, want); d != "" {
		t.Fatalf("the attack is not what it should be:\n%s", d)
	}
	recs := records(events)
	produce(t, c, recs[:150]...)
	first, reg := testStage(t, c, nil)
	stop := start(t, first)
	await(t, c, map[string]int{"spread": 1, "wide": 1})
	stop()
	if n := testutil.ToFloat64(first.metrics.partitions); n != 0 {
		t.Errorf("%v partitions are still counted after the end", n)
	}
	if n, err := testutil.GatherAndCount(reg); err != nil || n == 0 {
		t.Error(n, err)
	}

	second, _ := testStage(t, c, nil)
	start(t, second)
	produce(t, c, recs[100:]...) // 50 of them again
	await(t, c, want)
}

// TestCrash: a partition whose process dies goes on from its last checkpoint and says the same again, byte for byte.
func TestCrash(t *testing.T) {
	c := bustest.New(t)
	ctx := testContext(t)
	s, _ := testStage(t, c, func(cfg *Config) { cfg.Checkpoint = Checkpoint{Interval: config.Duration(time.Hour), Records: 7} })
	var recs []bus.Record
	for i := range 100 {
		e := makeEvent("tap", uint64(i+1), fmt.Sprintf("192.0.2.%d", i%3), "")
		recs = append(recs, bus.Record{Topic: bus.TopicEvents, Offset: int64(i), Value: e.Append(nil)})
	}
	run := func(s *Stage, from, to int64, crash bool) int64 {
		t.Helper()
		p, start, err := s.openEvents(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		if start == bus.Committed {
			start = from
		}
		for at := start; at < to; at += 10 {
			if err := p.Handle(ctx, recs[at:min(at+10, to)]); err != nil {
				t.Fatal(err)
			}
		}
		if crash {
			p.(*partition).saver.wait(ctx) // a goroutine of the dead process would be gone
			return start
		}
		if err := p.Close(ctx); err != nil {
			t.Fatal(err)
		}
		return start
	}
	run(s, 0, 35, true)
	first := alerts(t, c)
	if len(first) == 0 {
		t.Fatal("no alerts before the crash")
	}
	if at := run(s, -1, 62, true); at <= 0 || at > 35 {
		t.Errorf("went on from %d, want a checkpoint below 35", at)
	}
	run(s, -1, 100, false)
	if at := run(s, -1, 100, false); at != 100 {
		t.Errorf("after Close it went on from %d, want 100", at)
	}
	got := slices.Sorted(maps.Values(alerts(t, c)))

	shard := detector.NewShard(testSet(t), detector.DefaultConfig())
	var want []string
	for _, r := range recs {
		e, err := event.Decode(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range shard.Process(e, nil) {
			if a.Rule == "local" {
				b, _ := a.Encode()
				want = append(want, string(b))
			}
		}
	}
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("alerts (-without a crash +with):\n%s", d)
	}
}

// TestHandleAgain: when producing fails, the records come again and are not counted twice, and the alert is not lost.
func TestHandleAgain(t *testing.T) {
	c := bustest.New(t)
	ctx := testContext(t)
	s, _ := testStage(t, c, nil)
	p, _, err := s.openEvents(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	var recs []bus.Record
	for i := range 10 {
		recs = append(recs, bus.Record{Topic: bus.TopicEvents, Offset: int64(i), Value: makeEvent("tap", uint64(i+1), "192.0.2.1", "").Append(nil)})
	}
	if err := p.Handle(ctx, recs[:1]); err != nil {
		t.Fatal(err)
	}
	dead, cancel := context.WithCancel(ctx)
	cancel()
	if err := p.Handle(dead, recs); err == nil {
		t.Fatal("producing with a dead context succeeded")
	}
	if n := len(alerts(t, c)); n != 0 {
		t.Fatalf("%d alerts, want none yet", n)
	}
	if err := p.Handle(ctx, recs); err != nil {
		t.Fatal(err)
	}
	if got := byRule(t, alerts(t, c)); got["local"] != 1 {
		t.Errorf("alerts %v, want one of local", got)
	}
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestUndecodable: what is no event is set aside with its reason, and the rest goes on.
func TestUndecodable(t *testing.T) {
	c := bustest.New(t)
	s, _ := testStage(t, c, nil)
	bad := []bus.Record{
		{Topic: bus.TopicEvents, Partition: 0, Value: []byte("no event")},
		{Topic: bus.TopicMatches, Partition: 0, Value: []byte{1, 2, 3}},
		{Topic: bus.TopicEvents, Partition: 0},
	}
	produce(t, c, bad...)
	produce(t, c, records(attack()[400:])...)
	stop := start(t, s)
	await(t, c, map[string]int{"local": 1})
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	n := 0
	if err := c.Tail(ctx, bus.TopicDeadLetters, func(recs []bus.Record) error {
		if n += len(recs); n == len(bad) {
			cancel()
		}
		return nil
	}, nil); err != nil || n != len(bad) {
		t.Errorf("%d dead letters, want %d: %v", n, len(bad), err)
	}
	stop()
	if n := testutil.ToFloat64(s.metrics.dropped.WithLabelValues("undecodable")); n != float64(len(bad)) {
		t.Errorf("%v records are counted as undecodable, want %d", n, len(bad))
	}
}

// TestRepeatedMatches: a process that dies after it forwarded matches forwards them again; the group counts each event once.
func TestRepeatedMatches(t *testing.T) {
	c := bustest.New(t)
	ctx := testContext(t)
	s, _ := testStage(t, c, func(cfg *Config) { cfg.Checkpoint = Checkpoint{Interval: config.Duration(time.Hour), Records: 1 << 30} })
	var recs []bus.Record
	for i := range 60 {
		e := makeEvent("tap", uint64(i+1), fmt.Sprintf("192.0.2.%d", i), "victim")
		recs = append(recs, bus.Record{Topic: bus.TopicEvents, Offset: int64(i), Value: e.Append(nil)})
	}
	for _, n := range []int{30, 45, 60} { // each time from the start: only the empty state was saved
		p, start, err := s.openEvents(ctx, 0)
		if err != nil || start > 0 {
			t.Fatal(start, err)
		}
		if err := p.Handle(ctx, recs[:n]); err != nil {
			t.Fatal(err)
		}
	}
	parts, err := c.Partitions(ctx, bus.TopicMatches)
	if err != nil {
		t.Fatal(err)
	}
	for n := range parts {
		var in []bus.Record
		if err := c.ReadPartition(ctx, bus.TopicMatches, n, func(r bus.Record) error { in = append(in, r); return nil }); err != nil {
			t.Fatal(err)
		}
		p, _, err := s.openMatches(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Handle(ctx, in); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range alerts(t, c) {
		a, err := alert.Decode([]byte(v))
		if err != nil {
			t.Fatal(err)
		}
		ids := slices.Compact(slices.Sorted(slices.Values(a.Events)))
		if a.Rule != "spread" || a.Values["n"] != 50 || a.EventCount != 50 || len(ids) != 50 {
			t.Errorf("%s: values %v of %d events, %d different: want 50 each", a.Rule, a.Values, a.EventCount, len(ids))
		}
	}
	if got := byRule(t, alerts(t, c)); got["spread"] != 1 {
		t.Errorf("alerts %v, want one of spread", got)
	}
	if n := testutil.ToFloat64(s.metrics.dropped.WithLabelValues("repeat")); n != 2*(30+45) {
		t.Errorf("%v repeats, want %d: two rules were forwarded", n, 2*(30+45))
	}
}
