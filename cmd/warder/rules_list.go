package main

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/rules"
)

// listFlags choose which rules are listed.
type listFlags struct {
	tags           []string
	severity, mode string
	json           bool
}

func newRulesList(s streams) *cobra.Command {
	f := &listFlags{}
	c := &cobra.Command{Use: "list [PATH...]", Short: "List the rules",
		Long: `Lists the rules in files and folders, or the shipped packs. A narrow terminal
shows fewer columns; --json has everything.`,
		Example: "  warder rules list\n  warder rules list --tag owasp.api2 --severity high my-rules",
	}
	c.RunE = func(_ *cobra.Command, paths []string) error {
		if err := f.check(c); err != nil {
			return err
		}
		set, err := loadRules(paths)
		if err != nil {
			return err
		}
		chosen := slices.DeleteFunc(slices.Clone(set.Rules()), func(r *rules.Rule) bool { return !f.wants(r) })
		if f.json {
			return listJSON(s.out, chosen)
		}
		return listTable(s.out, chosen)
	}
	c.Flags().BoolVar(&f.json, "json", false, "print JSON lines")
	c.Flags().StringSliceVar(&f.tags, "tag", nil, "only rules with this tag, or one below it: attack.t1110 also finds attack.t1110.004; several: all of them")
	c.Flags().StringVar(&f.severity, "severity", "", "only rules of this severity and above: info, low, medium, high, critical")
	c.Flags().StringVar(&f.mode, "mode", "", "only rules in this mode: shadow, canary, enforce")
	return c
}

func (f *listFlags) check(c *cobra.Command) error {
	if f.severity != "" && alert.Severity(f.severity).Rank() < 0 {
		return wrong(c, "--severity %.40q is not info, low, medium, high or critical", f.severity)
	}
	if modes := []string{"", string(alert.Shadow), string(alert.Canary), string(alert.Enforce)}; !slices.Contains(modes, f.mode) {
		return wrong(c, "--mode %.40q is not shadow, canary or enforce", f.mode)
	}
	return nil
}

func (f *listFlags) wants(r *rules.Rule) bool {
	if r.Severity.Rank() < alert.Severity(f.severity).Rank() || f.mode != "" && string(r.Mode) != f.mode {
		return false
	}
	for _, want := range f.tags {
		if !slices.ContainsFunc(r.Tags, func(t string) bool { return t == want || strings.HasPrefix(t, want+".") }) {
			return false
		}
	}
	return true
}

func listTable(w io.Writer, list []*rules.Rule) error {
	p := console.NewPalette(console.WantsColour(w))
	t := console.NewTable("rule", "severity", "title", "group by", "window", "mode")
	for _, r := range list {
		t.Row(r.ID, p.Severity(r.Severity), console.Clean(r.Title, 80), strings.Join(r.GroupBy, ", "), r.Fires(), string(r.Mode))
	}
	return t.Write(w, p, console.Width(w))
}

func listJSON(w io.Writer, list []*rules.Rule) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // expressions are read by people, too
	for _, r := range list {
		if err := enc.Encode(listLine(r)); err != nil {
			return err
		}
	}
	return nil
}

// listLine is a rule in the list's JSON form. Durations are written as in rule files.
func listLine(r *rules.Rule) map[string]any {
	positive := 0
	for i := range r.Tests {
		if r.Tests[i].Positive() {
			positive++
		}
	}
	l := map[string]any{"id": r.ID, "version": r.Version, "title": r.Title, "description": r.Description, "severity": r.Severity, "mode": r.Mode,
		"tags": append([]string{}, r.Tags...), "group_by": append([]string{}, r.GroupBy...), "file": r.File, "line": r.Line,
		"suppress": rules.Span(r.Suppress), "include_enforced": r.IncludeEnforced,
		"tests": map[string]int{"positive": positive, "negative": len(r.Tests) - positive}, "respond": respondJSON(r.Respond)}
	if r.Mode == alert.Canary {
		l["canary"] = r.Canary
	}
	if r.Window.Type != rules.None {
		l["window"] = map[string]any{"type": r.Window.Type, "size": rules.Span(r.Window.Size)}
	}
	if r.Window.Type == rules.Session {
		l["window"] = map[string]any{"type": r.Window.Type, "size": rules.Span(r.Window.Size), "gap": rules.Span(r.Window.Gap)}
	}
	formJSON(l, r)
	for _, p := range r.Parts() {
		if p.Name == "filter" || p.Name == "condition" {
			l[p.Name] = strings.TrimSpace(p.Text)
		}
	}
	var aggregates []map[string]any
	for _, a := range r.Aggregates {
		x := map[string]any{"name": a.Name, "func": a.Func, "of": a.Of, "where": a.Where}
		if a.Func == rules.Quantile {
			x["q"] = a.Q
		}
		aggregates = append(aggregates, x)
	}
	if aggregates != nil {
		l["aggregates"] = aggregates
	}
	return l
}

func respondJSON(list []alert.Response) []map[string]any {
	out := []map[string]any{}
	for _, a := range list {
		l := map[string]any{"action": a.Action, "scope": a.Scope, "ttl": rules.Span(a.TTL)}
		if len(a.And) > 0 {
			l["and"] = a.And
		}
		if a.Status > 0 {
			l["status"] = a.Status
		}
		if a.Requests > 0 {
			l["requests"], l["per"], l["burst"] = a.Requests, rules.Span(a.Per), a.Burst
		}
		out = append(out, l)
	}
	return out
}
