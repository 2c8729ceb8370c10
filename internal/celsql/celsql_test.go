package celsql_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/celsql"
	"github.com/warder/warder/rules"
)

var update = flag.Bool("update", false, "write the golden file")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func show(q *celsql.Query) string {
	var b strings.Builder
	for _, w := range q.Where {
		fmt.Fprintf(&b, "  where   %s\n", w)
	}
	for _, p := range q.Params {
		fmt.Fprintf(&b, "  param   %s = %#v\n", p.Name, p.Value)
	}
	for _, r := range q.Rest {
		fmt.Fprintf(&b, "  rest    %s: %s\n", r.Expr, r.Reason)
	}
	return b.String()
}

// TestGolden compares the translations of testdata/filters.txt, one filter a line, with testdata/filters.golden.
func TestGolden(t *testing.T) {
	in, err := os.ReadFile(filepath.Join("testdata", "filters.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for line := range strings.Lines(string(in)) {
		line = strings.TrimSpace(line)
		f, err := rules.CompileFilter(rules.Options{}, line)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s\n%s\n", line, show(celsql.Translate(f.AST(), celsql.Events(), "p")))
	}
	golden := filepath.Join("testdata", "filters.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("-want +got (go test -update writes it):\n%s", diff)
	}
}

// TestBounds checks that filters that are too large for SQL are left to Go, whole.
func TestBounds(t *testing.T) {
	nested := `response.code == 200`
	for range 12 {
		nested = "((" + nested + `) ? request.path == "a" : request.path == "b")`
	}
	for name, filter := range map[string]string{"nested": nested, "long": `request.path == "` + strings.Repeat("x", 100) + `"` + strings.Repeat(` || request.path == "y"`, 200)} {
		f, err := rules.CompileFilter(rules.Options{}, filter)
		if err != nil {
			t.Fatal(name, err)
		}
		q := celsql.Translate(f.AST(), celsql.Events(), "p")
		size := len(strings.Join(q.Where, ""))
		if size > 128<<10 || !q.Exact() && len(q.Where)+len(q.Params) > 0 {
			t.Errorf("%s: exact %v, %d bytes, %d parameters", name, q.Exact(), size, len(q.Params))
		}
	}
}

// ours is what the text of SQL is made of when all values are parameters: no other literals than the program's own.
var ours = regexp.MustCompile(`^(?:[A-Za-z0-9_.,()\[\] <>=!+*/%{}-]|: ?|'UTC'|'::'|'::ffff:0\.0\.0\.0'|'::ffff:255\.255\.255\.255'|'::1:0:0'|'::ffff'|'0000'|'0'|':'|'\?'|''|'-?[0-9]{19}'|\{p[0-9]+:(?:String|Int64|Array\(String\)|Array\(Int64\))\})*$`)

func FuzzTranslate(f *testing.F) {
	in, err := os.ReadFile(filepath.Join("testdata", "filters.txt"))
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(in)) {
		f.Add(strings.TrimSpace(line))
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := rules.CompileFilter(rules.Options{}, text)
		if err != nil {
			return
		}
		q := celsql.Translate(filter.AST(), celsql.Events(), "p")
		named := map[string]bool{}
		for _, p := range q.Params {
			named["{"+p.Name+":"] = true
		}
		for _, w := range q.Where {
			if !ours.MatchString(w) {
				t.Errorf("%s: a value may be in the text: %s", text, w)
			}
			for _, name := range regexp.MustCompile(`\{p[0-9]+:`).FindAllString(w, -1) {
				if !named[name] {
					t.Errorf("%s: no parameter %s: %s", text, name, w)
				}
			}
		}
		if len(q.Params) > 500 || len(strings.Join(q.Where, "")) > 128<<10 {
			t.Errorf("%s: %d parameters, %d bytes", text, len(q.Params), len(strings.Join(q.Where, "")))
		}
	})
}

// TestEveryFieldHasAColumn compiles a filter over each field that rules know, as the list of them in an error tells, and looks for it.
func TestEveryFieldHasAColumn(t *testing.T) {
	doc, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "\n## Fields\n")
	section, _, _ = strings.Cut(section, "\n## ")
	table := celsql.Events()
	seen := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (.*?) \|`).FindAllStringSubmatch(section, -1) {
		for _, m := range regexp.MustCompile("`([a-z]+(?:\\.[a-z_]+)?)`").FindAllStringSubmatch(row[1], -1) {
			name := m[1]
			if _, err := rules.CompileFilter(rules.Options{}, name+" == "+name); err != nil {
				continue // a value, as of auth.outcome
			}
			seen[name] = true
			if _, ok := table[name]; !ok {
				t.Errorf("field %s has no column", name)
			}
		}
	}
	for name := range table {
		if !seen[name] {
			t.Errorf("%s is no documented field", name)
		}
	}
}
