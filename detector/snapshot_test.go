package detector

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

// wideRules make every form of state: rings, slices, sketches, tumbling windows, suppressions.
const wideRules = `
id: slide
title: t
filter: "true"
group_by: [source.address]
window: {size: 64s, type: sliding}
aggregates: {n: count(), paths: distinct(request.path), total: sum(response.size)}
condition: n >= 3000
---
id: tumble
title: t
filter: "true"
group_by: [api.name, source.address]
window: {size: 60s, type: tumbling}
aggregates: {paths: distinct(request.path)}
condition: paths >= 100000
---
id: measures
title: t
filter: "true"
group_by: [source.address]
window: {size: 64s, type: sliding}
aggregates:
  mean: avg(response.size)
  low: min(response.size)
  high: max(response.size)
  bad: ratio(response.code == 401)
  half: quantile(response.size, 0.5)
  speed: rate()
  path: top(request.path)
condition: mean > 100000
---
id: session
title: t
filter: "true"
group_by: [source.address]
window: {type: session, gap: 30s, size: 300s}
aggregates: {low: min(response.size), half: "quantile(response.size, 0.5)", path: top(request.path), paths: distinct(request.path)}
condition: half > 100000
---
id: one
title: t
filter: request.path.startsWith("/admin")
suppress: 10m
`

// wideConfig has bounds so low that everything degrades.
func wideConfig() Config {
	c := DefaultConfig()
	c.ExactEvents, c.ExactDistinct = 20, 50
	return c
}

func wideStream(t testing.TB) []*event.Event {
	t.Helper()
	events := parseEvents(t, `
0s x400 +50ms path=/# addr=192.0.2.1 size=#
1s x30 +100ms path=/# addr=192.0.2.2
3s path=/admin addr=192.0.2.3
700000h addr=192.0.2.1
5s x40 +1s path=/# addr=192.0.2.1 tap=b dropped=#
`)
	for i := range events {
		events[i].API.Name = "shop"
	}
	return events
}

func wideSnapshot(t testing.TB) []byte {
	s := NewShard(loadRules(t, wideRules), wideConfig())
	run(s, wideStream(t))
	return s.Snapshot(nil)
}

func TestSnapshotRoundTrip(t *testing.T) {
	want := wideSnapshot(t)
	s := NewShard(loadRules(t, wideRules), wideConfig())
	if err := s.Restore(want); err != nil {
		t.Fatal(err)
	}
	if got := s.Snapshot(nil); !bytes.Equal(got, want) {
		t.Errorf("snapshot of the restored shard differs: %d bytes, was %d", len(got), len(want))
	}
}

