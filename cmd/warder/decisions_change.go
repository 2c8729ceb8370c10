package main

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/decision"
)

// addFlags describe a new decision.
type addFlags struct {
	scope, action, life, note, rate string
	with                            []string
	burst, status                   int
	observe                         bool
}

func newDecisionsAdd(s streams, api *apiFlags) *cobra.Command {
	f := &addFlags{}
	c := &cobra.Command{Use: "add VALUE", Short: "Make a decision",
		Long: `Makes a decision about an entity: an address or a CIDR, or with --scope
anything else that a request shows. --with narrows it: a request must meet all.

Guardrails apply. What one of them holds back becomes a proposal.`,
		Example: `  warder decisions add 203.0.113.9 --for 1h --note "card testing"
  warder decisions add 203.0.113.0/24 --for 15m --with api.route=/login
  warder decisions add alice --scope principal.id --for 1d \
    --action limit --rate 10/s --burst 20`, Args: one("one value")}
	c.RunE = func(c *cobra.Command, args []string) error {
		req, err := f.request(c, args[0])
		if err != nil {
			return err
		}
		return change(c, s, api, "", "", req)
	}
	c.Flags().StringVar(&f.life, "for", "", "how long it lasts, for example 15m, 2h, 7d")
	c.Flags().StringVar(&f.scope, "scope", "", "what the value is: principal.id, api.route, source.country, … (default: an address or CIDR by its look)")
	c.Flags().StringArrayVar(&f.with, "with", nil, "and only where `scope=value`; may be given again")
	c.Flags().StringVar(&f.action, "action", string(decision.Block), "block, limit, challenge or log")
	c.Flags().StringVar(&f.rate, "rate", "", "for a limit: `requests/time`, for example 10/s or 100/5m")
	c.Flags().IntVar(&f.burst, "burst", 0, "for a limit: requests at once (default: as many as --rate has)")
	c.Flags().IntVar(&f.status, "status", 0, "for a challenge: answer 401 or 429")
	c.Flags().BoolVar(&f.observe, "observe", false, "only mark the requests, refuse none")
	c.Flags().StringVar(&f.note, "note", "", "why, for people and the audit ledger")
	return c
}

// request makes the API's request of the flags. What the API checks anyway is left to it.
func (f *addFlags) request(c *cobra.Command, value string) (*api.AddRequest, error) {
	if err := lifeFlag(c, f.life); err != nil {
		return nil, err
	}
	scope := decision.Scope(f.scope)
	if scope == "" {
		if scope = guessScope(value); scope == "" {
			return nil, wrong(c, "%.80q is neither an address nor a CIDR: say with --scope what it is", value)
		}
	}
	r := &api.AddRequest{Action: decision.Action(f.action), Terms: []decision.Term{{Scope: scope, Value: value}}, TTL: f.life,
		Status: f.status, Note: f.note}
	for _, w := range f.with {
		scope, value, ok := strings.Cut(w, "=")
		if !ok || value == "" {
			return nil, wrong(c, "--with %.80q is not scope=value, for example api.route=/login", w)
		}
		r.Terms = append(r.Terms, decision.Term{Scope: decision.Scope(scope), Value: value})
	}
	for _, t := range r.Terms {
		if !slices.Contains(decision.Scopes(), t.Scope) {
			return nil, wrong(c, "%.40q is no scope; known are %s", string(t.Scope), scopeNames())
		}
	}
	if f.observe {
		r.Mode = decision.Observe
	}
	return r, f.setRate(c, r)
}

func (f *addFlags) setRate(c *cobra.Command, r *api.AddRequest) error {
	if f.rate == "" {
		if f.burst != 0 {
			return wrong(c, "--burst belongs to --rate")
		}
		return nil
	}
	n, per, ok := strings.Cut(f.rate, "/")
	requests, err := strconv.Atoi(n)
	if !ok || err != nil || per == "" {
		return wrong(c, "--rate %.40q is not requests/time, for example 10/s or 100/5m", f.rate)
	}
	if per[0] < '0' || per[0] > '9' {
		per = "1" + per
	}
	r.Rate = &api.RateRequest{Requests: requests, Per: per, Burst: f.burst}
	return nil
}

func scopeNames() string {
	var out []string
	for _, s := range decision.Scopes() {
		out = append(out, string(s))
	}
	return strings.Join(out, ", ")
}

// guessScope tells an address from a CIDR; "" is neither.
func guessScope(value string) decision.Scope {
	if _, err := netip.ParseAddr(value); err == nil {
		return decision.Address
	}
	if _, err := netip.ParsePrefix(value); err == nil {
		return decision.CIDR
	}
	return ""
}

func newDecisionsExtend(s streams, f *apiFlags) *cobra.Command {
	life := ""
	c := &cobra.Command{Use: "extend ID", Short: "Let a decision last longer",
		Long:    "Gives a decision a new life, counted from now.",
		Example: "  warder decisions extend 4f1c0a9e --for 2h", Args: one("the id of a decision")}
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := lifeFlag(c, life); err != nil {
			return err
		}
		return change(c, s, f, args[0], "extend", api.ExtendRequest{TTL: life})
	}
	c.Flags().StringVar(&life, "for", "", "how long from now, for example 15m, 2h, 7d")
	return c
}

func newDecisionsRevoke(s streams, f *apiFlags) *cobra.Command {
	return noted(s, f, &cobra.Command{Use: "revoke ID", Short: "End a decision, let the entity in again",
		Long:    "Ends a decision, or turns a proposal down.",
		Example: "  warder decisions revoke 4f1c0a9e --note \"it was the load test\""}, "revoke")
}

func newDecisionsApprove(s streams, f *apiFlags) *cobra.Command {
	return noted(s, f, &cobra.Command{Use: "approve ID", Short: "Put a proposed decision in force",
		Long:    "Puts a decision in force that a guardrail held back. Needs the role approve.",
		Example: "  warder decisions approve 4f1c0a9e --note \"not our office any more\""}, "approve")
}

// noted completes a command that changes a decision and takes a note.
func noted(s streams, f *apiFlags, c *cobra.Command, verb string) *cobra.Command {
	note := ""
	c.Args = one("the id of a decision")
	c.RunE = func(c *cobra.Command, args []string) error {
		return change(c, s, f, args[0], verb, api.NoteRequest{Note: note})
	}
	c.Flags().StringVar(&note, "note", "", "why, for people and the audit ledger")
	return c
}

// change asks for a change of the decision with the id, or for a new one when there is no id, and says what came of it.
func change(c *cobra.Command, s streams, f *apiFlags, id, verb string, in any) error {
	cl, err := f.client()
	if err != nil {
		return err
	}
	path := "decisions"
	if id != "" {
		if id, err = cl.resolve(c.Context(), id); err != nil {
			return err
		}
		path += "/" + id + "/" + verb
	}
	var d api.Decision
	if err := cl.Call(c.Context(), http.MethodPost, path, nil, in, &d); err != nil {
		return err
	}
	p := console.NewPalette(console.WantsColour(s.out))
	fmt.Fprintf(s.out, "%s  %s\n", short(d.ID), sentence(p, &d))
	return nil
}
