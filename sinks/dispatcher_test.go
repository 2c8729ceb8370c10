package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a sink whose answers a test decides.
type fake struct {
	mu     sync.Mutex
	alerts []string
	events []string
	calls  int
	answer func(call int, ids []string) (retry bool, err error)
}

func (f *fake) Send(_ context.Context, alerts []*alert.Alert) (bool, error) {
	return f.take(&f.alerts, IDs(alerts))
}

func (f *fake) SendEvents(_ context.Context, events []*event.Event) (bool, error) {
	var ids []string
	for _, e := range events {
		ids = append(ids, e.ID.String())
	}
	return f.take(&f.events, ids)
}

func (f *fake) take(into *[]string, ids []string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.answer != nil {
		if retry, err := f.answer(f.calls, ids); err != nil {
			return retry, err
		}
	}
	*into = append(*into, ids...)
	return false, nil
}

func (f *fake) got(list *[]string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := slices.Clone(*list)
	slices.Sort(out)
	return out
}

func receiver(name string, f *fake, change func(*Common)) Receiver {
	c := DefaultCommon()
	c.Name = name
	if change != nil {
		change(&c)
	}
	return Receiver{Common: c, Sink: f, EventSink: f}
}

func testConfig() Config {
	c := DefaultConfig()
	c.Backoff = Backoff{Min: config.Duration(time.Millisecond), Max: config.Duration(20 * time.Millisecond)}
	return c
}

// start runs a dispatcher until stop is called or the test ends.
func start(t *testing.T, client *bus.Client, cfg Config, reg prometheus.Registerer, receivers ...Receiver) (stop func()) {
	t.Helper()
	d, err := New(cfg, client, receivers, slog.New(slog.NewTextHandler(t.Output(), nil)), reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func newAlert(n int, change func(*alert.Alert)) *alert.Alert {
	a := &alert.Alert{Version: alert.Version, ID: fmt.Sprintf("%032x", n), Rule: "r", Severity: alert.High, Mode: alert.Enforce,
		Time: time.Date(2026, 11, 22, 10, 0, n, 0, time.UTC), Tags: []string{"owasp.api2"}, Group: map[string]string{"source.address": "203.0.113.9"}}
	if change != nil {
		change(a)
	}
	return a
}

func produce(t *testing.T, client *bus.Client, alerts ...*alert.Alert) {
	t.Helper()
	var recs []bus.Record
	for _, a := range alerts {
		b, err := a.Encode()
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, bus.Record{Topic: bus.TopicAlerts, Partition: bus.AnyPartition, Key: a.Key(), Value: b})
	}
	write(t, client, recs...)
}

func write(t *testing.T, client *bus.Client, recs ...bus.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := client.Produce(ctx, recs...); err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: did not happen", what)
		}
	}
}

func contains(err error, s string) bool { return strings.Contains(err.Error(), s) }

func many(from, to int) (alerts []*alert.Alert, ids []string) {
	for n := from; n < to; n++ {
		alerts = append(alerts, newAlert(n, nil))
		ids = append(ids, alerts[len(alerts)-1].ID)
	}
	return alerts, ids
}

