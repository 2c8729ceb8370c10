package main

import (
	"compress/gzip"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/warder/warder/dashboards/push/grafanatest"
	"github.com/warder/warder/internal/geo/geotest"
)

// The scripts in testdata/script use warder as people do. -update writes the golden texts in them anew.
func TestScripts(t *testing.T) {
	recorded, err := filepath.Abs(logs)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("LOGS", recorded)
			e.Setenv("SLACK_WEBHOOK_URL", "https://hooks.example.com/top-secret")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"gz": gzipFile, "timeless": timeless, "fails": fails, "mmdb": mmdb, "api": serveAPI,
			"grafana": serveGrafana(map[string]*grafanatest.Server{}), "history": serveHistory},
	})
}

// fails is the script command "fails CODE PROGRAM ARG...": the program must end with the exit code.
func fails(ts *testscript.TestScript, _ bool, args []string) {
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("want exit code %s, got %v", args[0], err)
	}
}

// gzipFile is the script command "gz FROM TO".
func gzipFile(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	z := gzip.NewWriter(f)
	_, err = z.Write([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	ts.Check(z.Close())
	ts.Check(f.Close())
}

// mmdb is the script command "mmdb FILE NETWORK=COUNTRY...": it writes a MaxMind database.
func mmdb(ts *testscript.TestScript, _ bool, args []string) {
	networks := map[string]geotest.Map{}
	for _, a := range args[1:] {
		network, country, _ := strings.Cut(a, "=")
		networks[network] = geotest.City(country, "EU", "")
	}
	b, err := geotest.Encode(networks)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

var measured = regexp.MustCompile(`("seconds"|"lines_per_second"):[0-9.e+-]+`)

// timeless is the script command "timeless FROM TO": it replaces what was measured by a zero.
func timeless(ts *testscript.TestScript, _ bool, args []string) {
	text := measured.ReplaceAllString(ts.ReadFile(args[0]), "$1:0")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}
