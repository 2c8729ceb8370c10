package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log is a broker in memory.
type topics struct {
	mu      sync.Mutex
	records map[string][]bus.Record
	grown   chan struct{} // closed when something was appended
}

func newTopics() *topics {
	return &topics{records: map[string][]bus.Record{}, grown: make(chan struct{})}
}

func (l *topics) append(recs ...bus.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range recs {
		r.Offset = int64(len(l.records[r.Topic]))
		l.records[r.Topic] = append(l.records[r.Topic], r)
	}
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *topics) from(topic string, offset int64) ([]bus.Record, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.records[topic]
	return append([]bus.Record(nil), all[min(int(offset), len(all)):]...), l.grown
}

// client is one process's connection to the broker.
type client struct {
	*topics
	produce func(recs []bus.Record) (write int, err error) // nil: everything is written
	chunk   int                                            // records handed over at once
}

func (c *client) Produce(ctx context.Context, recs ...bus.Record) error {
	if c.produce == nil {
		c.append(recs...)
		return nil
	}
	n, err := c.produce(recs)
	c.append(recs[:n]...)
	return err
}

func (c *client) Consume(ctx context.Context, _, topic string, open bus.Open) error {
	p, next, err := open(ctx, 0)
	if err != nil {
		return nil
	}
	if recs, _ := c.from(topic, 0); next > int64(len(recs)) {
		next = 0 // as the real one does when the offset is behind the end
	}
	for ctx.Err() == nil {
		recs, grown := c.from(topic, next)
		if len(recs) == 0 {
			select {
			case <-grown:
			case <-ctx.Done():
			}
			continue
		}
		recs = recs[:min(len(recs), c.chunk)]
		if p.Handle(ctx, recs) == nil {
			next += int64(len(recs))
		}
	}
	return p.Close(ctx)
}

func (c *client) Tail(ctx context.Context, topic string, fn func([]bus.Record) error, caughtUp func()) error {
	var next int64
	for first := true; ; first = false {
		recs, grown := c.from(topic, next)
		if len(recs) > 0 {
			if err := fn(recs); err != nil {
				return err
			}
			next += int64(len(recs))
		}
		if first {
			caughtUp()
		}
		if len(recs) == 0 {
			select {
			case <-grown:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

func (c *client) ReadPartition(_ context.Context, topic string, _ int, fn func(bus.Record) error) error {
	recs, _ := c.from(topic, 0)
	for _, r := range recs {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) Lag(context.Context, string, string) (int64, error) { return 0, nil }

var errKilled = errors.New("killed")

func noon() time.Time { return time.Date(2026, 10, 10, 12, 0, 0, 0, time.UTC) }

// start runs a stage until stop is called.
func start(t *testing.T, b Bus, key string) (s *Stage, stop func()) {
	t.Helper()
	s, err := New(Config{Key: key}, b, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.now = noon
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// reached waits until the stage's ledger tells of the records before the offsets.
func reached(t *testing.T, s *Stage, decisions, acks int64) {
	t.Helper()
	eventually(t, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if d, a := s.books[ledger.Decisions].next, s.books[ledger.Acks].next; d != decisions || a != acks {
			return fmt.Errorf("the ledger is at %d and %d, want %d and %d", d, a, decisions, acks)
		}
		return nil
	})
}

// verify verifies the topic and returns the lines that count, by chain.
func verify(t *testing.T, b Bus, opts ledger.Options) (map[string][]string, ledger.Report) {
	t.Helper()
	opts.Problems = 10
	v := ledger.NewVerifier(opts)
	chains := map[string]*ledger.Chain{ledger.Decisions: {}, ledger.Acks: {}}
	out := map[string][]string{}
	err := b.ReadPartition(t.Context(), bus.TopicAudit, 0, func(r bus.Record) error {
		v.Line(r.Value)
		l, err := ledger.Parse(r.Value)
		if err == nil && chains[l.Entry.Chain].Take(l).Counts() {
			out[l.Entry.Chain] = append(out[l.Entry.Chain], string(r.Value))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rep := v.Finish()
	for _, p := range rep.Problems {
		t.Errorf("%+v", p)
	}
	return out, rep
}

func keyFile(t *testing.T) string { return filepath.Join(t.TempDir(), "audit.key") }

func decide(id, value string, state decision.State, change func(*decision.Decision)) bus.Record {
	d := &decision.Decision{Version: decision.Version, ID: id, Action: decision.Block, Scope: decision.Address, Value: value, Mode: decision.Enforce,
		State: state, Creator: "rule:stuffing", Reason: decision.Reason{Alert: "a", Rule: "stuffing", RuleVersion: "v1", Event: "e", EventTime: noon()},
		Created: noon(), Expires: noon().Add(time.Hour)}
	if change != nil {
		change(d)
	}
	b, err := d.Encode()
	if err != nil {
		panic(err)
	}
	return bus.Record{Topic: bus.TopicDecisions, Key: d.Key(), Value: b, Time: noon()}
}

func acked(gateway string, offset int64, change func(*decision.Ack)) bus.Record {
	a := &decision.Ack{Version: decision.Version, Gateway: gateway, Kind: "inline", Offset: offset, At: noon()}
	if change != nil {
		change(a)
	}
	b, err := a.Encode()
	if err != nil {
		panic(err)
	}
	return bus.Record{Topic: bus.TopicAcks, Key: a.Key(), Value: b, Time: noon()}
}

// life is a decision's whole life, and others beside it.
func life() []bus.Record {
	sw, err := decision.Switch{Version: decision.Version, Mode: decision.Observe, By: "person:ann", At: noon()}.Encode()
	if err != nil {
		panic(err)
	}
	first := decide("d1", "203.0.113.9", decision.Proposed, func(d *decision.Decision) { d.Guardrail = "never_block" })
	approve := func(d *decision.Decision) { d.Approver = "person:ann" }
	longer := func(d *decision.Decision) { approve(d); d.Expires = d.Expires.Add(time.Hour) }
	return []bus.Record{
		first,
		decide("d1", "203.0.113.9", decision.Active, approve),
		decide("d1", "203.0.113.9", decision.Active, approve),
		decide("d1", "203.0.113.9", decision.Active, longer),
		decide("d2", "203.0.113.10", decision.Active, nil),
		acked("edge-1", 4, nil),
		decide("d2", "203.0.113.10", decision.Active, func(d *decision.Decision) { d.Mode = decision.Observe }),
		decide("d3", "203.0.113.10", decision.Active, nil),
		decide("d2", "203.0.113.10", decision.Expired, nil),
		acked("edge-1", 4, func(a *decision.Ack) { a.Held = 2 }), // shows that it lives, no more
		acked("edge-1", 7, nil),
		acked("edge-2", 7, func(a *decision.Ack) { a.Error = "slow" }),
		decide("d3", "203.0.113.10", decision.Revoked, approve),
		{Topic: bus.TopicDecisions, Key: []byte(decision.SwitchKey), Value: sw, Time: noon()},
		decide("d1", "203.0.113.9", decision.Expired, longer),
		{Topic: bus.TopicDecisions, Key: first.Key, Time: noon()},
		{Topic: bus.TopicDecisions, Key: []byte("x"), Value: []byte("\xff"), Time: noon()},
		acked("edge-1", 12, func(a *decision.Ack) { a.Left = true }),
		{Topic: bus.TopicAcks, Key: []byte("edge-1"), Time: noon()},
	}
}

const (
	lifeDecisions = 13
	lifeAcks      = 6
)
