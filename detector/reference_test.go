package detector

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// reference computes windows the plain way: it keeps every event and looks at all of them each time. It knows nothing of jumps
// in time, so the streams that it is given have none.
type reference struct {
	rule    *rules.Rule
	events  map[string][]refEvent
	newest  map[string]int64
	alerted map[string][]int64
}

type refEvent struct {
	t    int64
	args []rules.Arg
}

func (r *reference) add(m rules.Match, t int64) (string, bool) {
	counts := len(m.Args) == 0
	for _, a := range m.Args {
		counts = counts || a.In
	}
	if !counts {
		return "", false
	}
	g := strings.Join(m.Group, "|")
	r.events[g] = append(r.events[g], refEvent{t, m.Args})
	r.newest[g] = max(r.newest[g], t)
	end, size := r.newest[g], int64(r.rule.Window.Size)
	inside := func(x int64) bool { return x > end-size && x <= end }
	if r.rule.Window.Type == rules.Tumbling {
		inside = func(x int64) bool { return x/size == t/size } // the window of the event itself
		end = 0
		for _, e := range r.events[g] {
			if inside(e.t) {
				end = max(end, e.t)
			}
		}
	}
	vals := make([]float64, len(r.rule.Aggregates))
	seen := make([]map[string]bool, len(vals))
	for _, e := range r.events[g] {
		for i, a := range e.args {
			if !inside(e.t) || !a.In {
				continue
			}
			switch r.rule.Aggregates[i].Func {
			case rules.Count:
				vals[i]++
			case rules.Sum:
				vals[i] += a.Number
			case rules.Distinct:
				if seen[i] == nil {
					seen[i] = map[string]bool{}
				}
				seen[i][a.Text] = true
				vals[i] = float64(len(seen[i]))
			}
		}
	}
	for _, at := range r.alerted[g] {
		if max(end-at, at-end) < int64(r.rule.Suppress) || end == at {
			return "", false
		}
	}
	if ok, err := r.rule.Holds(vals); !ok || err != nil {
		return "", false
	}
	r.alerted[g] = append(r.alerted[g], end)
	return fmt.Sprintf("%s %s %d %v", r.rule.ID, g, end, vals), true
}

const propertyRules = `
id: sliding
title: t
filter: "true"
group_by: [source.address]
window: {size: 20s, type: sliding}
aggregates:
  n: count()
  failed: {func: count, where: response.code == 401}
  users: {func: distinct, of: principal.id, where: response.code == 401}
  size_sum: sum(response.size)
condition: n >= 40 && users >= 4 || failed >= 25 || size_sum > 3000
suppress: 7s
---
id: tumbling
title: t
filter: response.code == 401
group_by: [principal.id]
window: {size: 15s, type: tumbling}
aggregates:
  n: count()
  hosts: distinct(source.address)
condition: n >= 6 && hosts >= 2
suppress: 4s
`

// randomStream is a stream without jumps: steps of up to half a second, disorder of up to 15 s below the windows' size.
func randomStream(t testing.TB, r *rand.Rand, n int) []*event.Event {
	t.Helper()
	s := newStream()
	at := time.Duration(0)
	var out []*event.Event
	for range n {
		at += time.Duration(r.Int64N(int64(500 * time.Millisecond)))
		late := time.Duration(0)
		if r.IntN(4) == 0 {
			late = time.Duration(r.Int64N(int64(10 * time.Second)))
		}
		e, err := s.event(20*time.Second+at-late, fmt.Sprintf("addr=192.0.2.%d", r.IntN(3)), fmt.Sprintf("user=u%d", r.IntN(6)),
			fmt.Sprintf("code=%d", []int{200, 401}[r.IntN(2)]), fmt.Sprintf("size=%d", r.IntN(200)))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// TestReference compares the shard with the plain computation on random streams.
func TestReference(t *testing.T) {
	set := loadRules(t, propertyRules)
	found := 0
	for seed := range uint64(60) {
		events := randomStream(t, rand.New(rand.NewPCG(seed, 1)), 600)
		refs := map[string]*reference{}
		for _, r := range set.Rules() {
			refs[r.ID] = &reference{rule: r, events: map[string][]refEvent{}, newest: map[string]int64{}, alerted: map[string][]int64{}}
		}
		s := NewShard(set, DefaultConfig())
		var want, got []string
		for _, e := range events {
			for _, m := range set.Match(e, nil) {
				if w, ok := refs[m.Rule.ID].add(m, e.Time.UnixNano()); ok {
					want = append(want, w)
				}
			}
			for _, a := range s.Process(e, nil) {
				rule := set.Rule(a.Rule)
				var group []string
				for _, k := range rule.GroupBy {
					group = append(group, a.Group[k])
				}
				vals := make([]float64, len(rule.Aggregates))
				for i, agg := range rule.Aggregates {
					vals[i] = a.Values[agg.Name]
				}
				got = append(got, fmt.Sprintf("%s %s %d %v", a.Rule, strings.Join(group, "|"), a.Window.End.UnixNano(), vals))
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("seed %d (-reference +shard):\n%s", seed, d)
		}
		found += len(want)
	}
	if found < 200 {
		t.Errorf("only %d alerts: the streams test little", found)
	}
}

// TestReplay: a shard that is restored from an older snapshot and fed again from there raises the same alerts.
func TestReplay(t *testing.T) {
	set := loadRules(t, propertyRules)
	for seed := range uint64(5) {
		events := randomStream(t, rand.New(rand.NewPCG(seed, 2)), 500)
		s := NewShard(set, DefaultConfig())
		var after []string // alerts of each event
		var snaps [][]byte
		for _, e := range events {
			snaps = append(snaps, s.Snapshot(nil))
			after = append(after, encode(t, s.Process(e, nil)))
		}
		for _, from := range []int{0, 1, 123, 250, 499} {
			s := NewShard(set, DefaultConfig())
			if err := s.Restore(snaps[from]); err != nil {
				t.Fatal(err)
			}
			for i := from; i < len(events); i++ {
				if got := encode(t, s.Process(events[i], nil)); got != after[i] {
					t.Fatalf("seed %d, from %d: event %d: got %s, want %s", seed, from, i, got, after[i])
				}
				if i+1 < len(snaps) && !slices.Equal(s.Snapshot(nil), snaps[i+1]) {
					t.Fatalf("seed %d, from %d: the state after event %d differs", seed, from, i)
				}
			}
		}
	}
}

// TestForwarded: windows over forwarded matches, in another shard and through the encoding, are the windows over the events.
func TestForwarded(t *testing.T) {
	set := loadRules(t, propertyRules)
	events := randomStream(t, rand.New(rand.NewPCG(7, 7)), 2000)
	want := encode(t, run(NewShard(set, DefaultConfig()), events))

	var got strings.Builder
	far := NewShard(set, DefaultConfig())
	cfg := DefaultConfig()
	var sent [][]byte
	cfg.Forward = func(m *MatchRecord) { sent = append(sent, m.Append(nil)) }
	near := NewShard(set, cfg)
	for _, e := range events {
		got.WriteString(encode(t, near.Process(e, nil)))
		for _, b := range sent {
			m, err := DecodeMatch(b)
			if err != nil {
				t.Fatal(err)
			}
			got.WriteString(encode(t, far.ProcessMatch(m, nil)))
		}
		sent = sent[:0]
	}
	if d := cmp.Diff(want, got.String()); d != "" || near.Stats().Forwarded == 0 {
		t.Errorf("%d forwarded (-direct +forwarded):\n%s", near.Stats().Forwarded, d)
	}
}
