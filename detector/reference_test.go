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
	t       int64
	args    []rules.Arg
	session int // number of the session that it was put into
}

func newReference(r *rules.Rule) *reference {
	return &reference{rule: r, events: map[string][]refEvent{}, newest: map[string]int64{}, alerted: map[string][]int64{}}
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
	r.events[g] = append(r.events[g], refEvent{t, m.Args, r.session(g, t)})
	window := r.window(g)
	start, end := window[0].t, window[0].t
	for _, e := range window {
		start, end = min(start, e.t), max(end, e.t)
	}
	vals := make([]rules.Value, len(r.rule.Aggregates))
	for i := range vals {
		var args []rules.Arg
		for _, e := range window {
			if e.args[i].In {
				args = append(args, e.args[i])
			}
		}
		vals[i] = plainly(r.rule, i, args, start, end)
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
	return fmt.Sprintf("%s %s %d %v", r.rule.ID, g, end, flat(r.rule, vals)), true
}

// window returns the events that count with the group's last one.
func (r *reference) window(g string) []refEvent {
	all := r.events[g]
	last := all[len(all)-1]
	r.newest[g] = max(r.newest[g], last.t)
	end, size := r.newest[g], int64(r.rule.Window.Size)
	var out []refEvent
	for _, e := range all {
		in := e.t > end-size && e.t <= end
		switch r.rule.Window.Type {
		case rules.Tumbling:
			in = e.t/size == last.t/size
		case rules.Session:
			in = e.session == last.session
		}
		if in {
			out = append(out, e)
		}
	}
	return out
}

// session returns the number of the session that an event at t belongs to.
func (r *reference) session(g string, t int64) int {
	if r.rule.Window.Type != rules.Session {
		return 0
	}
	type extent struct{ first, last int64 }
	var sessions []extent
	for _, e := range r.events[g] {
		if e.session == len(sessions) {
			sessions = append(sessions, extent{e.t, e.t})
		}
		x := &sessions[e.session]
		x.first, x.last = min(x.first, e.t), max(x.last, e.t)
	}
	best, within := len(sessions), false
	for i, x := range sessions {
		in := t >= x.first && t <= x.last
		before, after := x.first-t, t-x.last
		fits := max(before, after) < int64(r.rule.Window.Gap) && max(x.last, t)-min(x.first, t) < int64(r.rule.Window.Size)
		if fits && (best == len(sessions) || in && !within || in == within && x.last > sessions[best].last) {
			best, within = i, in
		}
	}
	return best
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
---
id: measures
title: t
filter: "true"
group_by: [source.address]
window: {size: 20s, type: sliding}
aggregates:
  n: count()
  mean: avg(response.size)
  waited: avg(request.duration)
  least: {func: min, of: response.size, where: response.code == 401}
  most: max(request.duration)
  bad: {func: ratio, of: response.code == 401, where: principal.id != "u1"}
  median: quantile(response.size, 0.5)
  tail: {func: quantile, of: request.duration, q: 0.95, where: response.code == 401}
  speed: rate(response.code == 200)
  who: top(principal.id)
  path: {func: top, of: request.path, where: response.code == 401}
condition: n > 10 && (who.share > 0.3 || path.value == "/2" && bad >= 0.5 || tail > 0.7 || mean < 70 || median > 120.0 || speed > 3)
suppress: 5s
---
id: tumbling-measures
title: t
filter: "true"
group_by: [principal.id]
window: {size: 15s, type: tumbling}
aggregates:
  n: count()
  mean: avg(request.duration)
  least: min(double(response.size) - 100.0)
  most: {func: max, of: response.size, where: response.code == 401}
  bad: ratio(response.code == 401)
  speed: rate()
  who: {func: top, of: source.address, where: response.code == 401}
condition: n >= 5 && (who.count * 2 > n || bad > 0.7 || most < 100) && least < 0
suppress: 6s
---
id: sessions
title: t
filter: "true"
group_by: [principal.id, source.address]
window: {type: session, gap: 12s, size: 40s}
aggregates:
  n: count()
  mean: avg(response.size)
  least: min(request.duration)
  most: max(response.size)
  bad: ratio(response.code == 401)
  tail: quantile(request.duration, 0.75)
  speed: rate()
  users: distinct(request.path)
  path: top(request.path)
condition: n >= 3 && (path.share >= 0.5 || tail > 0.5 || bad > 0.6)
suppress: 6s
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
			fmt.Sprintf("code=%d", []int{200, 401}[r.IntN(2)]), fmt.Sprintf("size=%d", r.IntN(200)), fmt.Sprintf("us=%d", r.IntN(1_000_000)),
			fmt.Sprintf("path=/%d", r.IntN(4)))
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
	found := map[string]int{}
	for seed := range uint64(25) {
		events := randomStream(t, rand.New(rand.NewPCG(seed, 1)), 600)
		refs := map[string]*reference{}
		for _, r := range set.Rules() {
			refs[r.ID] = newReference(r)
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
				got = append(got, fmt.Sprintf("%s %s %d %v", a.Rule, strings.Join(group, "|"), a.Window.End.UnixNano(), flatAlert(rule, a)))
				found[a.Rule]++
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("seed %d (-reference +shard):\n%s", seed, d)
		}
	}
	for _, r := range set.Rules() {
		if found[r.ID] < 100 {
			t.Errorf("only %d alerts of %s: the streams test little", found[r.ID], r.ID)
		}
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
