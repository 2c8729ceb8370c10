package rules_test

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

const windowRule = `
id: r
title: R
filter: response.code >= 400
group_by: [source.address, response.code]
window: {size: 60s}
aggregates:
  n: count()
  missing: count(response.code == 404)
  size: sum(request.size)
  seconds: sum(double(request.size) / 2.0)
  users: distinct(principal.id)
  first: distinct(request.path.split("/")[1])
  agents: {func: distinct, of: 'request.headers["x-agent"]', where: request.method == "GET"}
condition: n >= 2 && missing * 2 >= n && seconds > 1.5
`

func TestMatch(t *testing.T) {
	set := mustLoad(t, windowRule)
	e := &event.Event{Request: event.RequestInfo{Method: "GET", Path: "/a/b", Size: 7}, Response: event.ResponseInfo{Code: 404},
		Source: event.Source{Address: netip.MustParseAddr("::ffff:203.0.113.9")}}
	got := set.Match(e, nil)
	want := []rules.Match{{Group: []string{"203.0.113.9", "404"}, Args: []rules.Arg{
		{In: true}, {In: true}, {In: true, Number: 7}, {In: true, Number: 3.5}, {}, {In: true, Text: "a"}, {}}}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(rules.Match{}, "Rule")); diff != "" {
		t.Errorf("match (-want +got):\n%s", diff)
	}
	if n := set.Rules()[0].Errors(); n != 1 {
		t.Errorf("%d errors counted, want 1 for the missing header", n)
	}
	for name, change := range map[string]func(*event.Event){
		"filter":     func(e *event.Event) { e.Response.Code = 200 },
		"no address": func(e *event.Event) { e.Source.Address = netip.Addr{} },
		"refused":    func(e *event.Event) { e.Enforced.Action = "block" },
		"heartbeat":  func(e *event.Event) { e.Kind = event.Heartbeat },
	} {
		c := *e
		change(&c)
		if got := set.Match(&c, nil); len(got) != 0 {
			t.Errorf("%s: matches %v", name, got)
		}
	}
	refused := *e
	refused.Enforced.Action = "limit"
	if got := mustLoad(t, windowRule+"include_enforced: true\n").Match(&refused, nil); len(got) != 1 {
		t.Error("include_enforced: no match")
	}
	refused.Enforced.Action = "observe:block"
	if got := set.Match(&refused, nil); len(got) != 1 {
		t.Error("an observed event does not match")
	}
}

// numbers are aggregates that are numbers.
func numbers(v ...float64) []rules.Value {
	out := make([]rules.Value, len(v))
	for i := range v {
		out[i].Number = v[i]
	}
	return out
}

func TestHolds(t *testing.T) {
	r := mustLoad(t, windowRule).Rules()[0]
	cases := []struct {
		values []float64
		want   bool
	}{
		{[]float64{2, 1, 0, 2, 0, 0, 0}, true}, {[]float64{1, 1, 0, 2, 0, 0, 0}, false},
		{[]float64{3, 1, 0, 2, 0, 0, 0}, false}, {[]float64{2, 1, 0, 1.5, 0, 0, 0}, false},
	}
	for _, c := range cases {
		if got, err := r.Holds(numbers(c.values...)); err != nil || got != c.want {
			t.Errorf("Holds(%v) = %t, %v, want %t", c.values, got, err, c.want)
		}
	}
	if _, err := r.Holds(numbers(1)); err == nil {
		t.Error("too few values: no error")
	}
	single := mustLoad(t, "id: a\ntitle: A\nfilter: \"true\"\n").Rules()[0]
	if ok, err := single.Holds(nil); !ok || err != nil {
		t.Errorf("no condition: %t, %v", ok, err)
	}
	ratio := mustLoad(t, "id: a\ntitle: A\nfilter: \"true\"\nwindow: {size: 1m}\naggregates:\n  n: count()\n  m: count()\ncondition: n / m > 1\n").Rules()[0]
	if ok, err := ratio.Holds(numbers(5, 0)); ok || err == nil || ratio.Errors() != 1 {
		t.Errorf("division by zero: %t, %v, %d errors", ok, err, ratio.Errors())
	}
}

// TestMatchConcurrently is for the race detector: one Set, many goroutines, each with its own events.
func TestMatchConcurrently(t *testing.T) {
	set, err := rules.Load(rules.Packs())
	if err != nil {
		t.Fatal(err)
	}
	events := traffic(200)
	want := 0
	for _, e := range events {
		want += len(set.Match(e, nil))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			got := 0
			for _, e := range events {
				got += len(set.Match(e, nil))
			}
			if got != want {
				t.Errorf("%d matches, want %d", got, want)
			}
		})
	}
	wg.Wait()
}

// BenchmarkMatchPacks matches ordinary traffic with all shipped rules, and with those that look at one event.
func BenchmarkMatchPacks(b *testing.B) {
	set, err := rules.Load(rules.Packs())
	if err != nil {
		b.Fatal(err)
	}
	events := traffic(2000)
	for name, s := range map[string]*rules.Set{
		"all":    set,
		"single": set.Only(func(r *rules.Rule) bool { return r.Window.Type == rules.None }),
		"window": set.Only(func(r *rules.Rule) bool { return r.Window.Type != rules.None }),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var dst []rules.Match
			for i := 0; b.Loop(); i++ {
				dst = s.Match(events[i%len(events)], dst[:0])
			}
		})
	}
}

func BenchmarkHolds(b *testing.B) {
	r := mustLoad(b, windowRule).Rules()[0]
	values := numbers(1, 1, 0, 2, 0, 0, 0)
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := r.Holds(values); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
