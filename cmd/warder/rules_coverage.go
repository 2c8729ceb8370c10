package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/rules/coverage"
)

func newRulesCoverage(s streams) *cobra.Command {
	var format, file string
	c := &cobra.Command{Use: "coverage [PATH...]", Short: "What the rules cover of the OWASP API Top 10 and MITRE ATT&CK",
		Long: `Lays the rules in files and folders, or the shipped packs, out over the OWASP
API Security Top 10 2023 and MITRE ATT&CK, by their tags (owasp.api1,
attack.t1110.004). Risks without a rule are shown as gaps. The format navigator
is a layer for MITRE's ATT&CK Navigator.`,
		Example: "  warder rules coverage\n  warder rules coverage --format navigator -o layer.json my-rules",
	}
	c.RunE = func(_ *cobra.Command, paths []string) error {
		write := coverageFormat(format)
		if write == nil {
			return wrong(c, "--format %.40q is not table, markdown, json or navigator", format)
		}
		set, err := loadRules(paths)
		if err != nil {
			return err
		}
		m := coverage.Of(set.Rules())
		return writeOutput(s, file, func(w io.Writer) error { return write(m, w) })
	}
	c.Flags().StringVar(&format, "format", "table", "table, markdown, json or navigator")
	c.Flags().StringVarP(&file, "output", "o", "", "write to `FILE` instead of standard output")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"table", "markdown", "json", "navigator"}, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return c
}

func coverageFormat(name string) func(*coverage.Matrix, io.Writer) error {
	return map[string]func(*coverage.Matrix, io.Writer) error{
		"table": coverageTable, "markdown": (*coverage.Matrix).WriteMarkdown, "json": (*coverage.Matrix).WriteJSON,
		"navigator": (*coverage.Matrix).WriteNavigator,
	}[name]
}

func coverageTable(m *coverage.Matrix, w io.Writer) error {
	p := console.NewPalette(console.WantsColour(w))
	width := console.Width(w)
	t := console.NewTable("owasp api 2023", "risk", "rules", "which")
	for _, r := range m.OWASP {
		n := fmt.Sprint(len(r.Rules))
		if len(r.Rules) == 0 {
			n = p.Red("gap")
		}
		t.Row(r.ID, r.Name, n, strings.Join(r.Rules, " "))
	}
	if err := t.Write(w, p, width); err != nil {
		return err
	}
	fmt.Fprintln(w)
	t = console.NewTable("att&ck", "technique", "rules", "which")
	for _, x := range m.ATTACK {
		t.Row(x.ID, x.Name, fmt.Sprint(len(x.Rules)), strings.Join(x.Rules, " "))
	}
	if err := t.Write(w, p, width); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d rules: %d of 10 risks, %d techniques\n", m.Rules, m.Covered(), len(m.ATTACK))
	if len(m.Untagged) > 0 {
		fmt.Fprintf(w, "without such a tag: %s\n", strings.Join(m.Untagged, " "))
	}
	return nil
}
