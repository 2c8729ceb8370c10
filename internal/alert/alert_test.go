package alert

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sample() *Alert {
	at := time.Date(2026, 10, 10, 13, 55, 36, 123, time.UTC)
	w := Window{Start: at.Add(-time.Minute), End: at}
	group := map[string]string{"source.address": "203.0.113.9"}
	return &Alert{
		Version: Version, ID: NewID("r", "v", group, w), Rule: "r", RuleVersion: "v", Title: "T", Severity: High, Tags: []string{"x"},
		Time: at, Window: w, Group: group, Values: map[string]float64{"failures": 20}, Events: []string{"e1"}, EventCount: 20,
		Sample: &Sample{Event: "e1", Path: "/<script>"}, Mode: Shadow, Respond: []Response{{Action: "block", Scope: "source.address", TTL: time.Minute}},
		Coverage: Coverage{Dropped: 3},
	}
}

func TestRoundTrip(t *testing.T) {
	want := sample()
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if again, _ := got.Encode(); string(again) != string(b) {
		t.Error("the encoding is not deterministic")
	}
	if string(got.Key()) != got.ID {
		t.Errorf("key %q", got.Key())
	}
}

func TestNewID(t *testing.T) {
	a := sample()
	base := NewID(a.Rule, a.RuleVersion, a.Group, a.Window)
	if len(base) != 32 || base != a.ID {
		t.Errorf("id %q", base)
	}
	later := a.Window
	later.End = later.End.Add(1)
	for name, id := range map[string]string{
		"rule":    NewID("r2", a.RuleVersion, a.Group, a.Window),
		"version": NewID(a.Rule, "v2", a.Group, a.Window),
		"group":   NewID(a.Rule, a.RuleVersion, map[string]string{"source.address": "203.0.113.8"}, a.Window),
		"window":  NewID(a.Rule, a.RuleVersion, a.Group, later),
		"border":  NewID(a.Rule+a.RuleVersion, "", a.Group, a.Window), // texts are kept apart
	} {
		if id == base {
			t.Errorf("another %s has the same id", name)
		}
	}
	elsewhere := Window{Start: a.Window.Start.In(time.FixedZone("x", 3600)), End: a.Window.End}
	if NewID(a.Rule, a.RuleVersion, a.Group, elsewhere) != base {
		t.Error("the id depends on the time zone")
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"no JSON":   {"{", "decode alert"},
		"version":   {`{"v":2,"id":"a","rule":"r","severity":"low"}`, "schema version 2"},
		"no id":     {`{"v":1,"rule":"r","severity":"low"}`, "id or rule is missing"},
		"severity":  {`{"v":1,"id":"a","rule":"r","severity":"mild"}`, `unknown severity "mild"`},
		"too large": {strings.Repeat(" ", MaxEncoded+1), "limit is"},
	} {
		if _, err := Decode([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}

func TestSeverityRank(t *testing.T) {
	if Info.Rank() != 0 || Critical.Rank() != 4 || Severity("x").Rank() != -1 {
		t.Error("severities are out of order")
	}
}

func FuzzDecode(f *testing.F) {
	b, err := sample().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"v":1,"id":"a","rule":"r","severity":"low"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Decode(b)
		if err != nil {
			return
		}
		first, err := a.Encode()
		if err != nil {
			return // a year beyond 9999, which JSON cannot hold
		}
		again, err := Decode(first)
		if err != nil {
			if len(first) > MaxEncoded {
				return // escapes made it longer
			}
			t.Fatal(err)
		}
		second, err := again.Encode()
		if err != nil || string(first) != string(second) {
			t.Fatalf("%s\n%s\n%v", first, second, err)
		}
	})
}
