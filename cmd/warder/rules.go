package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
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
	c.AddCommand(newRulesList(s), newRulesTest(s), newRulesLint(s))
	return c
}

// load reads the rules at the paths, or the shipped packs.
func loadRules(paths []string) (*rules.Set, error) {
	set, err := rules.Load(app.RuleFiles{}, app.RulePaths(len(paths) == 0, paths)...)
	if err != nil {
		return nil, usageError{err}
	}
	return set, nil
}

func newRulesList(s streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "list [PATH...]", Short: "List the rules", RunE: func(_ *cobra.Command, paths []string) error {
		set, err := loadRules(paths)
		if err != nil {
			return err
		}
		if asJSON {
			return listJSON(s.out, set)
		}
		t := table.NewWriter()
		t.SetOutputMirror(s.out)
		t.SetStyle(table.StyleLight)
		t.AppendHeader(table.Row{"rule", "severity", "mode", "window", "group by", "title"})
		for _, r := range set.Rules() {
			window := "single event"
			if r.Window.Type != "" {
				window = r.Window.Type + " " + r.Window.Size.String()
			}
			t.AppendRow(table.Row{r.ID, r.Severity, r.Mode, window, strings.Join(r.GroupBy, ", "), console.Clean(r.Title, 80)})
		}
		t.Render()
		return nil
	}}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON lines")
	return c
}

func listJSON(w io.Writer, set *rules.Set) error {
	enc := json.NewEncoder(w)
	for _, r := range set.Rules() {
		if err := enc.Encode(map[string]any{"id": r.ID, "version": r.Version, "title": r.Title, "severity": r.Severity, "mode": r.Mode,
			"tags": r.Tags, "group_by": r.GroupBy, "file": r.File, "line": r.Line}); err != nil {
			return err
		}
	}
	return nil
}

func newRulesTest(s streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "test [PATH...]", Short: "Run the tests that the rules carry",
		Long: "Runs each rule's own tests. Exits with 1 when one fails.",
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
	p := console.NewPalette(console.IsTerminal(s.out))
	enc := json.NewEncoder(s.out)
	failed := 0
	for i := range results {
		r := &results[i]
		if !r.Passed() {
			failed++
		}
		switch {
		case asJSON:
			if err := enc.Encode(map[string]any{"rule": r.Rule.ID, "test": r.Test, "passed": r.Passed(), "message": r.String()}); err != nil {
				return err
			}
		case r.Passed():
			fmt.Fprintf(s.out, "%s  %s: %s\n", p.Green("ok  "), r.Rule.ID, console.Clean(r.Test, 100))
		default:
			fmt.Fprintf(s.out, "%s  %s: %s\n      %s:%d: %s\n", p.Red("FAIL"), r.Rule.ID, console.Clean(r.Test, 100), r.Rule.File, r.Line, r)
		}
	}
	if !asJSON {
		fmt.Fprintf(s.out, "%d passed, %d failed\n", len(results)-failed, failed)
	}
	if failed > 0 {
		return errSilent
	}
	return nil
}

func newRulesLint(s streams) *cobra.Command {
	return &cobra.Command{Use: "lint [PATH...]", Short: "Review the rules: errors, missing tests, filters that are too broad",
		Long: "Exits with 1 when there is a finding.",
		RunE: func(_ *cobra.Command, paths []string) error {
			findings := rules.Lint(app.RuleFiles{}, app.RulePaths(len(paths) == 0, paths)...)
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
