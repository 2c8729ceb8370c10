package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The rule that the README shows passes its own tests and the linter.
func TestReadmeRule(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\n    id: ")
	if !ok {
		t.Fatal("the README shows no rule")
	}
	rule, _, _ := strings.Cut("    id: "+rest, "\n\n")
	file := filepath.Join(t.TempDir(), "rule.yaml")
	writeFile(t, file, strings.ReplaceAll("\n"+rule, "\n    ", "\n")[1:])
	shown(t, string(b), file)
	for _, args := range [][]string{{"rules", "test", file}, {"rules", "lint", file}} {
		var out bytes.Buffer
		if code := run(args, streams{nil, &out, &out}); code != exitOK {
			t.Errorf("warder %s: exit %d\n%s", strings.Join(args, " "), code, out.String())
		}
	}
}

// shown checks that explain prints what the README says, for a login that succeeded.
func shown(t *testing.T, readme, rule string) {
	t.Helper()
	dir := filepath.Dir(rule)
	event := filepath.Join(dir, "event.json")
	writeFile(t, event, `{"request.method": "POST", "api.route": "/login", "response.code": 200, "source.address": "203.0.113.9"}`)
	_, rest, ok := strings.Cut(readme, "    $ bin/warder rules explain --rules login.yaml login-failures event.json\n")
	if !ok {
		t.Fatal("the README shows no explanation")
	}
	want, _, _ := strings.Cut(rest, "\n\nThe rest")
	want = strings.ReplaceAll("\n"+want, "\n    ", "\n")[1:]
	var out bytes.Buffer
	if code := run([]string{"rules", "explain", "--rules", rule, "login-failures", event}, streams{nil, &out, &out}); code != exitOK {
		t.Fatalf("exit %d\n%s", code, out.String())
	}
	got := strings.TrimSpace(strings.ReplaceAll(out.String(), rule, "login.yaml"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what explain prints (-README +program):\n%s", diff)
	}
}
