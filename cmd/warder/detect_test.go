package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/detector/offline"
	"github.com/warder/warder/internal/alert"
)

func TestDetectCheck(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "access.log")
	writeFile(t, log, "")
	sound := func() detectFlags { return detectFlags{output: auto, progress: auto} }
	for name, c := range map[string]struct {
		change func(*detectFlags)
		files  []string
		want   string
	}{
		"sound":          {nil, []string{log, "-"}, ""},
		"format":         {func(f *detectFlags) { f.format = "syslog" }, []string{log}, `--format "syslog" is unknown; choose one of auto, aws_alb,`},
		"known format":   {func(f *detectFlags) { f.format = "combined" }, []string{log}, ""},
		"output":         {func(f *detectFlags) { f.output = "xml" }, []string{log}, `--output "xml" is unknown; choose auto, json or table`},
		"progress":       {func(f *detectFlags) { f.progress = "no" }, []string{log}, `--progress "no" is unknown; choose auto, always or never`},
		"no rule":        {func(f *detectFlags) { f.noPacks = true }, []string{log}, "--no-packs leaves no rule"},
		"own rules":      {func(f *detectFlags) { f.noPacks, f.rules = true, []string{"x"} }, []string{log}, ""},
		"workers":        {func(f *detectFlags) { f.workers = -1 }, []string{log}, "--workers -1 is not between 0 and 1024"},
		"folder":         {nil, []string{dir}, dir + " is a folder; name the log files in it"},
		"missing":        {nil, []string{log, log + ".1"}, log + ".1: no such file or directory"},
		"twice":          {nil, []string{log, log}, log + " is named twice"},
		"standard twice": {nil, []string{"-", "-"}, "- is named twice"},
	} {
		t.Run(name, func(t *testing.T) {
			f := sound()
			if c.change != nil {
				c.change(&f)
			}
			err := f.check(c.files)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

// The summary has the documented keys, and tells of irregular times only when there are some.
func TestSummaryLine(t *testing.T) {
	sum := offline.Summary{Lines: 10, Refused: 1, Seconds: 0.12345678, LinesPerSecond: 81.4, Alerts: map[string]int{"a": 2}}
	for want, stats := range map[string]detector.Stats{
		`{"lines":10,"refused":1,"seconds":0.123457,"lines_per_second":81,"alerts":{"a":2}}`:                                   {Events: 9, Matches: 3},
		`{"lines":10,"refused":1,"seconds":0.123457,"lines_per_second":81,"alerts":{"a":2},"irregular":{"evicted":7,"odd":1}}`: {Odd: 1, Evicted: 7},
	} {
		sum.Detector = stats
		got, err := json.Marshal(newSummaryLine(sum))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestEvidence(t *testing.T) {
	a := &alert.Alert{Values: map[string]float64{"failures": 15}, Sample: &alert.Sample{Method: "GET", Path: "/a\x1b[2J" + strings.Repeat("b", 100), Query: "q=1", Code: 404}}
	want := `failures=15  GET /a\x1b[2J` + strings.Repeat("b", 70) + "… → 404"
	if got := evidence(a); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWrap(t *testing.T) {
	if got, want := wrap([]string{"alpha", "beta", "gamma", "delta"}, 14), "  alpha, beta,\n  gamma, delta"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Ctrl-C ends a run quietly, with what was found so far and exit code 130.
func TestInterrupt(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "detect", "-")
	cmd.Env = append(os.Environ(), runAsWarder+"=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	const attack = `203.0.113.9 - - [12/Mar/2026:09:00:00 +0000] "GET /.git/config HTTP/1.1" 404 153 "-" "sqlmap/1.8"` + "\n"
	if _, err := io.WriteString(stdin, attack); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(stdout)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, `"203.0.113.9"`) {
		t.Fatalf("no alert while the input is open: %q, %v", line, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "exit status 130"
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || stderr.String() != "warder: interrupted before the end\n" {
		t.Errorf("exit code %d, standard error %q", code, stderr.String())
	}
}
