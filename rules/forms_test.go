package rules

import (
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/warder/warder/internal/event"
)

const sequenceRule = `
id: guessed
title: t
group_by: [source.address]
sequence:
  span: 10m
  steps:
    - name: failures
      filter: auth.outcome == "failure"
      count: 3
      keep: {id: principal.id, code: response.code}
    - {name: reset, filter: request.path == "/reset", absent: true}
    - name: success
      filter: |
        (auth.outcome == "success" || auth.outcome == "anonymous") // any of them
        && principal.id == failures.id && !(failures.code == response.code)
`

// TestFormFaults: what is wrong with a form is refused when it is loaded, with its place.
func TestFormFaults(t *testing.T) {
	steps := func(s string) string {
		return "id: r\ntitle: t\nsequence:\n  span: 10m\n  steps:\n    - {name: a, filter: 'true', keep: {id: principal.id, code: response.code}}\n" + s
	}
	plain := func(s string) string { return "id: r\ntitle: t\nfilter: \"true\"\n" + s }
	for name, c := range map[string]struct{ text, want string }{
		"or of a kept value": {steps("    - {name: b, filter: principal.id == a.id || response.code == 200}\n"),
			`rule "r": sequence.b.filter: a kept value can only be compared`},
		"function of a kept value": {steps("    - {name: b, filter: 'response.code == 200 && principal.id.startsWith(a.id)'}\n"), "r.yaml:7:"},
		"order of a kept value":    {steps("    - {name: b, filter: response.code > a.code}\n"), "can only be compared"},
		"two kept values":          {steps("    - {name: b, filter: a.id == a.id}\n"), "can only be compared"},
		"wrong type":               {steps("    - {name: b, filter: response.code == a.id}\n"), "wrong type"},
		"unknown kept value":       {steps("    - {name: b, filter: principal.id == a.ids}\n"), "did you mean `a.id`?"},
		"value of a later step":    {steps("    - {name: b, filter: principal.id == c.id}\n    - {name: c, filter: 'true', keep: {id: principal.id}}\n"), "c.id"},
		"step called as a field":   {steps("    - {name: request, filter: 'true'}\n"), "a word of the language"},
		"step twice":               {steps("    - {name: a, filter: 'true'}\n"), "a is there twice"},
		"one step":                 {steps(""), "has 1 steps, want 2 to 8"},
		"count of an absent step":  {steps("    - {name: b, filter: 'true', absent: true, count: 2}\n"), "absent has no count"},
		"wide count":               {steps("    - {name: b, filter: 'true', count: 1000}\n"), "want 1 to 100"},
		"kept duration":            {steps("    - {name: b, filter: 'true', keep: {d: request.duration}}\n"), "must be a string or an int"},
		"unknown key of a step":    {steps("    - {name: b, filter: 'true', cont: 2}\n"), "did you mean `count`?"},
		"first step absent": {"id: r\ntitle: t\nsequence:\n  span: 1m\n  steps:\n    - {name: a, filter: 'true', absent: true}\n    - {name: b, filter: 'true'}\n",
			"cannot be absent"},
		"filter beside steps":     {steps("    - {name: b, filter: 'true'}\nfilter: 'true'\n"), "has no filter of its own"},
		"no span":                 {"id: r\ntitle: t\nsequence: {steps: [{name: a, filter: 'true'}, {name: b, filter: 'true'}]}\n", "sequence.span: is missing"},
		"two forms":               {plain("absence: {span: 1m}\nfirst_seen: {value: request.path}\n"), "one form, this one has absence and first_seen"},
		"condition":               {plain("absence: {span: 1m}\ncondition: n > 1\n"), "reads aggregates"},
		"long absence":            {plain("absence: {span: 90d}\n"), "want 1s to 168h"},
		"value missing":           {plain("first_seen: {learn: 1d}\n"), "first_seen.value: is missing"},
		"forgets while it learns": {plain("first_seen: {value: request.path, learn: 10d, forget: 5d}\n"), "longer than learn"},
		"list value":              {plain("first_seen: {value: waf.rules}\n"), "must be a string, an int or a bool"},
		"rare without group":      {plain("rare: {value: api.route}\n"), "needs group_by"},
		"rare share":              {plain("group_by: [principal.id]\nrare: {value: api.route, share: 1}\n"), "between 0 and 1"},
		"rare peers":              {plain("group_by: [principal.id]\nrare: {value: api.route, peers: [api.nam]}\n"), "did you mean `api.name`?"},
		"seenBefore in or":        {"id: r\ntitle: t\nfilter: request.path == \"/\" || seenBefore(request.path)\n", "r.yaml:3:32: rule \"r\": filter: seenBefore() can only be"},
		"seenBefore in itself":    {"id: r\ntitle: t\n" + `filter: "seenBefore(seenBefore(request.path) ? 'a' : 'b')"` + "\n", "can only be"},
		"seenBefore in aggregate": {plain("window: {size: 1m}\naggregates: {n: count(seenBefore(request.path))}\ncondition: n > 1\n"), "seenBefore() can only be"},
		"seenBefore in a step":    {steps("    - {name: b, filter: seenBefore(request.path)}\n"), "seenBefore() can only be"},
		"seenBefore of what":      {"id: r\ntitle: t\nfilter: seenBefore(waf.rules)\n", "wrong type"},
		"seenBefore how long":     {"id: r\ntitle: t\nfilter: seenBefore(request.path, request.duration)\n", "write the duration out"},
		"seenBefore too long":     {"id: r\ntitle: t\nfilter: seenBefore(request.path, duration(\"99999h\"))\n", "write the duration out"},
		"rare and seenBefore":     {"id: r\ntitle: t\nfilter: seenBefore(request.path)\ngroup_by: [principal.id]\nrare: {value: api.route}\n", "use one of them"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(fstest.MapFS{"r.yaml": {Data: []byte(c.text)}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
}

func formSet(t *testing.T, text string) *Set {
	t.Helper()
	set, err := Load(fstest.MapFS{"r.yaml": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestSequenceArgs: Match hands over what the detector needs, in a copy of the Set as well.
func TestSequenceArgs(t *testing.T) {
	set := formSet(t, sequenceRule)
	for _, s := range []*Set{set, set.Only(func(*Rule) bool { return true })} {
		steps := s.Rules()[0].Sequence.Steps
		e := &event.Event{}
		e.Source.Address = netip.MustParseAddr("192.0.2.1")
		e.Auth.Outcome, e.Principal.ID, e.Response.Code, e.Request.Path = "success", "ann", 200, "/reset"
		m := s.Match(e, nil)
		if len(m) != 1 || len(m[0].Args) != s.Rules()[0].FormArgs() {
			t.Fatalf("%+v", m)
		}
		args := m[0].Args
		var got []Arg
		for _, i := range []int{steps[0].Arg, steps[0].Keep[0].Arg, steps[1].Arg, steps[2].Arg, steps[2].Compare[0].Arg, steps[2].Compare[1].Arg} {
			got = append(got, args[i])
		}
		want := []Arg{{}, {}, {In: true}, {In: true}, {In: true, Text: "ann"}, {In: true, Text: "200"}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		if c := steps[2].Compare; c[0].Not || !c[1].Not || c[0].Slot == c[1].Slot {
			t.Errorf("comparisons: %+v", c)
		}
		e.Auth.Outcome, e.Request.Path = "denied", "/"
		if m := s.Match(e, nil); len(m) != 0 {
			t.Errorf("an event that is no step matched: %+v", m)
		}
	}
}

// TestFormVersions: what decides detection changes the version, layout does not.
func TestFormVersions(t *testing.T) {
	version := func(text string) string { return formSet(t, text).Rules()[0].Version }
	base := version(sequenceRule)
	if v := version(strings.ReplaceAll(sequenceRule, "// any of them\n", "\n")); v != base {
		t.Error("a comment changed the version")
	}
	seen := map[string]string{base: "base"}
	for _, change := range [][2]string{{"span: 10m", "span: 9m"}, {"count: 3", "count: 4"}, {"id: principal.id,", "id: principal.tenant,"},
		{`"/reset", absent: true`, `"/reset"`}, {"principal.id == failures.id", "principal.id != failures.id"},
		{"principal.id == failures.id", "principal.tenant == failures.id"}, {`"anonymous"`, `"failure"`}} {
		v := version(strings.Replace(sequenceRule, change[0], change[1], 1))
		if other, ok := seen[v]; ok {
			t.Errorf("%q has the version of %q", change[1], other)
		}
		seen[v] = change[1]
	}
	for _, form := range []string{"absence: {span: 1m}", "absence: {span: 2m}", "absence: {span: 1m, after: 2}", "first_seen: {value: request.path}",
		"first_seen: {value: request.host}", "first_seen: {value: request.path, learn: 1d}", "first_seen: {value: request.path, forget: 30d}",
		"rare: {value: request.path}", "rare: {value: request.path, peers: [api.name]}", "rare: {value: request.path, share: 0.02}",
		"rare: {value: request.path, least: 10}", "rare: {value: request.path, span: 1h}", "severity: low"} {
		v := version("id: guessed\ntitle: t\nfilter: \"true\"\ngroup_by: [source.address]\n" + form + "\n")
		if other, ok := seen[v]; ok {
			t.Errorf("%q has the version of %q", form, other)
		}
		seen[v] = form
	}
	for _, call := range []string{"seenBefore(request.path)", "!seenBefore(request.path)", `seenBefore(request.path, duration("1h"))`, "seenBefore(request.host)"} {
		v := version("id: guessed\ntitle: t\nfilter: \"" + strings.ReplaceAll(call, `"`, `\"`) + "\"\ngroup_by: [source.address]\n")
		if other, ok := seen[v]; ok {
			t.Errorf("%q has the version of %q", call, other)
		}
		seen[v] = call
	}
}

func TestSeenBeforeIsTakenOut(t *testing.T) {
	set := formSet(t, `
id: r
title: t
filter: request.method == "POST" && (!seenBefore(decode(request.path), duration("2h")) && response.code in [200, 201]) && seenBefore(response.code)
`)
	r := set.Rules()[0]
	want := []Seen{{Of: "decode(request.path)", Within: 2 * time.Hour, Not: true}, {Of: "response.code", Within: defaultSeen}}
	if d := cmp.Diff(want, r.Seen, cmpopts.IgnoreUnexported(Seen{})); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	e := &event.Event{}
	e.Request.Method, e.Request.Path, e.Response.Code = "POST", "/%61", 201
	m := set.Match(e, nil)
	if len(m) != 1 {
		t.Fatal("the rest of the filter holds, and the event does not match")
	}
	if d := cmp.Diff([]Arg{{In: true, Text: "/a"}, {In: true, Text: "201"}}, m[0].Args); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	e.Response.Code = 404
	if m := set.Match(e, nil); len(m) != 0 {
		t.Error("the rest of the filter does not hold, and the event matches")
	}
}

// TestHeartbeatFixture: a fixture can tell that time passes.
func TestHeartbeatFixture(t *testing.T) {
	events, err := ReadFixture(strings.NewReader(`{"request.path":"/a"}
{"kind":"heartbeat","after":"10m","repeat":2,"every":"1m"}
{"kind":"request","after":"15d","request.path":"/b"}
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.Time.Sub(fixtureStart()).String()+" "+string(rune('0'+e.Seq))+" "+e.Request.Path)
	}
	if d := cmp.Diff([]string{"0s 1 /a", "10m0s 1 ", "11m0s 1 ", "360h11m0s 2 /b"}, got); d != "" || events[1].Kind != event.Heartbeat {
		t.Errorf("-want +got:\n%s", d)
	}
	for _, bad := range []string{`{"kind":"heartbeat","request.path":"/a"}`, `{"kind":"pulse"}`, `{"kind":1}`} {
		if _, err := ReadFixture(strings.NewReader(bad)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	r := &Rule{Form: FormAbsence}
	if n := len(r.withHeartbeats(events)); n != len(events)+2*quietBeats {
		t.Errorf("%d events, want heartbeats for two pauses beside the %d", n, len(events))
	}
}
