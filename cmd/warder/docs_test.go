package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/spf13/cobra"

	"github.com/warder/warder/detector/trial"
	"github.com/warder/warder/rules"
)

// frame completes an example that is a part of a rule.
const frame = "id: part\ntitle: Part of a rule\ngroup_by: [source.address]\n"

type exampleKind struct {
	begins string
	file   func(block string) string
}

// exampleKinds says what an indented block of docs/rules.md is, by how it begins, and makes a rule file of it.
var exampleKinds = []exampleKind{
	{"id: ", func(b string) string { return b }},
	{"kind: ", func(b string) string { return b }},
	{"aggregates:", func(b string) string { return frame + "filter: \"true\"\nwindow: {size: 1m}\n" + b }},
	{"d: {func", func(b string) string {
		return frame + "filter: \"true\"\nwindow: {size: 1m}\ncondition: d > 1 && r > 0.5 && q > 1.5\naggregates:\n" + indent(b)
	}},
	{"    - {name: ", func(b string) string { return frame + "sequence:\n  span: 10m\n  steps:\n" + b }},
	{"decode(", func(b string) string {
		var out []string
		for line := range strings.Lines(b) {
			out = append(out, conditionFile(strings.TrimSpace(line)))
		}
		return strings.Join(out, "---\n")
	}},
}

// Every rule that docs/rules.md shows loads, and passes the tests that it shows.
func TestRuleExamples(t *testing.T) {
	fsys := fstest.MapFS{
		"rules/agents.txt":              {Data: []byte("curl/7.0 # old\n")},
		"rules/fixtures/stuffing.jsonl": {Data: []byte(`{"repeat":20,"request.method":"POST","api.route":"/login","response.code":401,"source.address":"203.0.113.9","principal.id":"u{i}"}`)},
		"rules/fixtures/nat.jsonl":      {Data: []byte(`{"repeat":20,"request.method":"POST","api.route":"/login","response.code":401,"source.address":"203.0.113.9","principal.id":"u"}`)},
	}
	add := func(name, file string) {
		fsys["rules/"+name+".yaml"] = &fstest.MapFile{Data: []byte(numbered(file, name))}
	}
	for n, block := range examples(read(t, "../../docs/rules.md")) {
		switch {
		case strings.HasPrefix(block, "# comments are allowed"):
			if events, err := rules.ReadFixture(strings.NewReader(block)); err != nil || len(events) != 26 {
				t.Errorf("the fixture has %d events: %v", len(events), err)
			}
			continue
		case strings.HasPrefix(block, "rules/mine.yaml:"):
			continue // TestErrorExample
		}
		i := slices.IndexFunc(exampleKinds, func(k exampleKind) bool { return strings.HasPrefix(block, k.begins) })
		if i < 0 {
			t.Errorf("an example that this test cannot place:\n%s", block)
			continue
		}
		add(fmt.Sprintf("example-%d", n), exampleKinds[i].file(block))
	}
	for i, cell := range functionExamples(t) {
		add(fmt.Sprintf("function-%d", i), conditionFile(cell))
	}
	set, err := rules.Load(fsys, "rules")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(set.Rules()); n < 20 {
		t.Errorf("only %d examples were found", n)
	}
	results, err := trial.Tests(t.Context(), set, fsys, trial.Options{Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.Passed() {
			t.Errorf("%s: %s: %s", r.Rule.ID, r.Test, r.String())
		}
	}
}

// The error that docs/rules.md begins with is the one that the loader returns.
func TestErrorExample(t *testing.T) {
	_, err := rules.Load(fstest.MapFS{"rules/mine.yaml": {Data: []byte(
		"id: missing-pages\ntitle: Missing pages\nseverity: low\nfilter: response.cod == 404 && request.method == \"GET\"\n")}}, "rules")
	want := examples(read(t, "../../docs/rules.md"))[0]
	if err == nil || strings.TrimSpace(err.Error()) != strings.TrimSpace(want) {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// examples returns the indented blocks of a Markdown text, without the indentation.
func examples(text string) []string {
	var out []string
	for _, part := range strings.Split(text, "\n\n") {
		if strings.HasPrefix(strings.TrimLeft(part, "\n"), "    ") {
			part = strings.ReplaceAll("\n"+strings.Trim(part, "\n"), "\n    ", "\n")
			out = append(out, part[1:]+"\n")
		}
	}
	return out
}

// functionExamples returns the last column of the table of functions.
func functionExamples(t *testing.T) []string {
	t.Helper()
	_, table, ok := strings.Cut(read(t, "../../docs/rules.md"), "| Example, which holds |\n")
	if !ok {
		t.Fatal("no table of functions")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var out []string
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if cell := strings.Trim(strings.TrimSuffix(cells[len(cells)-1], " |"), "`"); !strings.HasPrefix(line, "| ---") {
			out = append(out, cell)
		}
	}
	if len(out) < 5 {
		t.Fatalf("%d functions", len(out))
	}
	return out
}

// conditionFile is a rule with the expression as its filter.
func conditionFile(expr string) string { return frame + "filter: |\n  " + expr + "\n" }

// numbered gives each rule that is made of a part an id of its own.
func numbered(file, name string) string {
	parts := strings.Split(file, "id: part\n")
	for i := 1; i < len(parts); i++ {
		parts[i] = fmt.Sprintf("id: %s-%d\n%s", name, i, parts[i])
	}
	return strings.Join(parts, "")
}

func indent(block string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(block, "\n"), "\n", "\n  ") + "\n"
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	noSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Every link between the documents leads to a file that is there, and to a heading of it.
func TestLinks(t *testing.T) {
	const root = "../.."
	files := []string{"README.md", "CHANGELOG.md"}
	for _, dir := range []string{"docs", "rules", "testdata"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(name string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(name, ".md") && !strings.Contains(filepath.ToSlash(name), "rules/pages/") {
				rel, _ := filepath.Rel(root, name)
				files = append(files, filepath.ToSlash(rel))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		for _, m := range link.FindAllStringSubmatch(read(t, filepath.Join(root, file)), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			name, anchor, _ := strings.Cut(m[1], "#")
			target := file
			if name != "" {
				target = path.Join(path.Dir(file), name)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %s leads nowhere", file, m[1])
			} else if anchor != "" && !slices.Contains(slugs(read(t, filepath.Join(root, target))), anchor) {
				t.Errorf("%s: %s: no such heading", file, m[1])
			}
		}
	}
}

// slugs are the anchors that GitHub gives to the headings of a text.
func slugs(text string) []string {
	var out []string
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		out = append(out, strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return out
}

// The help of every command fits a terminal of 80 columns.
func TestHelpFits(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		var out bytes.Buffer
		if code := run(args, streams{nil, &out, &out}); code != exitOK {
			t.Errorf("%v: exit %d", args, code)
		}
		for line := range strings.Lines(out.String()) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
				t.Errorf("%v: %d columns: %s", args, n, line)
			}
		}
		for _, sub := range c.Commands() {
			if sub.Name() != "completion" && sub.Name() != "help" {
				visit(sub)
			}
		}
	}
	visit(newRoot(streams{nil, new(bytes.Buffer), new(bytes.Buffer)}))
}
