package trial_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"strings"
	"testing"

	"github.com/warder/warder/detector/trial"
	"github.com/warder/warder/rules"
)

func TestReadEvents(t *testing.T) {
	for name, c := range map[string]struct {
		text, path string
		n          int
	}{
		"lines":   {"# a comment\n{\"request.path\":\"/a\"}\n\n{\"request.path\":\"/b\",\"repeat\":2}\n", "/a", 3},
		"spread":  {"{\n  \"request.path\":\n \"/a\"\n}", "/a", 1},
		"list":    {`[{"request.path":"/a"},{"request.path":"/b"}]`, "/a", 2},
		"store":   {`{"request_path":"/a","source_address":"203.0.113.9","response_code":404}`, "/a", 1},
		"alert":   {`{"rule":"x","rule_version":"y","time":"2026-01-01T00:00:00Z","sample":{"event":"e","path":"/a","address":"203.0.113.9"}}`, "/a", 1},
		"encoded": {`{"request.path":"/\u0000"}`, "/\x00", 1},
	} {
		events, err := trial.ReadEvents(strings.NewReader(c.text))
		if err != nil || len(events) != c.n || events[0].Request.Path != c.path {
			t.Errorf("%s: %d events, %v", name, len(events), err)
		}
	}
	for text, want := range map[string]string{
		"":                             "no event",
		"5":                            "line 1: want a JSON object",
		"{}\n\n[5]":                    "line 3: want a JSON object",
		"{}\n{\"request.pth\":\"/a\"}": "line 2:",
		"{}\n{":                        "line 2: want JSON objects",
	} {
		if _, err := trial.ReadEvents(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add(`{"request.path":"/a","repeat":3}`)
	f.Add("[{\"request_path\":\"/a\"}]\n# x\n{\"sample\":{},\"rule_version\":\"1\"}")
	f.Fuzz(func(t *testing.T, text string) {
		events, err := trial.ReadEvents(strings.NewReader(text))
		if err == nil && len(events) == 0 {
			t.Error("neither events nor an error")
		}
	})
}

func TestJUnitIsXML(t *testing.T) {
	r := &rules.Rule{ID: "a", File: "a.yaml"}
	hostile := "\x00\x1b[31m<&>\"]]>\xff\ufffe"
	results := []trial.Result{
		{TestResult: rules.TestResult{Rule: r, Test: hostile, Err: errors.New(hostile)}},
		{TestResult: rules.TestResult{Rule: r, Test: "b", Surplus: []rules.Expectation{{Group: []string{hostile}}}}, First: &trial.Difference{Event: 1, Reason: hostile}},
	}
	var b bytes.Buffer
	if err := trial.WriteJUnit(&b, results); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
	}
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil || got.Tests != 2 || got.Failures != 1 || got.Errors != 1 {
		t.Errorf("%+v, %v in\n%s", got, err, b.String())
	}
}
