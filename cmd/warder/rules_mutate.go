package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"github.com/warder/warder/detector/trial"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/rules"
	"github.com/warder/warder/rules/mutation"
)

type mutateFlags struct {
	json   bool
	min    float64
	sample int
	rule   []string
}

func newRulesMutate(s streams) *cobra.Command {
	f := &mutateFlags{}
	c := &cobra.Command{Use: "mutate [PATH...]", Short: "Break each rule in small ways and see whether its tests notice",
		Long: `Breaks each rule in many small ways, one at a time (a condition left out or
turned round, a number one higher, an alternative of a pattern gone, a window
twice as long), and runs the rule's own tests. What no test notices is shown:
there a test is missing, or a part of the rule is not needed. Exits with 1 when
fewer than --min percent are noticed.`,
		Example: "  warder rules mutate my-rules\n  warder rules mutate --rule login-stuffing --min 90 my-rules",
	}
	c.RunE = func(_ *cobra.Command, paths []string) error {
		if f.min < 0 || f.min > 100 {
			return wrong(c, "--min %g is not 0 to 100 percent", f.min)
		}
		set, err := loadRules(paths)
		if err != nil {
			return err
		}
		for _, id := range f.rule {
			if _, err := set.Find(id); err != nil {
				return usageError{err}
			}
		}
		if len(f.rule) > 0 {
			set = set.Only(func(r *rules.Rule) bool { return slices.Contains(f.rule, r.ID) })
		}
		bar := counter(s, "mutating", -1)
		rep, err := mutation.Run(c.Context(), set, app.RuleFiles{}, mutation.Options{Passes: trial.Passes, Parallel: runtime.GOMAXPROCS(0), Sample: f.sample,
			Done: func(done, total int) {
				if done == 1 {
					bar.ChangeMax(total)
				}
				_ = bar.Add(1) // a bar that cannot be drawn is no reason to stop
			}})
		_ = bar.Finish()
		if err != nil {
			return err
		}
		return f.report(s, set, rep)
	}
	c.Flags().BoolVar(&f.json, "json", false, "print JSON lines: every change, then a summary")
	c.Flags().Float64Var(&f.min, "min", 0, "exit with 1 when fewer than this many `percent` are noticed")
	c.Flags().IntVar(&f.sample, "sample", 1, "try only each `n`-th change of each rule")
	c.Flags().StringSliceVar(&f.rule, "rule", nil, "only the rule with this `id`; several are possible")
	return c
}

func (f *mutateFlags) report(s streams, set *rules.Set, rep *mutation.Report) error {
	all := rep.Tally(nil)
	var err error
	if f.json {
		err = mutateJSON(s.out, rep, all)
	} else {
		err = mutateText(s.out, set, rep, all)
	}
	if err != nil {
		return err
	}
	if all.Percent() < f.min || len(rep.Broken) > 0 {
		return errSilent
	}
	return nil
}

func mutateJSON(w io.Writer, rep *mutation.Report, all mutation.Tally) error {
	enc := json.NewEncoder(w)
	for i := range rep.Mutants {
		if err := enc.Encode(&rep.Mutants[i]); err != nil {
			return err
		}
	}
	kinds := map[mutation.Kind]mutation.Tally{}
	for _, k := range mutation.Kinds() {
		kinds[k] = rep.Tally(func(m *mutation.Mutant) bool { return m.Kind == k })
	}
	return enc.Encode(map[string]any{"summary": map[string]any{"killed": all.Killed, "total": all.Total, "percent": all.Percent(), "kinds": kinds,
		"invalid": rep.Invalid, "untested": append([]string{}, rep.Untested...), "broken": append([]string{}, rep.Broken...)}})
}

func mutateText(w io.Writer, set *rules.Set, rep *mutation.Report, all mutation.Tally) error {
	p := console.NewPalette(console.WantsColour(w))
	for i := range rep.Mutants {
		if m := &rep.Mutants[i]; !m.Killed {
			fmt.Fprintf(w, "%s  %s:%d:%d: %s: %s: %s\n", p.Yellow("survived"), m.File, m.Line, m.Column, m.Rule, m.Part, console.Clean(m.Change, 200))
		}
	}
	for _, id := range rep.Untested {
		fmt.Fprintf(w, "%s  %s: carries no test\n", p.Red("untested"), id)
	}
	for _, id := range rep.Broken {
		fmt.Fprintf(w, "%s  %s: a test fails without any change; see `warder rules test`\n", p.Red("broken  "), id)
	}
	t := console.NewTable("change", "noticed", "of", "percent")
	row := func(name string, n mutation.Tally) {
		if n.Total > 0 {
			t.Row(name, fmt.Sprint(n.Killed), fmt.Sprint(n.Total), fmt.Sprintf("%.1f", n.Percent()))
		}
	}
	for _, k := range mutation.Kinds() {
		row(string(k), rep.Tally(func(m *mutation.Mutant) bool { return m.Kind == k }))
	}
	row("all", all)
	if err := t.Write(w, p, console.Width(w)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d rules, %d changes that make no rule left out\n", len(set.Rules())-len(rep.Untested)-len(rep.Broken), rep.Invalid)
	return err
}
