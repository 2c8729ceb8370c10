package rules_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/rules"
)

var update = flag.Bool("update", false, "rewrite golden files")

// mustLoad loads one file that is in order.
func mustLoad(t testing.TB, text string) *rules.Set {
	t.Helper()
	set, err := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestLoadErrors compares the messages for faulty rules with golden files: testdata/errors/NAME.yaml and NAME.golden.
func TestLoadErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".yaml"), func(t *testing.T) {
			_, err := rules.Load(os.DirFS(filepath.Dir(f)), filepath.Base(f))
			if err == nil {
				t.Fatal("no error")
			}
			var e *rules.Error
			if !errors.As(err, &e) {
				t.Errorf("error is a %T, want *rules.Error", err)
			}
			golden := strings.TrimSuffix(f, ".yaml") + ".golden"
			got := err.Error() + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	set := mustLoad(t, `
id: login-stuffing
title: Credential stuffing
severity: high
tags: [owasp.api2]
filter: request.method == "POST" && response.code in [401, 403]
group_by: [source.address, principal.tenant]
window: {size: 60s, type: tumbling}
aggregates:
  failures: count()
  denied: count(response.code == 403)
  sent: sum(request.size)
  users: {func: distinct, of: principal.id, where: response.code == 401}
condition: failures >= 20 && users >= 10 && sent > 5 || denied > 3
suppress: 10m
mode: canary 10%
respond:
  - block: {scope: source.address, ttl: 15m}
  - limit: {scope: source.address, rate: 100/m, ttl: 1d}
include_enforced: true
`)
	want := &rules.Rule{
		ID: "login-stuffing", Title: "Credential stuffing", Severity: alert.High, Tags: []string{"owasp.api2"},
		GroupBy: []string{"source.address", "principal.tenant"},
		Window:  rules.Window{Type: rules.Tumbling, Size: time.Minute},
		Aggregates: []rules.Aggregate{
			{Name: "failures", Func: rules.Count}, {Name: "denied", Func: rules.Count, Where: "response.code == 403"},
			{Name: "sent", Func: rules.Sum, Of: "request.size"},
			{Name: "users", Func: rules.Distinct, Of: "principal.id", Where: "response.code == 401"},
		},
		Suppress: 10 * time.Minute, Mode: alert.Canary, Canary: 10, IncludeEnforced: true,
		Respond: []alert.Response{
			{Action: "block", Scope: "source.address", TTL: 15 * time.Minute},
			{Action: "limit", Scope: "source.address", TTL: 24 * time.Hour, Requests: 100, Per: time.Minute, Burst: 100},
		},
		File: "r.yaml", Line: 2,
	}
	got := set.Rule("login-stuffing")
	if got == nil {
		t.Fatal("rule is missing")
	}
	ignore := cmp.Options{cmpopts.IgnoreUnexported(rules.Rule{}, rules.Aggregate{}), cmpopts.IgnoreFields(rules.Rule{}, "Version")}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("rule (-want +got):\n%s", diff)
	}
}

func TestLoadManyDocuments(t *testing.T) {
	fsys := fstest.MapFS{
		"a/x.yaml":          {Data: []byte("id: b\ntitle: B\nfilter: \"true\"\n---\nid: a\ntitle: A\nfilter: \"true\"\n---\n# nothing\n")},
		"a/y.yaml":          {Data: []byte("---\n# nothing\n---\n---\nid: y\ntitle: Y\nfilter: \"true\" # all\n---\n---\nid: z\ntitle: Z\nfilter: \"true\"\n---\n")},
		"a/fixtures/f.yaml": {Data: []byte("not a rule")},
		"a/note.txt":        {Data: []byte("not a rule")},
		"c.yml":             {Data: []byte("id: c\ntitle: C\nfilter: \"true\"\n")},
	}
	set, err := rules.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range set.Rules() {
		ids = append(ids, r.ID)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "y", "z"}, ids); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	if set, err = rules.Load(fsys, "a/x.yaml", "a"); err != nil || len(set.Rules()) != 4 {
		t.Errorf("file and folder: %v rules, %v", set, err)
	}
	if _, err = rules.Load(fsys, "missing"); err == nil || !strings.Contains(err.Error(), "missing: read rules: file does not exist") {
		t.Errorf("missing path: %v", err)
	}
	fsys["d.yaml"] = &fstest.MapFile{Data: []byte("id: c\ntitle: C\nfilter: \"true\"\n")}
	if _, err = rules.Load(fsys); err == nil || !strings.Contains(err.Error(), "is already used at c.yml:1") {
		t.Errorf("duplicate id: %v", err)
	}
}

// TestVersion checks that a version follows the meaning and nothing else.
func TestVersion(t *testing.T) {
	base := "id: a\ntitle: A\nfilter: request.method == \"GET\" && [\"a\", \"b\"].exists(x, request.path.contains(x))\nmode: shadow\n"
	version := func(text string) string { return mustLoad(t, text).Rules()[0].Version }
	want := version(base)
	same := map[string]string{
		"comment": "# comment\n" + base, "title": strings.Replace(base, "title: A", "title: B", 1),
		"mode":   strings.Replace(base, "shadow", "enforce", 1),
		"layout": "id: a\ntitle: A\nmode: shadow\nfilter: |\n  request.method=='GET' && // comment\n    ['a','b'].exists(x, request.path.contains(x))\n",
	}
	for name, text := range same {
		if got := version(text); got != want {
			t.Errorf("%s changes the version: %s, want %s", name, got, want)
		}
	}
	other := map[string]string{
		"filter": strings.Replace(base, "GET", "PUT", 1), "id": strings.Replace(base, "id: a", "id: b", 1),
		"group": base + "group_by: [source.address]\n", "suppress": base + "suppress: 1m\n", "enforced": base + "include_enforced: true\n",
	}
	for name, text := range other {
		if version(text) == want {
			t.Errorf("%s does not change the version", name)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("id: r\ntitle: t\nsequence: {span: 1m, steps: [{name: a, filter: 'true', keep: {k: request.path}}, {name: b, filter: request.path != a.k, absent: true}]}")
	f.Add("id: r\ntitle: t\nfilter: response.code == 200 && !seenBefore(request.path, duration('1h'))\nfirst_seen: {value: request.host}")
	f.Add("id: r\ntitle: t\nfilter: 'true'\ngroup_by: [principal.id]\nrare: {value: api.route, peers: [api.name]}")
	files, err := filepath.Glob("testdata/errors/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(files, "packs/volume.yaml", "packs/credentials.yaml") {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte(text)}})
		if (set == nil) == (err == nil) {
			t.Fatalf("set %v, error %v", set, err)
		}
		rules.Lint(fstest.MapFS{"r.yaml": {Data: []byte(text)}})
	})
}
