package sigma_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/warder/warder/rules"
	"github.com/warder/warder/rules/sigma"
)

// Whatever the file says, nothing panics, every rule has an outcome, and what is converted loads.
func FuzzConvert(f *testing.F) {
	names, err := filepath.Glob("testdata/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range names {
		text, err := os.ReadFile(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, text := range []string{"", "- x", "a: &a [*a]", "title: x\nlogsource: {category: proxy}\ndetection: {s: {c-uri|re: '(?=a)'}, condition: s}",
		"title: x\nlogsource: {category: proxy}\ndetection: {s: {c-uri|windash|contains: ' -a -b /c '}, condition: 2 of (s}",
		"title: x\ncorrelation: {type: temporal, rules: [x], timespan: 1m}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := sigma.Convert(sigma.Options{License: "MIT"}, sigma.File{Name: "fuzz.yml", Text: []byte(text)})
		if len(r.Outcomes) == 0 {
			t.Fatal("no outcome")
		}
		for _, o := range r.Outcomes {
			if !o.Converted && o.Reason == "" {
				t.Fatalf("refused without a reason: %+v", o)
			}
		}
		if len(r.Rules) == 0 {
			return
		}
		set, err := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte(r.String())}})
		if err != nil {
			t.Fatalf("%v\n%s", err, r)
		}
		if len(set.Rules()) != len(r.Rules) {
			t.Fatalf("%d rules were written, %d read\n%s", len(r.Rules), len(set.Rules()), r)
		}
	})
}
