package app_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/warder/warder/"

// stage returns the stage that the package belongs to, "" when it is none.
func stage(pkg string) string {
	top, _, _ := strings.Cut(strings.TrimPrefix(pkg, module), "/")
	switch top {
	case "collector", "rules", "detector", "enforcer", "sinks", "dashboards":
		return top
	}
	return ""
}

func under(pkg string, roots ...string) bool {
	for _, r := range roots {
		if pkg == r || strings.HasPrefix(pkg, r+"/") {
			return true
		}
	}
	return false
}

// pure tells whether the package is rules or the detector's core: no bus, no store, no HTTP.
func pure(pkg string) bool {
	return under(pkg, module+"rules", module+"detector") && !under(pkg, module+"detector/stage")
}

// Imports point inward: see docs/architecture.md.
func TestImports(t *testing.T) {
	for _, p := range list(t) {
		for _, imp := range p.Imports {
			ours := strings.HasPrefix(imp, module)
			from, to := stage(p.ImportPath), stage(imp)
			switch {
			case under(p.ImportPath, module+"internal/event", module+"internal/alert", module+"internal/decision", module+"internal/config") &&
				ours && !under(imp, module+"internal/decision"):
				t.Errorf("%s is a leaf but imports %s", p.ImportPath, imp)
			case pure(p.ImportPath) && (imp == "net/http" || strings.Contains(imp, "kafka") || strings.Contains(imp, "clickhouse") ||
				under(imp, module+"internal/bus", module+"internal/store")):
				t.Errorf("%s must stay pure but imports %s", p.ImportPath, imp)
			case from != "" && to != "" && from != to && !(from == "detector" && to == "rules"):
				t.Errorf("stage %s imports stage %s (%s → %s)", from, to, p.ImportPath, imp)
			case from != "" && under(imp, module+"internal/app", module+"cmd"):
				t.Errorf("%s imports %s", p.ImportPath, imp)
			case under(imp, module+"internal/app") && !under(p.ImportPath, module+"cmd", module+"internal/app"):
				t.Errorf("only cmd may import app, %s does", p.ImportPath)
			case to != "" && from == "" && !under(p.ImportPath, module+"cmd", module+"internal/app"):
				t.Errorf("%s imports the stage package %s", p.ImportPath, imp)
			}
		}
	}
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
