package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/detector/trial"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/rules"
)

type testFlags struct {
	json       bool
	junit, run string
	failures   bool
}

func newRulesTest(s streams) *cobra.Command {
	f := &testFlags{}
	c := &cobra.Command{Use: "test [PATH...]", Short: "Run the tests that the rules carry",
		Long: `Runs the tests that the rules in files and folders carry, or those of the
shipped packs. Of a test that fails it shows the first event that departs from
what is expected. Exits with 1 when one fails, with 2 when a rule is wrong.`,
		Example: "  warder rules test my-rules\n  warder rules test --run 'login-.*/office' --junit report.xml my-rules",
	}
	c.RunE = func(_ *cobra.Command, paths []string) error {
		only, err := f.only(c)
		if err != nil {
			return err
		}
		set, err := loadRules(paths)
		if err != nil {
			return err
		}
		bar := counter(s, "testing", trial.Wanted(set, only))
		results, err := trial.Tests(c.Context(), set, app.RuleFiles{}, trial.Options{Only: only, Parallel: runtime.GOMAXPROCS(0), Now: time.Now,
			Done: func(n int) { _ = bar.Add(n) }}) // a bar that cannot be drawn is no reason to stop
		_ = bar.Finish()
		if err != nil {
			return err
		}
		if f.junit != "" {
			if err := writeOutput(s, f.junit, func(w io.Writer) error { return trial.WriteJUnit(w, results) }); err != nil {
				return err
			}
		}
		return f.report(s, results)
	}
	c.Flags().BoolVar(&f.json, "json", false, "print JSON lines")
	c.Flags().StringVar(&f.junit, "junit", "", "also write the results to `FILE` as JUnit XML; - is standard output, alone")
	c.Flags().StringVar(&f.run, "run", "", "only tests whose `RULE/TEST` matches this regular expression")
	c.Flags().BoolVar(&f.failures, "failures", false, "print failures only")
	return c
}

func (f *testFlags) only(c *cobra.Command) (*regexp.Regexp, error) {
	if f.run == "" {
		return nil, nil
	}
	re, err := regexp.Compile(f.run)
	if err != nil {
		return nil, wrong(c, "--run: %w", err)
	}
	return re, nil
}

func (f *testFlags) report(s streams, results []trial.Result) error {
	p := console.NewPalette(console.WantsColour(s.out))
	enc := json.NewEncoder(s.out)
	failed := 0
	for i := range results {
		r := &results[i]
		if !r.Passed() {
			failed++
		}
		switch {
		case f.junit == "-", f.failures && r.Passed():
		case f.json:
			if err := enc.Encode(testLine(r)); err != nil {
				return err
			}
		default:
			printTest(s.out, p, r)
		}
	}
	switch {
	case f.json, f.junit == "-":
	case len(results) == 0 && f.run != "":
		fmt.Fprintln(s.out, "no test matches --run")
	case len(results) == 0:
		fmt.Fprintln(s.out, "none of these rules carries a test")
	default:
		fmt.Fprintf(s.out, "%d passed, %d failed\n", len(results)-failed, failed)
	}
	if failed > 0 {
		return errSilent
	}
	return nil
}

func testLine(r *trial.Result) map[string]any {
	l := map[string]any{"rule": r.Rule.ID, "test": r.Test, "passed": r.Passed(), "message": r.String(), "file": r.Rule.File, "line": r.Line,
		"events": r.Events, "seconds": r.Took.Seconds()}
	if r.First != nil {
		l["first"] = r.First
	}
	return l
}

// maxFailure bounds a line about a test that failed, in characters; --json and --junit have all of it.
const maxFailure = 300

func printTest(w io.Writer, p console.Palette, r *trial.Result) {
	if r.Passed() {
		fmt.Fprintf(w, "%s  %s: %s\n", p.Green("ok  "), r.Rule.ID, console.Clean(r.Test, 100))
		return
	}
	fmt.Fprintf(w, "%s  %s: %s\n      %s:%d: %s\n", p.Red("FAIL"), r.Rule.ID, console.Clean(r.Test, 100), r.Rule.File, r.Line, console.Clean(r.String(), maxFailure))
	d := r.First
	if d == nil {
		return
	}
	if d.Event == 0 {
		fmt.Fprintf(w, "      %s\n", console.Clean(d.Reason, maxFailure))
		return
	}
	fmt.Fprintf(w, "      %s %s\n", p.Bold(fmt.Sprintf("event %d of %d", d.Event, r.Events)), console.Clean(d.Reason, maxFailure))
	fmt.Fprintf(w, "        %s %s\n", p.Dim(d.Time), console.Clean(fieldList(d.Fields, 80), maxFailure))
	if len(d.Values) > 0 {
		fmt.Fprintf(w, "        %s %s\n", p.Dim("window"), console.Clean(fieldList(d.Values, 80), maxFailure))
	}
}

// fieldList writes values for people, each within limit characters.
func fieldList(list []rules.FieldValue, limit int) string {
	out := ""
	for i, v := range list {
		if i > 0 {
			out += " "
		}
		out += v.Name + "=" + console.Clean(v.Value, limit)
	}
	return out
}
