package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/decision"
)

// decisionFilter chooses what `decisions list` shows.
type decisionFilter struct {
	state, scope, value, rule, action string
	all, json                         bool
	limit                             int
}

func newDecisionsList(s streams, api *apiFlags) *cobra.Command {
	f := &decisionFilter{}
	c := &cobra.Command{Use: "list", Short: "List decisions, proposals first",
		Long: `Lists the decisions in force and the proposals that wait for a person, the
newest first. Ended ones stay for enforcer.keep_ended: --all shows them too.`,
		Example: "  warder decisions list\n  warder decisions list --value 203.0.113.9 --all\n  warder decisions list --state proposed --json", Args: noArgs}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f.all && f.state != "" {
			return wrong(c, "--all is all states, and --state some: give one of them")
		}
		if f.limit < 1 {
			return wrong(c, "--limit %d is not above zero", f.limit)
		}
		cl, err := api.client()
		if err != nil {
			return err
		}
		return f.run(c.Context(), s, cl)
	}
	c.Flags().StringVar(&f.state, "state", "", "only these states, with commas between: proposed, active, expired, revoked (default proposed,active)")
	c.Flags().StringVar(&f.scope, "scope", "", "only this scope, for example source.address")
	c.Flags().StringVar(&f.value, "value", "", "only this value; for an address also the CIDRs that hold it")
	c.Flags().StringVar(&f.rule, "rule", "", "only decisions of the rule with this `id`")
	c.Flags().StringVar(&f.action, "action", "", "only this action: block, limit, challenge, log")
	c.Flags().BoolVar(&f.all, "all", false, "ended ones, too")
	c.Flags().IntVar(&f.limit, "limit", 1000, "show at most `n`, the newest")
	jsonFlag(c, &f.json)
	return c
}

func (f *decisionFilter) query() url.Values {
	state := f.state
	if state == "" && !f.all {
		state = "proposed,active"
	}
	q := url.Values{}
	for name, v := range map[string]string{"state": state, "scope": f.scope, "value": f.value, "rule": f.rule, "action": f.action} {
		if v != "" {
			q.Set(name, v)
		}
	}
	return q
}

func (f *decisionFilter) run(ctx context.Context, s streams, c *apiClient) error {
	found, more, err := c.list(ctx, f.query(), f.limit)
	if err != nil {
		return err
	}
	if more {
		fmt.Fprintf(s.err, "only the newest %d are shown; --limit shows more\n", len(found))
	}
	if f.json {
		return eachJSON(s, found)
	}
	var sw api.Switch
	if err := c.Call(ctx, "GET", "switch", nil, nil, &sw); err != nil {
		return err
	}
	return decisionTable(s, found, sw)
}

func eachJSON[T any](s streams, list []T) error {
	for _, v := range list {
		if err := printJSON(s.out, v); err != nil {
			return err
		}
	}
	return nil
}

func decisionTable(s streams, found []api.Decision, sw api.Switch) error {
	p, now := console.NewPalette(console.WantsColour(s.out)), time.Now()
	if sw.Mode == decision.Observe {
		fmt.Fprintln(s.out, p.Yellow("The switch is at observe: nothing is refused, whatever stands here.")+"\n")
	}
	if len(found) == 0 {
		fmt.Fprintln(s.out, "no decisions")
		return nil
	}
	slices.SortStableFunc(found, func(a, b api.Decision) int { return cmp.Compare(rank(a), rank(b)) })
	t := console.NewTable("id", "action", "entity", "stands", "expires in", "by", "offence")
	for i := range found {
		d := &found[i]
		offence := "-"
		if d.Offence > 0 {
			offence = strconv.Itoa(d.Offence)
		}
		t.Row(short(d.ID), console.Clean(string(d.Action), 12), console.Clean(d.Entity, 80),
			standing(p, d, now), remaining(d, now), origin(d), offence)
	}
	if err := t.Write(s.out, p, console.Width(s.out)); err != nil {
		return err
	}
	if first := found[0]; first.State == decision.Proposed {
		fmt.Fprintf(s.out, "\nProposals wait for a person. `warder decisions explain %s` says why,\n"+
			"`warder decisions approve %[1]s` puts it in force.\n", short(first.ID))
	}
	return nil
}

// rank puts proposals first and ended decisions last.
func rank(d api.Decision) int {
	switch d.State {
	case decision.Proposed:
		return 0
	case decision.Active:
		return 1
	}
	return 2
}
