package main

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/decision"
)

// shortID is how many digits of an id are shown.
const shortID = 12

func newDecisions(s streams) *cobra.Command {
	f := &apiFlags{}
	c := &cobra.Command{Use: "decisions", GroupID: "work", Short: "See and change what gateways do about whom",
		Long: `Talks to the enforcer's API: who is blocked, limited or challenged and why; new
decisions, longer ones, revoked and approved ones; the global switch.

On the machine that runs "warder up" no set-up is needed. Elsewhere:
  WARDER_API        the API's address, like --api
  WARDER_API_TOKEN  the token, when --token-file is not given

An id may be shortened as long as only one decision begins with it.`,
		Example: `  warder decisions list
  warder decisions explain 203.0.113.9
  warder decisions add 203.0.113.9 --for 1h --note "card testing"
  warder decisions switch observe --note "customers report 403"`}
	f.register(c.PersistentFlags())
	c.AddCommand(newDecisionsList(s, f), newDecisionsShow(s, f), newDecisionsAdd(s, f), newDecisionsExtend(s, f), newDecisionsRevoke(s, f),
		newDecisionsApprove(s, f), newDecisionsExplain(s, f), newDecisionsSwitch(s, f), newDecisionsGateways(s, f))
	return c
}

// one demands a single argument, and says what it is.
func one(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return wrong(c, "%s needs %s, got %d arguments", c.Name(), what, len(args))
		}
		return nil
	}
}

func jsonFlag(c *cobra.Command, on *bool) {
	c.Flags().BoolVar(on, "json", false, "print the API's JSON")
}

// printJSON prints what the API answered.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// reading asks the API for something, and prints it for people or as JSON.
func reading[T any](c *cobra.Command, s streams, f *apiFlags, asJSON bool, ask func(*apiClient, *T) error, print func(*T)) error {
	cl, err := f.client()
	if err != nil {
		return err
	}
	var v T
	if err := ask(cl, &v); err != nil {
		return err
	}
	if asJSON {
		return printJSON(s.out, v)
	}
	print(&v)
	return nil
}

// lifeFlag checks --for.
func lifeFlag(c *cobra.Command, text string) error {
	d, err := config.ParseDuration(text)
	if text == "" {
		return wrong(c, "say how long: every decision expires; for example --for 1h")
	}
	if err != nil || d <= 0 {
		return wrong(c, "--for %.40q is not a duration such as 15m, 2h or 7d", text)
	}
	return nil
}

func short(id string) string { return console.Clean(id[:min(len(id), shortID)], shortID) }

// standing says what a decision does at the moment, painted.
func standing(p console.Palette, d *api.Decision, now time.Time) string {
	switch {
	case d.State == decision.Proposed:
		return p.Yellow("proposed")
	case d.State != decision.Active:
		return p.Dim(console.Clean(string(d.State), 20))
	case !now.Before(d.Expires):
		return p.Dim("expired")
	case d.Mode == decision.Observe:
		return p.Cyan("observe")
	}
	return p.Red("enforce")
}

// remaining says how long a decision has left.
func remaining(d *api.Decision, now time.Time) string {
	left := d.Expires.Sub(now)
	if left <= 0 || d.State == decision.Expired || d.State == decision.Revoked {
		return "-"
	}
	if left > time.Minute {
		left = left.Round(time.Minute)
	}
	return console.Duration(left)
}

// origin names the rule or the person behind a decision.
func origin(d *api.Decision) string {
	name := strings.TrimPrefix(strings.TrimPrefix(d.Creator, "rule:"), "person:")
	return console.Clean(name, 60)
}
