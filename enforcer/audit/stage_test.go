package audit

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/ledger"
)

func kinds(t *testing.T, lines []string) []string {
	t.Helper()
	var out []string
	for _, text := range lines {
		l, err := ledger.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		e := l.Entry
		says := []string{string(e.Kind), e.Decision, e.Replaces, e.Approver}
		if e.Gateway != nil {
			says = append(says, e.Gateway.Gateway)
		}
		out = append(out, strings.Join(strings.Fields(strings.Join(says, " ")), " "))
	}
	return out
}

func TestALifeInTheLedger(t *testing.T) {
	c := &client{topics: newTopics(), chunk: 100}
	c.append(life()...)
	s, stop := start(t, c, keyFile(t))
	defer stop()
	reached(t, s, lifeDecisions, lifeAcks)
	lines, _ := verify(t, c, ledger.Options{})
	want := map[string][]string{
		ledger.Decisions: {"ledger.start", "decision.proposed d1", "decision.approved d1 person:ann", "decision.repeated d1 person:ann",
			"decision.extended d1 person:ann", "decision.active d2", "decision.changed d2", "decision.active d3 d2", "decision.expired d2",
			"decision.revoked d3 person:ann", "switch person:ann", "decision.expired d1 person:ann", "decision.removed d1", "ledger.unreadable"},
		ledger.Acks: {"ledger.start", "gateway.ack edge-1", "gateway.ack edge-1", "gateway.ack edge-2", "gateway.left edge-1", "gateway.removed edge-1"},
	}
	got := map[string][]string{}
	for chain, l := range lines {
		got[chain] = kinds(t, l)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var history []string
	for _, e := range s.History("d3") {
		history = append(history, string(e.Kind))
	}
	sort := map[string]int{}
	for _, k := range history {
		sort[k]++
	}
	if diff := cmp.Diff(map[string]int{"decision.active": 1, "decision.revoked": 1, "gateway.ack": 2, "gateway.left": 1}, sort); diff != "" {
		t.Errorf("history -want +got:\n%s", diff)
	}
	read := 0
	if err := s.Read(t.Context(), 5, func([]byte) error { read++; return nil }); err != nil || read != len(lines["acks"])+len(lines["decisions"])-5 {
		t.Errorf("read %d lines, %v", read, err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// Wherever the process is killed, the ledger becomes what it would have been.
func TestKilledAnywhere(t *testing.T) {
	key := keyFile(t)
	plain := &client{topics: newTopics(), chunk: 3}
	plain.append(life()...)
	calls := 0
	plain.produce = func(recs []bus.Record) (int, error) {
		plain.mu.Lock()
		calls++
		plain.mu.Unlock()
		return len(recs), nil
	}
	s, stop := start(t, plain, key)
	reached(t, s, lifeDecisions, lifeAcks)
	stop()
	want, _ := verify(t, plain, ledger.Options{})
	if calls < 6 {
		t.Fatalf("only %d steps", calls)
	}
	for step := 1; step <= calls; step++ {
		for _, write := range []func(n int) int{func(int) int { return 0 }, func(n int) int { return (n + 1) / 2 }, func(n int) int { return n }} {
			t.Run(fmt.Sprintf("step %d, %d of 10 written", step, write(10)), func(t *testing.T) { killAt(t, key, step, write, want) })
		}
	}
}

func killAt(t *testing.T, key string, step int, write func(int) int, want map[string][]string) {
	broker := newTopics()
	broker.append(life()...)
	killed := make(chan struct{})
	calls := 0
	first := &client{topics: broker, chunk: 3}
	first.produce = func(recs []bus.Record) (int, error) {
		broker.mu.Lock()
		defer broker.mu.Unlock()
		switch calls++; {
		case calls < step:
			return len(recs), nil
		case calls == step:
			close(killed)
			return write(len(recs)), errKilled
		}
		return 0, errKilled
	}
	_, stop := start(t, first, key)
	<-killed
	stop()
	second := &client{topics: broker, chunk: 4}
	s, stop := start(t, second, key)
	reached(t, s, lifeDecisions, lifeAcks)
	stop()
	got, _ := verify(t, second, ledger.Options{})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Two stages that both take themselves for the owner, with keys of their own: the ledger tells of every record once, and stays whole.
func TestTwoOwners(t *testing.T) {
	broker := newTopics()
	a, stopA := start(t, &client{topics: broker, chunk: 2}, keyFile(t))
	defer stopA()
	b, stopB := start(t, &client{topics: broker, chunk: 3}, keyFile(t))
	defer stopB()
	const n = 300
	for i := range n {
		broker.append(decide(fmt.Sprint("d", i), fmt.Sprintf("203.0.113.%d", i%50), decision.Active, nil), acked("edge", int64(i), nil))
	}
	reached(t, a, n, n)
	reached(t, b, n, n)
	stopA()
	stopB()
	lines, rep := verify(t, &client{topics: broker}, ledger.Options{})
	for chain, l := range lines {
		offset := int64(-1)
		for _, text := range l {
			e := mustParse(t, text).Entry
			if e.Source == nil {
				continue
			}
			if offset++; e.Source.Offset != offset {
				t.Fatalf("%s tells of record %d, want %d", chain, e.Source.Offset, offset)
			}
		}
		if offset != n-1 {
			t.Errorf("%s ends at %d", chain, offset)
		}
	}
	t.Logf("%+v", rep.Chains)
}

func mustParse(t *testing.T, text string) *ledger.Line {
	t.Helper()
	l, err := ledger.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// On the real broker, with a rebalance in the middle.
func TestOnTheBroker(t *testing.T) {
	broker := bustest.Broker(t, t.TempDir(), 0)
	a, stopA := start(t, bustest.Client(t, broker), keyFile(t))
	defer stopA()
	c := bustest.Client(t, broker)
	recs := life()
	for i := range recs {
		recs[i].Partition = 0
	}
	if err := c.Produce(t.Context(), recs[:8]...); err != nil {
		t.Fatal(err)
	}
	reached(t, a, 7, 1)
	b, stopB := start(t, bustest.Client(t, broker), keyFile(t))
	defer stopB()
	stopA()
	if err := c.Produce(t.Context(), recs[8:]...); err != nil {
		t.Fatal(err)
	}
	reached(t, b, lifeDecisions, lifeAcks)
	_, rep := verify(t, c, ledger.Options{})
	if len(rep.Keys) != 2 || rep.Entries != 22 {
		t.Errorf("%+v", rep)
	}
}

// A topic that was made anew is told of from its start.
func TestSourceBeginsAnew(t *testing.T) {
	broker, key := newTopics(), keyFile(t)
	broker.append(life()...)
	s, stop := start(t, &client{topics: broker, chunk: 100}, key)
	reached(t, s, lifeDecisions, lifeAcks)
	stop()
	broker.mu.Lock()
	broker.records[bus.TopicDecisions] = nil
	broker.mu.Unlock()
	broker.append(decide("d9", "203.0.113.99", decision.Active, nil))
	s, stop = start(t, &client{topics: broker, chunk: 100}, key)
	reached(t, s, 1, lifeAcks)
	stop()
	lines, _ := verify(t, &client{topics: broker}, ledger.Options{})
	got := kinds(t, lines[ledger.Decisions])
	if diff := cmp.Diff([]string{"ledger.reset", "decision.active d9"}, got[len(got)-2:]); diff != "" {
		t.Error(diff)
	}
}

func TestAStoppedLedgerShows(t *testing.T) {
	c := &lagging{client: &client{topics: newTopics(), chunk: 1}, lag: 5}
	s, err := New(Config{Key: keyFile(t)}, c, bustest.Log(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err == nil {
		t.Error("ready before the ledger was read")
	}
	close(s.ready)
	now := noon()
	s.now = func() time.Time { return now }
	s.askLag(t.Context())
	now = now.Add(stuckAfter + time.Second)
	if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "10 records behind") {
		t.Errorf("got %v", err)
	}
	c.lag = 4
	if s.askLag(t.Context()); s.Ready(t.Context()) != nil {
		t.Error("not ready although it goes on")
	}
}

type lagging struct {
	*client
	lag int64
}

func (l *lagging) Lag(context.Context, string, string) (int64, error) { return l.lag, nil }

// A broker that writes and says that it failed makes repeats, and they are harmless.
func TestWrittenButNotAcknowledged(t *testing.T) {
	c := &client{topics: newTopics(), chunk: 3}
	c.append(life()...)
	calls := 0
	c.produce = func(recs []bus.Record) (int, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if calls++; calls%2 == 1 {
			return (len(recs) + calls%3) / 2, errKilled
		}
		return len(recs), nil
	}
	s, stop := start(t, c, keyFile(t))
	reached(t, s, lifeDecisions, lifeAcks)
	stop()
	lines, _ := verify(t, c, ledger.Options{})
	if len(lines[ledger.Decisions]) != lifeDecisions+1 || len(lines[ledger.Acks]) != lifeAcks {
		t.Errorf("%d and %d entries", len(lines[ledger.Decisions]), len(lines[ledger.Acks]))
	}
}

// BenchmarkRead is what an entry costs at start.
func BenchmarkRead(b *testing.B) {
	s, err := New(Config{Key: filepath.Join(b.TempDir(), "audit.key")}, &client{topics: newTopics()}, bustest.Log(), nil)
	if err != nil {
		b.Fatal(err)
	}
	recs := make([]bus.Record, 500)
	for i := range recs {
		recs[i] = decide(fmt.Sprint("d", i), fmt.Sprintf("203.0.113.%d", i%200), decision.Active, nil)
		recs[i].Offset = int64(i)
	}
	lines, err := s.compose(ledger.Decisions, recs)
	if err != nil {
		b.Fatal(err)
	}
	out := make([]bus.Record, len(lines))
	for i, l := range lines {
		out[i] = bus.Record{Value: l.Text()}
	}
	b.ReportAllocs()
	for b.Loop() {
		s.books[ledger.Decisions] = newBook()
		if err := s.follow(out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(out)), "µs/entry")
}

// FuzzRecord: whatever stands on the topics, there is an entry for it, or nothing to say; the ledger never stands still over it.
func FuzzRecord(f *testing.F) {
	for _, r := range life() {
		f.Add(r.Topic == bus.TopicAcks, r.Key, r.Value, int64(0))
	}
	wide := decide("d", "203.0.113.9", decision.Active, func(d *decision.Decision) { d.Note = "@" })
	f.Add(false, wide.Key, bytes.Replace(wide.Value, []byte("@"), bytes.Repeat([]byte("<"), decision.MaxEncoded-len(wide.Value)), 1), int64(1)<<62)
	f.Add(false, bytes.Repeat([]byte{1}, 2*decision.MaxEncoded), []byte(nil), int64(-1)<<62)
	s, err := New(Config{Key: filepath.Join(f.TempDir(), "audit.key")}, &client{topics: newTopics()}, bustest.Log(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, ack bool, key, value []byte, ms int64) {
		chain, topic := ledger.Decisions, bus.TopicDecisions
		if ack {
			chain, topic = ledger.Acks, bus.TopicAcks
		}
		lines, err := s.compose(chain, []bus.Record{{Topic: topic, Key: key, Value: value, Time: time.UnixMilli(ms)}})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if got, err := ledger.Parse(l.Text()); err != nil || !got.Intact() {
				t.Errorf("%s: %v", l.Text(), err)
			}
		}
	})
}
