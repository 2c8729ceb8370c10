package detector

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// formRules have every form, grouped by the key of the events topic and by another one.
const formRules = `
id: absence
title: t
filter: request.path == "/a"
group_by: [source.address]
absence: {span: 8s, after: 2}
suppress: 1s
---
id: absence-user
title: t
filter: response.code == 200
group_by: [principal.id]
absence: {span: 6s}
---
id: first
title: t
filter: response.code == 200
group_by: [principal.id]
first_seen: {value: request.path, learn: 20s, forget: 60s}
---
id: rare
title: t
filter: "true"
group_by: [principal.id]
rare: {value: request.path, peers: [request.method], share: 0.3, least: 3, span: 1m}
suppress: 5s
---
id: seen
title: t
filter: response.code == 401 && !seenBefore(request.path, duration("30s"))
group_by: [principal.id]
---
id: sequence
title: t
group_by: [source.address]
sequence:
  span: 10s
  steps:
    - {name: failures, filter: response.code == 401, count: 2, keep: {id: principal.id}}
    - {name: quiet, filter: request.path == "/c" && principal.id == failures.id, absent: true}
    - {name: success, filter: response.code == 200 && principal.id != failures.id, keep: {path: request.path}}
    - {name: back, filter: principal.id == failures.id && request.path != success.path}
suppress: 1ns
---
id: trailing
title: t
group_by: [principal.id]
sequence:
  span: 9s
  steps:
    - {name: a, filter: request.path == "/a", keep: {ip: source.address}}
    - {name: b, filter: request.path == "/b" && source.address == a.ip, count: 2}
    - {name: c, filter: request.path == "/c", absent: true}
suppress: 1ns
`

