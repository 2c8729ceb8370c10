package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

func newRules(s streams) *cobra.Command {
	c := &cobra.Command{Use: "rules", GroupID: "work", Short: "List, test and review rules",
		Long: "Works on rule files and folders of them; without a path on the shipped packs."}
	c.AddCommand(newRulesList(s), newRulesTest(s), newRulesLint(s), newRulesImport(s))
	return c
}

// loadRules reads the rules at the paths, or the shipped packs.
func loadRules(paths []string) (*rules.Set, error) {
	set, err := rules.Load(app.RuleFiles{}, app.RulePaths(len(paths) == 0, paths)...)
	if err == nil {
		err = notEmpty(set, paths)
	}
	if err != nil {
		return nil, usageError{err}
	}
	return set, nil
}

func newRulesList(s streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "list [PATH...]", Short: "List the rules",
		Long: `Lists the rules in files and folders, or the shipped packs. A narrow terminal
shows fewer columns; --json has everything.`,
		Example: "  warder rules list\n  warder rules list my-rules",
		RunE: func(_ *cobra.Command, paths []string) error {
			set, err := loadRules(paths)
			if err != nil {
				return err
			}
			if asJSON {
				return listJSON(s.out, set)
			}
			return listTable(s.out, set)
		}}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON lines")
	return c
}

func listTable(w io.Writer, set *rules.Set) error {
	p := console.NewPalette(console.WantsColour(w))
	t := console.NewTable("rule", "severity", "title", "group by", "window", "mode")
	for _, r := range set.Rules() {
		window := "single event"
		if r.Window.Type != rules.None {
			window = fmt.Sprintf("%s %s", r.Window.Type, console.Duration(r.Window.Size))
		}
		if r.Form != rules.FormEvents {
			window = r.Form
		}
		t.Row(r.ID, p.Severity(r.Severity), console.Clean(r.Title, 80), strings.Join(r.GroupBy, ", "), window, string(r.Mode))
	}
	return t.Write(w, p, console.Width(w))
}

func listJSON(w io.Writer, set *rules.Set) error {
	enc := json.NewEncoder(w)
	for _, r := range set.Rules() {
		if err := enc.Encode(map[string]any{"id": r.ID, "version": r.Version, "title": r.Title, "severity": r.Severity, "mode": r.Mode,
			"tags": append([]string{}, r.Tags...), "group_by": append([]string{}, r.GroupBy...), "file": r.File, "line": r.Line}); err != nil {
			return err
		}
	}
	return nil
}

func newRulesTest(s streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "test [PATH...]", Short: "Run the tests that the rules carry",
		Long: `Runs the tests that the rules in files and folders carry, or those of the
shipped packs. Exits with 1 when one fails, with 2 when a rule is wrong.`,
		Example: "  warder rules test my-rules",
		RunE: func(_ *cobra.Command, paths []string) error {
			set, err := loadRules(paths)
			if err != nil {
				return err
			}
			return reportTests(s, rules.RunTests(set, app.RuleFiles{}, func(r *rules.Rule, events []*event.Event) ([]*alert.Alert, error) {
				return runAlone(set, r, events), nil
			}), asJSON)
		}}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON lines")
	return c
}

// runAlone feeds the events to a detector that holds only the rule.
func runAlone(set *rules.Set, r *rules.Rule, events []*event.Event) []*alert.Alert {
	shard := detector.NewShard(set.Only(func(x *rules.Rule) bool { return x.ID == r.ID }), detector.DefaultConfig())
	var out []*alert.Alert
	for _, e := range events {
		out = shard.Process(e, out)
	}
	return out
}

func reportTests(s streams, results []rules.TestResult, asJSON bool) error {
	p := console.NewPalette(console.WantsColour(s.out))
	enc := json.NewEncoder(s.out)
	failed := 0
	for i := range results {
		r := &results[i]
		if !r.Passed() {
			failed++
		}
		switch {
		case asJSON:
			l := map[string]any{"rule": r.Rule.ID, "test": r.Test, "passed": r.Passed(), "message": r.String(), "file": r.Rule.File, "line": r.Line}
			if err := enc.Encode(l); err != nil {
				return err
			}
		case r.Passed():
			fmt.Fprintf(s.out, "%s  %s: %s\n", p.Green("ok  "), r.Rule.ID, console.Clean(r.Test, 100))
		default:
			fmt.Fprintf(s.out, "%s  %s: %s\n      %s:%d: %s\n", p.Red("FAIL"), r.Rule.ID, console.Clean(r.Test, 100), r.Rule.File, r.Line, r)
		}
	}
	switch {
	case asJSON:
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

func newRulesLint(s streams) *cobra.Command {
	return &cobra.Command{Use: "lint [PATH...]", Short: "Review the rules: errors, missing tests, too broad filters",
		Long: `Reviews the rules in files and folders, or the shipped packs: what is wrong,
with file, line and column, and what is allowed and still unwise. Exits with 1
when there is a finding.`,
		Example: "  warder rules lint my-rules",
		RunE: func(_ *cobra.Command, paths []string) error {
			findings := rules.LintOn(time.Now(), app.RuleFiles{}, app.RulePaths(len(paths) == 0, paths)...)
			for _, f := range findings {
				fmt.Fprintln(s.out, f)
			}
			if len(findings) > 0 {
				return errSilent
			}
			fmt.Fprintln(s.out, "nothing to complain about")
			return nil
		}}
}
