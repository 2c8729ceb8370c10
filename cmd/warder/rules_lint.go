package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/rules"
	"github.com/warder/warder/rules/sarif"
)

func newRulesLint(s streams) *cobra.Command {
	var asJSON bool
	var sarifFile string
	c := &cobra.Command{Use: "lint [PATH...]", Short: "Review the rules: errors, missing tests, too broad filters",
		Long: `Reviews the rules in files and folders, or the shipped packs: what is wrong,
with file, line and column, and what is allowed and still unwise. Exits with 1
when there is a finding. --sarif writes what GitHub code scanning reads.`,
		Example: "  warder rules lint my-rules\n  warder rules lint --sarif lint.sarif my-rules",
		RunE: func(_ *cobra.Command, paths []string) error {
			findings := rules.LintOn(time.Now(), app.RuleFiles{}, app.RulePaths(len(paths) == 0, paths)...)
			if sarifFile != "" {
				err := writeOutput(s, sarifFile, func(w io.Writer) error { return sarif.Write(w, buildVersion(), findings) })
				if err != nil {
					return err
				}
			}
			if err := printFindings(s.out, findings, asJSON, sarifFile == "-"); err != nil {
				return err
			}
			if len(findings) > 0 {
				return errSilent
			}
			return nil
		}}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON lines")
	c.Flags().StringVar(&sarifFile, "sarif", "", "also write the findings to `FILE` as SARIF 2.1.0; - is standard output, alone")
	return c
}

func printFindings(w io.Writer, findings []rules.Finding, asJSON, quiet bool) error {
	p := console.NewPalette(console.WantsColour(w))
	enc := json.NewEncoder(w)
	for _, f := range findings {
		switch {
		case quiet:
		case asJSON:
			if err := enc.Encode(f); err != nil {
				return err
			}
		case f.Level == rules.LevelError:
			fmt.Fprintln(w, p.Red(f.String()))
		default:
			fmt.Fprintln(w, f)
		}
	}
	if len(findings) == 0 && !asJSON && !quiet {
		fmt.Fprintln(w, "nothing to complain about")
	}
	return nil
}
