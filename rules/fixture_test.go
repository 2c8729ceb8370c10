package rules_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

func TestReadFixture(t *testing.T) {
	events, err := rules.ReadFixture(strings.NewReader(`# a comment
{"time":"2026-03-01T10:00:00+01:00","request.method":"GET","request.headers":{"x":"{i}"},"request.duration":"20ms","source.address":"203.0.113.9","source.port":99}

{"repeat":2,"every":"5s","after":"1m","principal.id":"user-{i}","principal.roles":["r{i}"],"response.code":401}
{"request.path":"/last"}
`))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	id := func(n uint64) event.ID { return event.NewID("fixture", n) }
	want := []*event.Event{
		{ID: id(1), Tap: "fixture", Seq: 1, Time: start, Source: event.Source{Address: netip.MustParseAddr("203.0.113.9"), Port: 99},
			Request: event.RequestInfo{Method: "GET", Headers: map[string]string{"x": "1"}, Duration: 20 * time.Millisecond}},
		{ID: id(2), Tap: "fixture", Seq: 2, Time: start.Add(time.Minute), Principal: event.Principal{ID: "user-1", Roles: []string{"r1"}}, Response: event.ResponseInfo{Code: 401}},
		{ID: id(3), Tap: "fixture", Seq: 3, Time: start.Add(65 * time.Second), Principal: event.Principal{ID: "user-2", Roles: []string{"r2"}}, Response: event.ResponseInfo{Code: 401}},
		{ID: id(4), Tap: "fixture", Seq: 4, Time: start.Add(66 * time.Second), Request: event.RequestInfo{Path: "/last"}},
	}
	if diff := cmp.Diff(want, events, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestReadFixtureErrors(t *testing.T) {
	cases := map[string]string{
		`{}` + "\n" + `{"request.pth":"/"}`:       "line 2: \"request.pth\": unknown field \"request.pth\": did you mean `request.path`?",
		`[]`:                                      "line 1: want a JSON object",
		`{"response.code":"404"}`:                 "want a whole number",
		`{"response.code":-1}`:                    "want 0 to 2147483647",
		`{"source.port":70000}`:                   "want 0 to 65535",
		`{"source.address":"nowhere"}`:            "is not an address",
		`{"request.path":5}`:                      "want a text in quotes",
		`{"principal.roles":"x"}`:                 "want a list of texts",
		`{"ext":["x"]}`:                           "want an object with texts",
		`{"repeat":0}`:                            "want 1 to 100000",
		`{"repeat":100000}` + "\n" + `{}`:         "more than 100000 events",
		`{"every":"soon"}`:                        "is not a duration",
		`{"time":"1066-10-14T09:00:00Z"}`:         "want a year from 1970 to 2200",
		`{"ext":{"` + strings.Repeat("x", 70_000): "limit is 65536",
	}
	for text, want := range cases {
		if _, err := rules.ReadFixture(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: error %v, want %s", text, err, want)
		}
	}
}

// TestRunTests checks that a test that does not hold is reported with what differs.
func TestRunTests(t *testing.T) {
	fsys := fstest.MapFS{
		"d/r.yaml": {Data: []byte(`
id: r
title: R
filter: response.code == 404
group_by: [source.address]
tests:
  - {name: holds, events: fixtures/a.jsonl, expect: [{group: ["203.0.113.{i}"], repeat: 2}]}
  - {name: missing, events: [{response.code: 200, source.address: 203.0.113.1}], expect: [{group: [203.0.113.1]}]}
  - {name: surplus, events: fixtures/a.jsonl, expect: [{group: [203.0.113.2]}]}
  - {name: no file, events: fixtures/b.jsonl, expect: []}
`)},
		"d/fixtures/a.jsonl": {Data: []byte(`{"repeat":2,"response.code":404,"source.address":"203.0.113.{i}"}`)},
	}
	set, err := rules.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	run := func(r *rules.Rule, events []*event.Event) (alerts []*alert.Alert, _ error) {
		for _, e := range events {
			for _, m := range set.Match(e, nil) {
				alerts = append(alerts, &alert.Alert{Rule: r.ID, Group: map[string]string{"source.address": m.Group[0]}})
			}
		}
		return alerts, nil
	}
	var got []string
	for _, r := range rules.RunTests(set, fsys, run) {
		got = append(got, r.Test+": "+r.String())
	}
	want := []string{
		"holds: pass", `missing: missing: alert for ["203.0.113.1"]`, `surplus: not expected: alert for ["203.0.113.1"]`,
		"no file: fixture d/fixtures/b.jsonl: file does not exist",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestLint(t *testing.T) {
	fsys := fstest.MapFS{"r.yaml": {Data: []byte(`
id: a
title: A
filter: "true"
group_by: [source.address]
respond: [{block: {scope: source.address, ttl: 1m}}]
tests: [{name: t, events: fixtures/none.jsonl, expect: []}]
---
id: b
title: B
description: D
tags: [x]
filter: enforced.action == "block"
window: {size: 10m}
suppress: 1m
aggregates:
  n: count()
  unread: count()
condition: n > 1
---
id: a
title: A
filter: nope
`)}}
	var got []string
	for _, f := range rules.Lint(fsys) {
		got = append(got, string(f.Level)+" "+f.Rule+" "+f.Check)
	}
	want := []string{
		"warning a missing-description", "warning a missing-suppress", "warning a missing-tags", "warning a missing-tests", "warning a over-broad",
		"error a fixture", "warning b missing-group", "warning b missing-tests", "warning b missing-tests", "warning b never-enforced",
		"warning b short-suppress", "warning b unused-aggregate", "error a load",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func FuzzReadFixture(f *testing.F) {
	f.Add(`{"repeat":25,"every":"1s","principal.id":"user-{i}","response.code":401}`)
	f.Add(`{"request.headers":{"a":"{i}"},"principal.roles":["x"]}`)
	f.Add("# x\n{}\n[]")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "repeat") && len(text) > 200 {
			return // many events cost time, and find nothing more
		}
		events, err := rules.ReadFixture(strings.NewReader(text))
		if err != nil && events != nil {
			t.Error("events beside an error")
		}
		for _, e := range events {
			if _, err := event.Decode(e.Append(nil)); err != nil {
				t.Errorf("event cannot be encoded: %v", err)
			}
		}
	})
}
