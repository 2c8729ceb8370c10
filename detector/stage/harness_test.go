package stage

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

const testRules = `
id: local
title: ten requests of one client
filter: "true"
group_by: [source.address]
window: {size: 60s, type: sliding}
aggregates: {n: count()}
condition: n >= 10
suppress: 20s
---
id: spread
title: one account from many addresses
filter: response.code == 401
group_by: [principal.id]
window: {size: 60s, type: sliding}
aggregates: {n: count(), hosts: distinct(source.address)}
condition: n >= 50 && hosts >= 50
suppress: 10m
---
id: wide
title: failures everywhere
filter: response.code == 401
window: {size: 60s, type: tumbling}
aggregates: {n: count()}
condition: n >= 100
suppress: 10m
`

// deadline is how long a test waits for what must come.
const deadline = 60 * time.Second

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func testSet(t *testing.T) *rules.Set {
	t.Helper()
	set, err := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte(testRules)}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func testStage(t *testing.T, c *bus.Client, change func(*Config)) (*Stage, *prometheus.Registry) {
	t.Helper()
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	reg := prometheus.NewRegistry()
	s, err := New(cfg, c, testSet(t), bustest.Log(), reg)
	if err != nil {
		t.Fatal(err)
	}
	return s, reg
}

func makeEvent(tap string, seq uint64, addr, user string) *event.Event {
	e := &event.Event{Tap: tap, Seq: seq, ID: event.NewID(tap, seq), Time: time.Unix(1_700_000_000, 0).Add(time.Duration(seq) * 100 * time.Millisecond)}
	e.Source.Address, e.Principal.ID, e.Response.Code = netip.MustParseAddr(addr), user, 401
	e.Request.Method, e.Request.Path = "POST", "/login"
	return e
}

// attack is failed logins of one account from 200 addresses, and between them those of other people.
func attack() []*event.Event {
	var out []*event.Event
	for i := range 400 {
		user := "victim"
		if i%4 == 3 {
			user = fmt.Sprintf("user%d", i)
		}
		out = append(out, makeEvent("tap", uint64(i+1), fmt.Sprintf("192.0.2.%d", i%200), user))
	}
	for i := range 40 {
		out = append(out, makeEvent("tap", uint64(401+i), "198.51.100.7", "x"))
	}
	return out
}

func records(events []*event.Event) []bus.Record {
	var out []bus.Record
	for _, e := range events {
		out = append(out, bus.Record{Topic: bus.TopicEvents, Partition: bus.AnyPartition, Key: e.Key(), Value: e.Append(nil)})
	}
	return out
}

func produce(t *testing.T, c *bus.Client, recs ...bus.Record) {
	t.Helper()
	if err := c.Produce(testContext(t), recs...); err != nil {
		t.Fatal(err)
	}
}

// alerts reads the topic: encoded alerts by id. Records of one id must be byte-identical.
func alerts(t *testing.T, c *bus.Client) map[string]string {
	t.Helper()
	out := map[string]string{}
	ctx := testContext(t)
	n, err := c.Partitions(ctx, bus.TopicAlerts)
	if err != nil {
		t.Fatal(err)
	}
	for p := range n {
		err := c.ReadPartition(ctx, bus.TopicAlerts, p, func(r bus.Record) error {
			a, err := alert.Decode(r.Value)
			if err != nil {
				return err
			}
			if old, ok := out[a.ID]; ok && old != string(r.Value) {
				t.Errorf("alert %s came twice and differs:\n%s\n%s", a.ID, old, r.Value)
			}
			out[a.ID] = string(r.Value)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// byRule counts alerts.
func byRule(t *testing.T, encoded map[string]string) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, v := range encoded {
		a, err := alert.Decode([]byte(v))
		if err != nil {
			t.Fatal(err)
		}
		out[a.Rule]++
	}
	return out
}

// start runs a stage; the returned function stops it and waits.
func start(t *testing.T, s *Stage) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// await waits until the topic has alerts of the rules, in these numbers.
func await(t *testing.T, c *bus.Client, want map[string]int) map[string]string {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var got map[string]int
	err := c.Tail(ctx, bus.TopicAlerts, func([]bus.Record) error {
		if got = byRule(t, alerts(t, c)); maps.Equal(got, want) {
			cancel()
		}
		return nil
	}, nil)
	if err != nil || !maps.Equal(got, want) {
		t.Fatalf("alerts %v, want %v: %v", got, want, err)
	}
	return alerts(t, c)
}

// expected is what one shard says about the same events in the order of their numbers.
func expected(t *testing.T, events []*event.Event) map[string]int {
	t.Helper()
	s := detector.NewShard(testSet(t), detector.DefaultConfig())
	out := map[string]int{}
	for _, e := range events {
		for _, a := range s.Process(e, nil) {
			out[a.Rule]++
		}
	}
	return out
}
