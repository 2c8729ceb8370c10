package rules_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

const measuresRule = `
id: r
title: R
filter: "true"
window: {size: 2h, type: session, gap: 5m}
aggregates:
  mean: avg(response.size)
  waited: sum(request.duration)
  quick: {func: min, of: request.duration, where: response.code == 200}
  most: max(double(response.size) / 2.0)
  tail: quantile(math.greatest(request.size, 3), 0.95)
  tail2: {func: quantile, of: request.duration, q: 0, where: response.code == 500}
  bad: ratio(response.code >= 500)
  odd: {func: ratio, of: 'request.headers["x"] == "1"', where: request.method == "GET"}
  speed: rate()
  speed2: rate(response.code == 200)
  t: top(request.path)
  status: {func: top, of: response.code, where: response.code > 0}
condition: t.share > 0.8 && t.value == "/login" && t.count >= 1 && mean > 3 && waited < 1e9 && most >= 0 && status.value != "0"
`

func TestAggregates(t *testing.T) {
	set := mustLoad(t, measuresRule)
	r := set.Rules()[0]
	if d := cmp.Diff(rules.Window{Type: rules.Session, Size: 2 * time.Hour, Gap: 5 * time.Minute}, r.Window); d != "" {
		t.Errorf("window (-want +got):\n%s", d)
	}
	want := []rules.Aggregate{
		{Name: "mean", Func: rules.Avg, Of: "response.size"}, {Name: "waited", Func: rules.Sum, Of: "request.duration"},
		{Name: "quick", Func: rules.Min, Of: "request.duration", Where: "response.code == 200"},
		{Name: "most", Func: rules.Max, Of: "double(response.size) / 2.0"},
		{Name: "tail", Func: rules.Quantile, Of: "math.greatest(request.size, 3)", Q: 0.95},
		{Name: "tail2", Func: rules.Quantile, Of: "request.duration", Where: "response.code == 500"},
		{Name: "bad", Func: rules.Ratio, Of: "response.code >= 500"},
		{Name: "odd", Func: rules.Ratio, Of: `request.headers["x"] == "1"`, Where: `request.method == "GET"`},
		{Name: "speed", Func: rules.Rate}, {Name: "speed2", Func: rules.Rate, Where: "response.code == 200"},
		{Name: "t", Func: rules.Top, Of: "request.path"}, {Name: "status", Func: rules.Top, Of: "response.code", Where: "response.code > 0"},
	}
	if d := cmp.Diff(want, r.Aggregates, cmpopts.IgnoreUnexported(rules.Aggregate{})); d != "" {
		t.Errorf("aggregates (-want +got):\n%s", d)
	}
	e := &event.Event{Request: event.RequestInfo{Method: "GET", Path: "/login", Duration: 1500 * time.Millisecond, Size: 2},
		Response: event.ResponseInfo{Code: 500, Size: 7}}
	got := set.Match(e, nil)[0].Args
	wantArgs := []rules.Arg{{In: true, Number: 7}, {In: true, Number: 1.5}, {}, {In: true, Number: 3.5}, {In: true, Number: 3},
		{In: true, Number: 1.5}, {In: true, Number: 1}, {In: true}, {In: true}, {}, {In: true, Text: "/login"}, {In: true, Text: "500"}}
	if d := cmp.Diff(wantArgs, got); d != "" {
		t.Errorf("arguments (-want +got):\n%s", d)
	}
}

// TestAggregateVersion: what an aggregate and a window do is part of the rule's version.
func TestAggregateVersion(t *testing.T) {
	seen := map[string]string{}
	for _, change := range []string{"", "0.95=0.96", "gap: 5m=gap: 6m", "size: 2h=size: 3h", "bad: ratio=bad: top", "min,=max,", "q: 0,=q: 0.5,"} {
		from, to, _ := strings.Cut(change, "=")
		v := mustLoad(t, strings.Replace(measuresRule, from, to, 1)).Rules()[0].Version
		if other, ok := seen[v]; ok {
			t.Errorf("%q and %q have one version", other, change)
		}
		seen[v] = change
	}
}

// TestSessionDefaults: a session lasts at most an hour unless the rule says more.
func TestSessionDefaults(t *testing.T) {
	r := mustLoad(t, "id: a\ntitle: A\nfilter: \"true\"\nwindow: {type: session, gap: 30s}\naggregates: {n: count()}\ncondition: n > 2\n").Rules()[0]
	if d := cmp.Diff(rules.Window{Type: rules.Session, Size: time.Hour, Gap: 30 * time.Second}, r.Window); d != "" {
		t.Errorf("window (-want +got):\n%s", d)
	}
}

// TestExpectedTexts: tests of rules compare a top's parts, and say what differs.
func TestExpectedTexts(t *testing.T) {
	const rule = `
id: r
title: R
filter: "true"
group_by: [source.address]
window: {size: 1m}
aggregates: {t: top(request.path), slow: avg(request.duration)}
condition: t.count >= 3
tests:
  - name: as expected
    events: &three [{source.address: 192.0.2.1, request.path: /a}, {source.address: 192.0.2.1, request.path: /b, request.duration: 1s},
      {source.address: 192.0.2.1, request.path: /a}, {source.address: 192.0.2.1, request.path: /a}]
    expect: [{group: [192.0.2.1], values: {t.value: /a, t.count: 3, t.share: 0.75, slow: 0.25}}]
  - name: another text
    events: *three
    expect: [{group: [192.0.2.1], values: {t.value: /b}}]
`
	fsys := fstest.MapFS{"r.yaml": {Data: []byte(rule)}}
	set, err := rules.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, res := range rules.RunTests(set, fsys, func(r *rules.Rule, events []*event.Event) ([]*alert.Alert, error) {
		s := detector.NewShard(set, detector.DefaultConfig())
		var out []*alert.Alert
		for _, e := range events {
			out = s.Process(e, out)
		}
		return out, nil
	}) {
		got = append(got, res.String())
	}
	want := []string{"pass", `missing: alert for ["192.0.2.1"] t.value="/b"; not expected: alert for ["192.0.2.1"] slow=0.25 t.count=3 t.share=0.75 t.value="/a"`}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("results (-want +got):\n%s", d)
	}
}

// BenchmarkHoldsKinds is a condition over each kind of value, decided natively.
func BenchmarkHoldsKinds(b *testing.B) {
	for _, c := range []struct{ name, condition string }{
		{"count", "n >= 100"}, {"double", "r > 0.5 && n >= 1"}, {"top", `t.share > 0.8 && t.value == "/login"`}, {"arithmetic", "n * 5 > n + 3"},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := mustLoad(b, "id: a\ntitle: A\nfilter: \"true\"\nwindow: {size: 1m}\naggregates: {n: count(), r: ratio(response.code == 500), "+
				"t: top(request.path)}\ncondition: "+c.condition+"\n").Rules()[0]
			values := []rules.Value{{Number: 7}, {Number: 0.6}, {Text: "/login", Number: 7, Share: 1}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Holds(values); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
