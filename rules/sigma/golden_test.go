package sigma

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The samples in testdata convert as testdata says, and load.
func TestGolden(t *testing.T) {
	for _, name := range []string{"forms", "correlations"} {
		t.Run(name, func(t *testing.T) {
			r := Convert(Options{License: "MIT"}, sample(t, name))
			for _, o := range r.Outcomes {
				if !o.Converted {
					t.Errorf("%s: refused: %s", o.Title, o.Reason)
				}
			}
			golden(t, name, r.String())
		})
	}
}

// What is written for forms that another part of the program reads: the text alone is compared, loading is the loader's to test.
func TestGoldenText(t *testing.T) {
	c := &converter{ids: map[string]bool{}, used: map[*source]*source{}}
	c.read(sample(t, "newer"))
	for _, s := range c.sources {
		s.read()
	}
	var docs []string
	for _, s := range c.inOrder() {
		if err := c.correlate(s); err != nil {
			t.Fatalf("%s: %v", s.title, err)
		}
	}
	c.name()
	for _, s := range c.sources {
		if s.made != nil && c.used[s] == nil {
			docs = append(docs, s.made.yaml())
		}
	}
	golden(t, "newer", strings.Join(docs, "---\n"))
}

func sample(t *testing.T, name string) File {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".yml")
	if err != nil {
		t.Fatal(err)
	}
	return File{Name: name + ".yml", Text: text}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name + ".golden"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
}