// TestRestoreOtherRules: an unchanged rule keeps its windows, a changed one begins anew, a removed one is forgotten.
func TestRestoreOtherRules(t *testing.T) {
	rule := func(id string, n int) string {
		return fmt.Sprintf("id: %s\ntitle: t\nfilter: \"true\"\ngroup_by: [source.address]\nwindow: {size: 60s, type: sliding}\n"+
			"aggregates: {n: count()}\ncondition: n >= %d\n", id, n)
	}
	events := parseEvents(t, "0s x5 +1s")
	s := NewShard(loadRules(t, rule("changed", 100)+"---\n"+rule("gone", 5)+"---\n"+rule("same", 5)), DefaultConfig())
	run(s, events[:4])
	next := NewShard(loadRules(t, rule("changed", 5)+"---\n"+rule("fresh", 5)+"---\n"+rule("same", 5)), DefaultConfig())
	if err := next.Restore(s.Snapshot(nil)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range run(next, events[4:]) {
		got = append(got, a.Rule)
	}
	if d := cmp.Diff([]string{"same"}, got); d != "" {
		t.Errorf("alerting rules (-want +got):\n%s", d)
	}
}

func TestRestoreDamaged(t *testing.T) {
	snap := wideSnapshot(t)
	set := loadRules(t, wideRules)
	for n := range len(snap) {
		if n > 2000 && n%97 != 0 {
			continue
		}
		if err := NewShard(set, wideConfig()).Restore(snap[:n]); err == nil {
			t.Fatalf("accepted the first %d of %d bytes", n, len(snap))
		}
	}
}

// FuzzRestore: damaged snapshots give an error or a shard that works; they never panic or ask for unbounded memory.
func FuzzRestore(f *testing.F) {
	set, events := loadRules(f, wideRules+"---"+formRules), wideStream(f)
	small := NewShard(set, wideConfig())
	run(small, events[380:460])
	f.Add(small.Snapshot(nil))
	f.Add(NewShard(set, wideConfig()).Snapshot(nil))
	f.Add([]byte{})
	forms := NewShard(set, wideConfig())
	run(forms, formStream(f, rand.New(rand.NewPCG(1, 1)), 60, true))
	f.Add(forms.Snapshot(nil))
	events = append(formStream(f, rand.New(rand.NewPCG(1, 2)), 100, true), events[:50]...)
	f.Fuzz(func(_ *testing.T, b []byte) {
		s := NewShard(set, wideConfig())
		if s.Restore(b) != nil {
			return
		}
		run(s, events)
		_ = s.Snapshot(nil)
	})
}

func matchSample() *MatchRecord {
	return &MatchRecord{
		Rule: "r", RuleVersion: "0123456789abcdef", Group: []string{"alice", ""}, Args: []Arg{{In: true, Bits: 1 << 63}, {}},
		Value: "BR", Peers: []string{"shop"}, ByPeers: true, Sources: 3,
		Event: event.NewID("tap", 7), Time: base.Add(time.Nanosecond), Dropped: 3, Partition: 2, Offset: 1 << 40,
		Sample: &alert.Sample{Event: event.NewID("tap", 7).String(), Method: "GET", Path: "/x", Code: 401, Principal: "alice"},
	}
}

func TestMatchRoundTrip(t *testing.T) {
	want := matchSample()
	got, err := DecodeMatch(want.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestDecodeMatchRefuses(t *testing.T) {
	good := matchSample()
	change := func(fn func(*MatchRecord)) []byte {
		m := *good
		fn(&m)
		return m.Append(nil)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "version 0"},
		{"cut", good.Append(nil)[:20], "decode match"},
		{"no rule", change(func(m *MatchRecord) { m.Rule = "" }), "missing"},
		{"negative offset", change(func(m *MatchRecord) { m.Offset = -1 }), "wrong"},
		{"wide group", change(func(m *MatchRecord) { m.Group = make([]string, 9) }), "group"},
		{"long group", change(func(m *MatchRecord) { m.Group = []string{strings.Repeat("x", 9999)} }), "group"},
		{"many arguments", change(func(m *MatchRecord) { m.Args = make([]Arg, 99) }), "argument"},
		{"large", make([]byte, MaxMatch+1), "limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := DecodeMatch(c.b); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
}

// FuzzDecodeMatch: what decodes is bounded, encodes again to something that decodes to the same, and a shard can take it.
func FuzzDecodeMatch(f *testing.F) {
	f.Add(matchSample().Append(nil))
	f.Add([]byte{8, 1})
	set := loadRules(f, wideRules)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMatch(b)
		if err != nil {
			return
		}
		again, err := DecodeMatch(m.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(m, again); d != "" && usable(m.Time) {
			t.Errorf("-first +second:\n%s", d)
		}
		m.Rule, m.RuleVersion = "slide", set.Rule("slide").Version
		NewShard(set, DefaultConfig()).ProcessMatch(m, nil)
	})
}

func TestStaleMatch(t *testing.T) {
	s := NewShard(loadRules(t, wideRules), DefaultConfig())
	s.ProcessMatch(matchSample(), nil)
	if s.Stats().Stale != 1 {
		t.Error("a match of an unknown rule was not counted as stale")
	}
}

// TestLongGroup: a group value of any length is bounded, and different ones stay different.
func TestLongGroup(t *testing.T) {
	long := strings.Repeat("ä", 4000)
	a, b := boundGroup(nil, []string{long + "1"})[0], boundGroup(nil, []string{long + "2"})[0]
	if a == b || len(a) > maxGroupValue || len(b) > maxGroupValue {
		t.Errorf("%d and %d bytes, equal: %t", len(a), len(b), a == b)
	}
}

func TestBytesBound(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MaxBytes = 1 << 20
	s := NewShard(loadRules(t, wideRules), cfg)
	for i := range 20_000 {
		e, _ := newStream().event(time.Duration(i)*time.Millisecond, fmt.Sprintf("addr=198.51.%d.%d", i>>8&255, i&255))
		e.API.Name = "shop"
		s.Process(e, nil)
	}
	if st := s.Stats(); st.Bytes > 1<<20 || st.Evicted == 0 || st.Entities == 0 {
		t.Errorf("%+v", st)
	}
}

func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{MaxJump: config.Duration(time.Millisecond)}.Validate()
	for _, key := range []string{"max_entities", "max_rule_entities", "max_bytes", "exact_events", "exact_distinct", "max_taps", "max_jump"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%v does not name %s", err, key)
		}
	}
}
