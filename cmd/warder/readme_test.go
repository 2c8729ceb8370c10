package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	writeFile(t, file, strings.ReplaceAll("\n"+rule, "\n    ", "\n"))
	for _, args := range [][]string{{"rules", "test", file}, {"rules", "lint", file}} {
		var out bytes.Buffer
		if code := run(args, streams{nil, &out, &out}); code != exitOK {
			t.Errorf("warder %s: exit %d\n%s", strings.Join(args, " "), code, out.String())
		}
	}
}
