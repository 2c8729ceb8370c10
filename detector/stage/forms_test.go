package stage

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// liveForms are kept elsewhere (a principal), where the events are (an address), and over all.
const liveForms = `
id: guessed
title: failures of an account from anywhere, then it gets in
group_by: [principal.id]
sequence:
  span: 60s
  steps:
    - {name: failures, filter: response.code == 401, count: 5}
    - {name: success, filter: response.code == 200}
---
id: quiet-principal
title: an account that was there is gone
filter: response.code == 204
group_by: [principal.id]
absence: {span: 20s, after: 2}
---
id: quiet-address
title: an address that was there is gone
filter: response.code == 204
group_by: [source.address]
absence: {span: 20s, after: 2}
`

func formStage(t *testing.T, c *bus.Client) *Stage {
	t.Helper()
	set, err := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte(liveForms)}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(DefaultConfig(), c, set, bustest.Log(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// heartbeats are one record for each partition of the events topic, as the collector sends them.
func heartbeats(t *testing.T, c *bus.Client, seq uint64, at time.Time) []bus.Record {
	t.Helper()
	n, err := c.Partitions(testContext(t), bus.TopicEvents)
	if err != nil {
		t.Fatal(err)
	}
	e := event.Event{Kind: event.Heartbeat, Tap: "tap", Seq: seq, ID: event.NewID("tap", seq), Time: at}
	var out []bus.Record
	for p := range n {
		out = append(out, bus.Record{Topic: bus.TopicEvents, Partition: p, Value: e.Append(nil)})
	}
	return out
}

// TestFormsLive: a sequence and absences whose groups are counted on other partitions than their events; time passes by heartbeats,
// with a restart in between.
func TestFormsLive(t *testing.T) {
	c := bustest.New(t)
	stop := start(t, formStage(t, c))
	begin := time.Unix(1_700_000_000, 0).UTC()
	seq := uint64(0)
	send := func(at time.Duration, addr, user string, code int) {
		seq++
		e := makeEvent("tap", seq, addr, user)
		e.Time, e.Response.Code = begin.Add(at), code
		produce(t, c, records([]*event.Event{e})...)
	}
	for i := range 6 {
		send(time.Duration(i)*time.Second, fmt.Sprintf("192.0.2.%d", i), "ann", 401)
		send(time.Duration(i)*time.Second, fmt.Sprintf("198.51.100.%d", i), "service", 204)
		send(time.Duration(i)*time.Second, "203.0.113.7", fmt.Sprintf("user%d", i), 204)
	}
	produce(t, c, heartbeats(t, c, seq, begin.Add(10*time.Second))...)
	// Matches of different partitions reach the account's in any order: the failures must be in before the success.
	awaitMatches(t, c, 6+6+6)
	send(12*time.Second, "192.0.2.200", "ann", 200)
	first := await(t, c, map[string]int{"guessed": 1})
	stop()

	start(t, formStage(t, c))
	for at := 12; at <= 60; at += 6 {
		produce(t, c, heartbeats(t, c, seq, begin.Add(time.Duration(at)*time.Second))...)
	}
	got := await(t, c, map[string]int{"guessed": 1, "quiet-principal": 1, "quiet-address": 1})
	var lines []string
	for id, v := range got {
		a, err := alert.Decode([]byte(v))
		if err != nil {
			t.Fatal(err)
		}
		if old, ok := first[id]; ok && old != v {
			t.Errorf("alert %s changed", id)
		}
		lines = append(lines, fmt.Sprint(a.Rule, " ", a.Time.Sub(begin), " ", a.Group, " ", a.Values, " ", a.EventCount))
	}
	slices.Sort(lines)
	want := []string{
		"guessed 12s map[principal.id:ann] map[failures:5 success:1] 6",
		"quiet-address 25s map[source.address:203.0.113.7] map[matches:6] 6",
		"quiet-principal 25s map[principal.id:service] map[matches:6] 6",
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// awaitMatches waits until the matches topic has so many matches, clocks apart.
func awaitMatches(t *testing.T, c *bus.Client, want int) {
	t.Helper()
	awaitRecords(t, c, bus.TopicMatches, func(r bus.Record) bool { return isMatch(t, r) }, want)
}

func isMatch(t *testing.T, r bus.Record) bool {
	t.Helper()
	m, err := detector.DecodeMatch(r.Value)
	if err != nil {
		t.Error(err)
		return false
	}
	return !m.Clock
}

// awaitRecords reads a topic until so many of its records are wanted ones.
func awaitRecords(t *testing.T, c *bus.Client, topic string, wanted func(bus.Record) bool, want int) {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	n := 0
	err := c.Tail(ctx, topic, func(recs []bus.Record) error {
		for _, r := range recs {
			if wanted(r) {
				n++
			}
		}
		if n >= want {
			cancel()
		}
		return nil
	}, nil)
	if err != nil || n < want {
		t.Fatalf("%d records, want %d: %v", n, want, err)
	}
}
