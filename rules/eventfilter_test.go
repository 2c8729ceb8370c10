package rules_test

import (
	"strings"
	"testing"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

func TestEventFilter(t *testing.T) {
	e := &event.Event{Request: event.RequestInfo{Method: "GET", Path: "/a", Headers: map[string]string{"x": "1"}}, Enforced: event.Enforced{Action: "block"}}
	for _, tc := range []struct {
		filter      string
		want, fails bool
	}{
		{`request.method == "GET"`, true, false},
		{`enforced.action == "block" && request.path.startsWith("/b")`, false, false},
		{`request.headers["x"] == "1"`, true, false},
		{`request.headers["y"] == "1"`, false, false}, // decided without CEL
		{`!(request.headers["y"] == "1")`, false, false},
		{`request.headers["y"] == "1" || request.method == "GET"`, true, false},
		{`100 / response.code > 1`, false, true},
	} {
		f, err := rules.CompileFilter(rules.Options{}, tc.filter)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a failure is told each time
			got, err := f.Match(e)
			if got != tc.want || (err != nil) != tc.fails {
				t.Errorf("%s: %v, %v", tc.filter, got, err)
			}
		}
	}
}

func TestEventFilterFaults(t *testing.T) {
	for filter, want := range map[string]string{
		"request.method == 1":               "filter:1:",
		"true &&\n  request.metod == \"a\"": "filter:2:3: unknown",
		"request.path":                      "must be true or false",
		"":                                  "is empty",
		`inList(source.address, "office")`:  "office",
	} {
		if _, err := rules.CompileFilter(rules.Options{}, filter); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", filter, err, want)
		}
	}
}
