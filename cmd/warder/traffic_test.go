package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
)

var update = flag.Bool("update", false, "write golden files and scripts anew")

// logs is where recorded traffic is; testdata/README.md at the top of the repository says what is what.
const logs = "../../testdata/logs"

// warder runs the program in this process and returns its output and exit code.
func warder(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(args, streams{strings.NewReader(stdin), &out, &errs})
	return out.String(), errs.String(), code
}

// detectAlerts runs `warder detect` and returns the alerts, without the summary.
func detectAlerts(t *testing.T, args ...string) []alert.Alert {
	t.Helper()
	stdout, stderr, code := warder(t, "", append([]string{"detect", "--output", "json"}, args...)...)
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d, standard error %q", code, stderr)
	}
	var out []alert.Alert
	lines := bufio.NewScanner(strings.NewReader(stdout))
	for lines.Scan() {
		var a alert.Alert
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	return out
}

// The shipped packs find every attack in the recorded traffic, and nothing else.
func TestTraffic(t *testing.T) {
	for _, a := range detectAlerts(t, filepath.Join(logs, "ordinary.log")) {
		t.Errorf("alert on ordinary traffic: %s of %v, %+v", a.Rule, a.Group, a.Sample)
	}

	var got []string
	for _, a := range detectAlerts(t, filepath.Join(logs, "attacks.log")) {
		line := a.Rule
		for _, k := range slices.Sorted(maps.Keys(a.Group)) {
			line += " " + k + "=" + a.Group[k]
		}
		got = append(got, line)
	}
	slices.Sort(got)
	golden(t, filepath.Join(logs, "attacks.golden"), strings.Join(got, "\n")+"\n")
}

// golden compares with the file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); -update writes it anew:\n%s", file, diff)
	}
}
