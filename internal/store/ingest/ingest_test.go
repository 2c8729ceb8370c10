package ingest_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/ledger"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/privacy"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/ingest"
	"github.com/warder/warder/internal/store/storetest"
)

func TestMain(m *testing.M) {
	code := storetest.Main(m)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// start runs a stage until the returned function is called or the test ends.
func start(t *testing.T, c *bus.Client, s *store.Store) (stop func()) {
	t.Helper()
	in, err := ingest.New(c, s, bustest.Log(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stage ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("still: %v", err)
		case <-tick.C:
		}
	}
}

func record(topic string, partition int, value []byte) bus.Record {
	return bus.Record{Topic: topic, Partition: partition, Key: []byte("k"), Value: value}
}

func events(from, to uint64) []bus.Record {
	var out []bus.Record
	for seq := from; seq <= to; seq++ {
		e := event.Event{ID: event.NewID("a", seq), Tap: "a", Seq: seq, Time: time.Now().UTC(), Request: event.RequestInfo{Method: "GET", Path: "/"}}
		out = append(out, record(bus.TopicEvents, int(seq%2), e.Append(nil)))
	}
	return out
}

func newAlert(t *testing.T) []byte {
	t.Helper()
	now := time.Now().UTC()
	a := alert.Alert{Version: alert.Version, ID: "a1", Rule: "r", RuleVersion: "1", Severity: alert.High, Time: now, Window: alert.Window{Start: now, End: now}, Mode: alert.Enforce}
	b, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newDecision(t *testing.T, state decision.State) []byte {
	t.Helper()
	d := decision.Decision{
		Version: decision.Version, ID: "d1", Action: decision.Block, Scope: decision.Address, Value: "203.0.113.9", Mode: decision.Enforce,
		State: state, Creator: "rule:r", Created: time.Unix(1_790_000_000, 0).UTC(), Expires: time.Unix(1_790_003_600, 0).UTC(),
	}
	b, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newEntry(t *testing.T) []byte {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	l, err := ledger.Seal(&ledger.Entry{Version: ledger.Version, Chain: ledger.Acks, Seq: 1, Prev: ledger.Zero(), Kind: ledger.Start, Key: "k",
		Time: time.Unix(1_790_000_000, 0).UTC()}, key)
	if err != nil {
		t.Fatal(err)
	}
	return l.Text()
}

func want(t *testing.T, s *store.Store, events, alerts, decisions, audit uint64) func() error {
	return func() error {
		st, err := s.Stats(t.Context(), time.Time{})
		if err != nil {
			return err
		}
		if st.Events != events || st.Alerts != alerts || st.Decisions != decisions || st.Audit != audit {
			return fmt.Errorf("store has %+v", st)
		}
		return nil
	}
}

func TestEverythingArrivesOnce(t *testing.T) {
	c, s := bustest.New(t), storetest.Open(t)
	produce := func(recs ...bus.Record) {
		t.Helper()
		if err := c.Produce(t.Context(), recs...); err != nil {
			t.Fatal(err)
		}
	}
	stop := start(t, c, s)
	produce(events(1, 500)...)
	produce(events(401, 600)...) // a tap ships a range again
	produce(record(bus.TopicAlerts, 0, newAlert(t)), record(bus.TopicAlerts, 0, newAlert(t)))
	produce(record(bus.TopicDecisions, 0, newDecision(t, decision.Active)), record(bus.TopicDecisions, 0, newDecision(t, decision.Revoked)), record(bus.TopicDecisions, 0, nil))
	produce(record(bus.TopicAudit, 0, newEntry(t)), record(bus.TopicAudit, 0, newEntry(t)))
	eventually(t, want(t, s, 600, 1, 1, 1))
	stop()
	produce(events(550, 700)...)
	start(t, c, s)
	eventually(t, want(t, s, 700, 1, 1, 1))
}

func TestWhatCannotBeDecodedIsSetAside(t *testing.T) {
	c, s := bustest.New(t), storetest.Open(t)
	bad := []byte("\xff not a record")
	recs := append([]bus.Record{record(bus.TopicEvents, 0, bad), record(bus.TopicAlerts, 0, bad), record(bus.TopicDecisions, 0, bad), record(bus.TopicAudit, 0, bad),
		record(bus.TopicTelemetry, 0, bad)}, events(1, 10)...)
	if err := c.Produce(t.Context(), recs...); err != nil {
		t.Fatal(err)
	}
	start(t, c, s)
	eventually(t, want(t, s, 10, 0, 0, 0))
	eventually(t, func() error {
		letters := 0
		err := c.ReadPartition(t.Context(), bus.TopicDeadLetters, 0, func(bus.Record) error { letters++; return nil })
		if letters != 5 {
			err = errors.Join(err, fmt.Errorf("%d dead letters", letters))
		}
		return err
	})
}

// With pseudonyms in the configuration, no table holds the real name or address.
func TestPseudonymsAreStored(t *testing.T) {
	c := bustest.New(t)
	cfg := storetest.Config(t)
	cfg.Privacy = privacy.Config{Pseudonymise: []string{privacy.Principals, privacy.Addresses}, Key: config.NewSecret(strings.Repeat("5a", privacy.KeySize))}
	s := storetest.OpenConfig(t, cfg)
	who, where := "alice", netip.MustParseAddr("203.0.113.9")
	e := event.Event{ID: event.NewID("a", 2), Tap: "a", Seq: 2, Time: time.Now().UTC(), Source: event.Source{Address: where}, Principal: event.Principal{ID: who, Type: "jwt"}}
	a, err := alert.Decode(newAlert(t))
	if err != nil {
		t.Fatal(err)
	}
	a.Group = map[string]string{"principal.id": who}
	alerted, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	err = c.Produce(t.Context(), record(bus.TopicEvents, 0, e.Append(nil)), record(bus.TopicAlerts, 0, alerted), record(bus.TopicDecisions, 0, newDecision(t, decision.Active)))
	if err != nil {
		t.Fatal(err)
	}
	start(t, c, s)
	conn := storetest.Conn(t, cfg)
	stored := s.Names()
	for query, want := range map[string]string{
		"SELECT any(principal_id) FROM events":                      stored.Principal(who),
		"SELECT any(toString(source_address)) FROM events":          stored.Address(where).String(),
		"SELECT any(entity['principal.id']) FROM alerts":            stored.Principal(who),
		"SELECT any(value) FROM decisions":                          stored.Address(where).String(),
		"SELECT any(value) FROM entity_hour WHERE kind = 'address'": stored.Address(where).String(),
	} {
		eventually(t, func() error {
			var got string
			if err := conn.QueryRow(t.Context(), query).Scan(&got); err != nil {
				return err
			}
			if got != want {
				return fmt.Errorf("%s: %q, want %q", query, got, want)
			}
			return nil
		})
	}
}