// formStream is a stream for them: steps of up to two seconds. With disorder there are late events, a second tap that lags,
// heartbeats, pauses and wrong times.
func formStream(t testing.TB, r *rand.Rand, n int, disorder bool) []*event.Event {
	t.Helper()
	s := newStream()
	at := 10 * time.Minute
	var out []*event.Event
	for range n {
		at += time.Duration(r.Int64N(int64(1500 * time.Millisecond)))
		tap, when, kind := "tap=tap", at, "kind=request"
		if disorder {
			switch r.IntN(20) {
			case 0, 1, 2:
				when -= time.Duration(r.Int64N(int64(3 * time.Second)))
			case 3, 4:
				tap, when = "tap=other", at-time.Minute
			case 5:
				kind = "kind=heartbeat"
			case 6:
				if r.IntN(10) == 0 {
					when = time.Duration(r.IntN(100000)) * time.Hour
				} else if r.IntN(10) == 0 {
					at += 30 * time.Minute
				}
			}
		}
		attrs := []string{tap, fmt.Sprintf("addr=192.0.2.%d", r.IntN(3)), fmt.Sprintf("user=u%d", r.IntN(4)), "path=/" + string(rune('a'+r.IntN(4))),
			fmt.Sprintf("code=%d", []int{200, 401}[r.IntN(2)]), "method=" + []string{"GET", "POST"}[r.IntN(2)]}
		if kind == "kind=heartbeat" {
			attrs = append(attrs, kind)
		}
		e, err := s.event(when, attrs...)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// TestFormsReplay: a shard that is restored after every event raises the same alerts and ends in the same bytes, whatever comes.
func TestFormsReplay(t *testing.T) {
	set, raised := loadRules(t, formRules), map[string]int{}
	for seed := range uint64(6) {
		events := formStream(t, rand.New(rand.NewPCG(seed, 3)), 500, true)
		cfg := DefaultConfig()
		if seed%2 == 1 {
			cfg.MaxEntities = 12 // all the time somebody is evicted
		}
		plain, moved := NewShard(set, cfg), NewShard(set, cfg)
		for i, e := range events {
			alerts := plain.Process(e, nil)
			for _, a := range alerts {
				raised[a.Rule]++
			}
			if d := cmp.Diff(encode(t, alerts), encode(t, moved.Process(e, nil))); d != "" {
				t.Fatalf("seed %d, event %d: alerts (-plain +restored):\n%s", seed, i, d)
			}
			snap := plain.Snapshot(nil)
			next := NewShard(set, cfg)
			if err := next.Restore(moved.Snapshot(nil)); err != nil {
				t.Fatal(err)
			}
			moved = next
			if !slices.Equal(snap, moved.Snapshot(nil)) {
				t.Fatalf("seed %d: the state after event %d differs", seed, i)
			}
		}
		checkGroupings(t, plain)
	}
	for _, r := range set.Rules() {
		if raised[r.ID] < 3 {
			t.Errorf("%s alerted %d times: the streams test little", r.ID, raised[r.ID])
		}
	}
}

// TestFormsForwarded: forms over forwarded matches, with time forwarded, say what they say over the events. What time raises comes
// later, because other shards are told of time only now and then, so the order may differ.
func TestFormsForwarded(t *testing.T) {
	set := loadRules(t, formRules)
	for seed := range uint64(5) {
		events := formStream(t, rand.New(rand.NewPCG(seed, 5)), 1500, false)
		last := *events[len(events)-1]
		last.Kind, last.Time = event.Heartbeat, last.Time.Add(10*time.Second)
		events = append(events, &last)
		want := strings.Split(encode(t, run(NewShard(set, DefaultConfig()), events)), "\n")

		var got strings.Builder
		far, cfg := NewShard(set, DefaultConfig()), DefaultConfig()
		var sent [][]byte
		clocks := 0
		cfg.Forward = func(m *MatchRecord) {
			if m.Clock {
				clocks++
				m.Sources = 1
			}
			sent = append(sent, m.Append(nil))
		}
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
		lines := strings.Split(got.String(), "\n")
		slices.Sort(want)
		slices.Sort(lines)
		if d := cmp.Diff(want, lines); d != "" || clocks == 0 || near.Stats().Forwarded == 0 {
			t.Fatalf("seed %d: %d forwarded, %d clocks (-direct +forwarded):\n%s", seed, near.Stats().Forwarded, clocks, d)
		}
	}
}

// TestHorizon: a group whose events come from two partitions is due when both have come so far.
func TestHorizon(t *testing.T) {
	set := loadRules(t, formRules)
	s := NewShard(set, DefaultConfig())
	r := set.Rule("absence-user")
	match := func(source int, at time.Duration) *MatchRecord {
		return &MatchRecord{Rule: r.ID, RuleVersion: r.Version, Group: []string{"ann"}, Event: event.NewID("tap", 1), Time: base.Add(at), Partition: source}
	}
	clock := func(source int, at time.Duration) *MatchRecord {
		return &MatchRecord{Clock: true, Sources: 2, Partition: source, Event: event.NewID("tap", 9), Time: base.Add(at)}
	}
	var got []string
	for _, m := range []*MatchRecord{match(0, time.Second), clock(0, 60*time.Second), clock(1, 2*time.Second), match(1, 4*time.Second),
		clock(1, 9*time.Second), clock(1, 11*time.Second), clock(1, 12*time.Second)} {
		for _, a := range s.ProcessMatch(m, nil) {
			got = append(got, fmt.Sprint(a.Time.Sub(base), " told at ", m.Time.Sub(base)))
		}
	}
	if d := cmp.Diff([]string{"10s told at 11s"}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestFormsReference compares the shard with plain models on streams in the order of time.
func TestFormsReference(t *testing.T) {
	set, found := loadRules(t, formRules), map[string]int{}
	for seed := range uint64(15) {
		events := formStream(t, rand.New(rand.NewPCG(seed, 4)), 800, false)
		models := map[string]*formModel{}
		for _, r := range set.Rules() {
			models[r.ID] = newFormModel(r)
		}
		s := NewShard(set, DefaultConfig())
		want, got := map[string]bool{}, map[string]bool{}
		say := func(rule, group string, at int64) {
			want[fmt.Sprint(rule, " ", group, " ", time.Duration(at-base.UnixNano()))] = true
			found[rule]++
		}
		for _, e := range events {
			for id, m := range models {
				m.pass(e.Time.UnixNano(), func(group string, at int64) { say(id, group, at) })
			}
			for _, x := range set.Match(e, nil) {
				models[x.Rule.ID].add(strings.Join(x.Group, "|"), e.Time.UnixNano(), x.Args, func(group string, at int64) { say(x.Rule.ID, group, at) })
			}
			for _, a := range s.Process(e, nil) {
				key := fmt.Sprint(a.Rule, " ", strings.Join(slices.Collect(maps.Values(a.Group)), "|"), " ", a.Time.Sub(base))
				if got[key] {
					t.Fatalf("seed %d: %s twice", seed, key)
				}
				got[key] = true
			}
		}
		if d := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); d != "" {
			t.Fatalf("seed %d (-model +shard):\n%s", seed, d)
		}
		if st := s.Stats(); st.Forgotten > 0 || st.Evicted > 0 {
			t.Fatalf("seed %d: %+v", seed, st)
		}
	}
	for _, r := range set.Rules() {
		if found[r.ID] < 25 {
			t.Errorf("%s: %d alerts: the streams test little", r.ID, found[r.ID])
		}
	}
}

// formModel keeps everything and looks at all of it each time.
type formModel struct {
	rule   *rules.Rule
	groups map[string]*modelGroup
	said   map[string]int64
	used   map[string][]modelUse // rare: by peers
}

type modelUse struct {
	at            int64
	entity, value string
}

type modelGroup struct {
	first int64
	times []int64
	seen  map[string]int64
	runs  []*modelRun
	heads []modelHead
}

type modelHead struct {
	at   int64
	kept string
}

type modelRun struct {
	start int64
	step  int
	n     int
	kept  map[int]string
}

func newFormModel(r *rules.Rule) *formModel {
	return &formModel{rule: r, groups: map[string]*modelGroup{}, said: map[string]int64{}, used: map[string][]modelUse{}}
}

func (m *formModel) group(name string, at int64) *modelGroup {
	g := m.groups[name]
	if g == nil {
		g = &modelGroup{first: at, seen: map[string]int64{}}
		m.groups[name] = g
	}
	return g
}

// pass says what is due before a time.
func (m *formModel) pass(now int64, say func(string, int64)) {
	for name, g := range m.groups {
		switch m.rule.Form {
		case rules.FormAbsence:
			if n := len(g.times); n > 0 && g.times[n-1]+int64(m.rule.Absence.Span) < now {
				if n >= m.rule.Absence.After {
					say(name, g.times[n-1]+int64(m.rule.Absence.Span))
				}
				g.times = nil
			}
		case rules.FormSequence:
			g.runs = slices.DeleteFunc(g.runs, func(r *modelRun) bool {
				due := r.start + int64(m.rule.Sequence.Span)
				if r.step == m.required() && due < now {
					say(name, due)
				}
				return due < now
			})
		}
	}
}

func (m *formModel) required() int {
	return len(slices.DeleteFunc(slices.Clone(m.rule.Sequence.Steps), func(s rules.Step) bool { return s.Absent }))
}

func (m *formModel) add(name string, at int64, args []rules.Arg, say func(string, int64)) {
	g := m.group(name, at)
	switch m.rule.Form {
	case rules.FormAbsence:
		g.times = append(g.times, at)
	case rules.FormFirstSeen:
		f, v := m.rule.FirstSeen, args[0].Text
		if last, ok := g.seen[v]; (!ok || at-last > int64(f.Forget)) && at-g.first >= int64(f.Learn) {
			say(name, at)
		}
		g.seen[v] = at
	case rules.FormRare:
		m.rare(name, at, args, say)
	case rules.FormSequence:
		m.sequence(name, g, at, args, say)
	default:
		s, v := m.rule.Seen[0], args[0].Text
		last, ok := g.seen[v]
		if (ok && at-last <= int64(s.Within)) != s.Not {
			say(name, at)
		}
		g.seen[v] = at
	}
}

func (m *formModel) rare(name string, at int64, args []rules.Arg, say func(string, int64)) {
	f, peers := m.rule.Rare, args[1].Text
	m.used[peers] = append(m.used[peers], modelUse{at, name, args[0].Text})
	width := int64(f.Span) / rareSlices
	all, with := map[string]bool{}, map[string]bool{}
	for _, u := range m.used[peers] {
		if u.at/width > at/width-rareSlices {
			all[u.entity] = true
			if u.value == args[0].Text {
				with[u.entity] = true
			}
		}
	}
	last, spoke := m.said[name]
	if len(all) >= f.Least && float64(len(with))/float64(len(all)) < f.Share && (!spoke || at-last >= int64(m.rule.Suppress)) {
		m.said[name] = at
		say(name, at)
	}
}

// sequence follows every attempt there can be.
func (m *formModel) sequence(name string, g *modelGroup, at int64, args []rules.Arg, say func(string, int64)) {
	var steps []*rules.Step
	absent := map[int][]*rules.Step{} // by the required step before which they stand
	for i := range m.rule.Sequence.Steps {
		if s := &m.rule.Sequence.Steps[i]; s.Absent {
			absent[len(steps)] = append(absent[len(steps)], s)
		} else {
			steps = append(steps, s)
		}
	}
	is := func(s *rules.Step, kept map[int]string) bool {
		ok := args[s.Arg].In
		for _, c := range s.Compare {
			ok = ok && (args[c.Arg].Text == kept[c.Slot]) != c.Not
		}
		for _, k := range s.Keep {
			ok = ok && args[k.Arg].In
		}
		return ok
	}
	complete := false
	var left []*modelRun
	for _, r := range g.runs {
		killed := slices.ContainsFunc(absent[r.step], func(s *rules.Step) bool { return is(s, r.kept) })
		if r.step < len(steps) && is(steps[r.step], r.kept) {
			s := steps[r.step]
			killed = false
			for _, k := range s.Keep {
				r.kept[k.Slot] = args[k.Arg].Text
			}
			if r.n++; r.n == s.Count {
				r.step, r.n = r.step+1, 0
			}
		}
		done := r.step == len(steps) && len(absent[r.step]) == 0
		complete = complete || done
		if !killed && !done {
			left = append(left, r)
		}
	}
	g.runs = left
	if complete {
		say(name, at)
	}
	if first := steps[0]; is(first, nil) {
		kept := map[int]string{}
		for _, k := range first.Keep {
			kept[k.Slot] = args[k.Arg].Text
		}
		g.heads = append(g.heads, modelHead{at, fmt.Sprint(kept)})
		n, start := 0, int64(0)
		for _, h := range slices.Backward(g.heads) {
			if h.kept == fmt.Sprint(kept) && at-h.at <= int64(m.rule.Sequence.Span) && n < first.Count {
				n, start = n+1, h.at
			}
		}
		if n == first.Count {
			g.runs = append(g.runs, &modelRun{start: start, step: 1, kept: kept})
		}
	}
	m.unite(g, len(steps))
}

// unite leaves one, the earliest, of the attempts that wait for the end of the span with the same values. Which attempt comes to
// wait makes a difference there, so that of those that stand at the same place the latest goes on.
func (m *formModel) unite(g *modelGroup, steps int) {
	if !m.rule.Timed() {
		return
	}
	latest := map[string]int64{}
	place := func(r *modelRun) string { return fmt.Sprint(r.step, r.n, r.kept) }
	for _, r := range g.runs {
		latest[place(r)] = max(latest[place(r)], r.start)
	}
	g.runs = slices.DeleteFunc(g.runs, func(r *modelRun) bool { return r.step < steps && r.start < latest[place(r)] })
	waiting := map[string]int64{}
	for _, r := range g.runs {
		if k := fmt.Sprint(r.kept); r.step == steps && (waiting[k] == 0 || r.start < waiting[k]) {
			waiting[k] = r.start
		}
	}
	once := map[string]bool{}
	g.runs = slices.DeleteFunc(g.runs, func(r *modelRun) bool {
		k := fmt.Sprint(r.kept)
		if r.step != steps {
			return false
		}
		gone := r.start != waiting[k] || once[k]
		once[k] = once[k] || !gone
		return gone
	})
}
