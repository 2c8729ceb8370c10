//go:build data

package sigma_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/warder/warder/rules/sigma"
)

// The folder in WARDER_SIGMA is converted whole: each rule is converted and loads, or is refused with a reason. Public rules are not part
// of the repository, so the test has a build tag: WARDER_SIGMA=DIR go test -tags data ./rules/sigma -run Folder -v
func TestFolder(t *testing.T) {
	dir := os.Getenv("WARDER_SIGMA")
	if dir == "" {
		t.Fatal("WARDER_SIGMA names no folder of Sigma rules")
	}
	var files []sigma.File
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".yml" {
			return err
		}
		text, err := os.ReadFile(name)
		files = append(files, sigma.File{Name: name, Text: text})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r := sigma.Convert(sigma.Options{License: "DRL-1.1"}, files...)
	for _, o := range r.Outcomes {
		if !o.Converted {
			t.Logf("%s:%d: refused: %s", filepath.Base(o.File), o.Line, o.Reason)
			if o.Reason == "" || o.Line == 0 {
				t.Errorf("%s: refused without a reason or a place", o.File)
			}
		}
	}
	t.Logf("%d files, %d rules, %d refused", len(files), len(r.Rules), r.Refused())
	if out := os.Getenv("WARDER_SIGMA_OUT"); out != "" {
		if err := os.WriteFile(filepath.Join(out, "sigma.yaml"), []byte(r.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