// deadLetters returns the dead letters' source topics and reasons.
func deadLetters(t *testing.T, client *bus.Client) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	n, err := client.Partitions(ctx, bus.TopicDeadLetters)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for p := range n {
		err := client.ReadPartition(ctx, bus.TopicDeadLetters, p, func(r bus.Record) error {
			line := ""
			for _, h := range r.Headers {
				if h.Key == bus.HeaderStage || h.Key == bus.HeaderReason {
					line += string(h.Value) + ": "
				}
			}
			out = append(out, line)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestExactlyOnceAcrossRestarts(t *testing.T) {
	client := bustest.New(t)
	f := new(fake)
	alerts, ids := many(0, 60)
	produce(t, client, alerts[:40]...)
	stop := start(t, client, testConfig(), nil, receiver("one", f, nil))
	await(t, "the first 40", func() bool { return len(f.got(&f.alerts)) == 40 })
	stop()
	// The detector repeats some after a crash, and goes on.
	produce(t, client, alerts[20:60]...)
	reg := prometheus.NewRegistry()
	start(t, client, testConfig(), reg, receiver("one", f, nil))
	await(t, "all 60", func() bool { return len(f.got(&f.alerts)) >= 60 })
	produce(t, client, alerts...)
	await(t, "80 repeats seen", func() bool { return count(t, reg, "repeat") == 80 })
	if d := cmp.Diff(ids, f.got(&f.alerts)); d != "" {
		t.Errorf("delivered (-want +got):\n%s", d)
	}
}

func count(t *testing.T, reg *prometheus.Registry, outcome string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "outcome" && l.GetValue() == outcome {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

// A delivery record that cannot be read does not keep its alert from being sent.
func TestUnreadableDeliveries(t *testing.T) {
	client := bustest.New(t)
	alerts, ids := many(0, 4)
	for i, value := range []string{"noise", `{"v": 9}`, `{"v": 1, "sink": "other", "alert": "x"}`} {
		for p := range bus.DefaultConfig().Partitions {
			write(t, client, bus.Record{Topic: bus.TopicDeliveries, Partition: p, Key: deliveryKey("one", ids[i]), Value: []byte(value)})
		}
	}
	produce(t, client, alerts...)
	f, reg := new(fake), prometheus.NewRegistry()
	start(t, client, testConfig(), reg, receiver("one", f, nil))
	await(t, "every alert", func() bool { return slices.Equal(f.got(&f.alerts), ids) })
	// A partition without alerts may be opened after the last one was sent.
	await(t, "twelve unreadable records", func() bool {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(families, func(f *dto.MetricFamily) bool {
			return f.GetName() == "warder_sinks_deliveries_undecodable_total" && f.GetMetric()[0].GetCounter().GetValue() == 12
		})
	})
}

func TestDeadSinkDelaysNoOther(t *testing.T) {
	client := bustest.New(t)
	dead := &fake{answer: func(int, []string) (bool, error) { return true, errors.New("down") }}
	good := new(fake)
	start(t, client, testConfig(), nil, receiver("dead", dead, nil), receiver("good", good, nil))
	alerts, ids := many(0, 30)
	produce(t, client, alerts...)
	await(t, "the good sink has all", func() bool { return slices.Equal(good.got(&good.alerts), ids) })
}

func TestRetryThenSuccess(t *testing.T) {
	client := bustest.New(t)
	f := &fake{answer: func(call int, _ []string) (bool, error) {
		if call <= 5 {
			return true, errors.New("busy")
		}
		return false, nil
	}}
	start(t, client, testConfig(), nil, receiver("one", f, nil))
	alerts, ids := many(0, 3)
	produce(t, client, alerts...)
	await(t, "delivered after failures", func() bool { return slices.Equal(f.got(&f.alerts), ids) })
	if l := deadLetters(t, client); len(l) != 0 {
		t.Errorf("dead letters: %q", l)
	}
}

func TestGiveUpAndRefusal(t *testing.T) {
	client := bustest.New(t)
	poison := newAlert(7, nil)
	f := &fake{answer: func(_ int, ids []string) (bool, error) {
		if slices.Contains(ids, poison.ID) {
			return false, errors.New("cannot take this one")
		}
		return false, nil
	}}
	dead := &fake{answer: func(int, []string) (bool, error) { return true, errors.New("down") }}
	reg := prometheus.NewRegistry()
	stop := start(t, client, testConfig(), reg, receiver("picky", f, nil),
		receiver("gone", dead, func(c *Common) { c.GiveUpAfter = config.Duration(30 * time.Millisecond) }))
	alerts, ids := many(0, 10)
	produce(t, client, alerts...)
	write(t, client, bus.Record{Topic: bus.TopicAlerts, Partition: 0, Value: []byte("not an alert")})
	want := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == poison.ID })
	await(t, "all but the refused one", func() bool { return slices.Equal(f.got(&f.alerts), want) })
	await(t, "dead letters", func() bool { return count(t, reg, "failed") == 11 && count(t, reg, "undecodable") == 2 })
	stop()
	refused, gaveUp := 0, 0
	for _, l := range deadLetters(t, client) {
		switch {
		case l == "warder.sink.picky: refused: cannot take this one: ":
			refused++
		case strings.HasPrefix(l, "warder.sink.gone: gave up after"):
			gaveUp++
		}
	}
	if refused != 1 || gaveUp != 10 {
		t.Errorf("%d refused, %d given up; want 1 and 10: %q", refused, gaveUp, deadLetters(t, client))
	}
	// Given up is recorded: after a restart a repeat is not tried again, a new alert is.
	after := new(fake)
	start(t, client, testConfig(), nil, receiver("gone", after, nil))
	fresh := newAlert(99, nil)
	produce(t, client, append(alerts, fresh)...)
	await(t, "the new alert", func() bool { return slices.Contains(after.got(&after.alerts), fresh.ID) })
	if got := after.got(&after.alerts); len(got) != 1 {
		t.Errorf("alerts that were given up were sent again: %q", got)
	}
}

func TestRouting(t *testing.T) {
	client := bustest.New(t)
	all, picky, shadows := new(fake), new(fake), new(fake)
	cfg := testConfig()
	cfg.Silences = []Silence{{Match: Matcher{Group: map[string]string{"source.address": "198.51.100.0/24"}}, Owner: "ops",
		Until: time.Date(2026, 11, 22, 10, 0, 30, 0, time.UTC)}}
	reg := prometheus.NewRegistry()
	start(t, client, cfg, reg, receiver("all", all, nil),
		receiver("picky", picky, func(c *Common) {
			c.MinSeverity, c.Match, c.Exclude = alert.High, Matcher{Tags: []string{"owasp.*"}}, Matcher{Rules: []string{"noisy*"}}
		}),
		receiver("shadows", shadows, func(c *Common) { c.Shadow = true }))
	alerts := []*alert.Alert{
		newAlert(1, nil),
		newAlert(2, func(a *alert.Alert) { a.Severity = alert.Low }),
		newAlert(3, func(a *alert.Alert) { a.Tags = nil }),
		newAlert(4, func(a *alert.Alert) { a.Rule = "noisy-one" }),
		newAlert(5, func(a *alert.Alert) { a.Mode = alert.Shadow }),
		newAlert(6, func(a *alert.Alert) { a.Group["source.address"] = "198.51.100.3" }),  // silenced
		newAlert(31, func(a *alert.Alert) { a.Group["source.address"] = "198.51.100.3" }), // after the silence
		newAlert(8, func(a *alert.Alert) { a.Mode = alert.Canary }),
	}
	produce(t, client, alerts...)
	id := func(ns ...int) (out []string) {
		for _, n := range ns {
			out = append(out, fmt.Sprintf("%032x", n))
		}
		return out
	}
	await(t, "all", func() bool { return slices.Equal(all.got(&all.alerts), id(1, 2, 3, 4, 8, 31)) })
	await(t, "picky", func() bool { return slices.Equal(picky.got(&picky.alerts), id(1, 8, 31)) })
	await(t, "shadows", func() bool { return slices.Equal(shadows.got(&shadows.alerts), id(1, 2, 3, 4, 5, 8, 31)) })
	await(t, "counted", func() bool {
		return count(t, reg, "silenced") == 3 && count(t, reg, "shadow") == 2 && count(t, reg, "filtered") == 3
	})
}

func TestGrouping(t *testing.T) {
	client := bustest.New(t)
	f := new(fake)
	alerts, ids := many(0, 10)
	produce(t, client, alerts...)
	start(t, client, testConfig(), nil, receiver("one", f, func(c *Common) { c.GroupWait = config.Duration(3 * time.Second); c.MaxAlerts = 10 }))
	await(t, "one message", func() bool { return slices.Equal(f.got(&f.alerts), ids) })
	if f.calls > 2 {
		t.Errorf("10 alerts came in %d messages", f.calls)
	}
}

func TestEvents(t *testing.T) {
	client := bustest.New(t)
	f := &fake{answer: func(call int, _ []string) (bool, error) {
		if call == 1 {
			return true, errors.New("busy")
		}
		return false, nil
	}}
	reg := prometheus.NewRegistry()
	start(t, client, testConfig(), reg, receiver("siem", f, func(c *Common) { c.Events = true }))
	var want []string
	put := func(seqs ...uint64) (recs []bus.Record) {
		for _, n := range seqs {
			e := &event.Event{ID: event.NewID("tap", n), Tap: "tap", Seq: n, Time: time.Unix(1_700_000_000, 0)}
			recs = append(recs, bus.Record{Topic: bus.TopicEvents, Partition: 0, Key: e.Key(), Value: e.Append(nil)})
		}
		return recs
	}
	for n := uint64(1); n <= 6; n++ {
		want = append(want, event.NewID("tap", n).String())
	}
	beat := &event.Event{ID: event.NewID("tap", 6), Tap: "tap", Seq: 6, Kind: event.Heartbeat, Time: time.Unix(1_700_000_001, 0)}
	recs := put(1, 2, 3, 4, 2, 3, 4, 5, 6)
	recs = append(recs, bus.Record{Topic: bus.TopicEvents, Partition: 0, Value: []byte("x")},
		bus.Record{Topic: bus.TopicEvents, Partition: 0, Key: beat.Key(), Value: beat.Append(nil)})
	write(t, client, recs...)
	await(t, "all events", func() bool { return len(f.got(&f.events)) >= 6 })
	await(t, "counted", func() bool { return count(t, reg, "repeat") == 3 && count(t, reg, "undecodable") == 1 })
	if d := cmp.Diff(want, f.got(&f.events)); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

func TestNewRefuses(t *testing.T) {
	f := new(fake)
	for name, receivers := range map[string][]Receiver{
		"two of a name": {receiver("a", f, nil), receiver("a", f, nil)},
		"bad name":      {receiver("A b", f, nil)},
		"no sink":       {{Common: receiver("a", f, nil).Common}},
		"no events":     {{Common: receiver("a", f, func(c *Common) { c.Events = true }).Common, Sink: f}},
	} {
		if _, err := New(DefaultConfig(), nil, receivers, slog.Default(), nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	reg := prometheus.NewRegistry()
	if _, err := New(DefaultConfig(), nil, nil, slog.Default(), reg); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(reg); n != 0 {
		t.Errorf("%d series before anything happened", n)
	}
}
