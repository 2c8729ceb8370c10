package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/internal/apiclient"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/decision"
)

func newDecisionsShow(s streams, f *apiFlags) *cobra.Command {
	asJSON := false
	c := &cobra.Command{Use: "show ID", Short: "Show one decision", Long: "Shows one decision: what it does, until when, and why.",
		Example: "  warder decisions show 4f1c0a9e", Args: one("the id of a decision")}
	c.RunE = func(c *cobra.Command, args []string) error {
		return reading(c, s, f, asJSON, func(cl *apiClient, d *api.Decision) error {
			id, err := cl.resolve(c.Context(), args[0])
			if err != nil {
				return err
			}
			return cl.Call(c.Context(), http.MethodGet, "decisions/"+id, nil, nil, d)
		}, newPageOf(s.out).decision)
	}
	jsonFlag(c, &asJSON)
	return c
}

func newDecisionsExplain(s streams, f *apiFlags) *cobra.Command {
	asJSON := false
	c := &cobra.Command{Use: "explain ID|ENTITY", Short: "Say what happens to an entity, and why",
		Long: `Says what gateways do about an entity right now and why: the request, the alert
and the rule behind it, the guardrails, who approved, which gateways have
acknowledged, and what was refused since.`,
		Example: "  warder decisions explain 203.0.113.9\n  warder decisions explain 4f1c0a9e", Args: one("an id, or an entity such as 203.0.113.9")}
	c.RunE = func(c *cobra.Command, args []string) error {
		return reading(c, s, f, asJSON, func(cl *apiClient, e *api.Explanation) error {
			return cl.explain(c.Context(), args[0], e)
		}, newPageOf(s.out).explanation)
	}
	jsonFlag(c, &asJSON)
	return c
}

// explain asks about an entity or an id; what is neither, but looks like an id, may be a shortened one.
func (c *apiClient) explain(ctx context.Context, what string, e *api.Explanation) error {
	err := c.Call(ctx, http.MethodGet, "explain", url.Values{"entity": {what}}, nil, e)
	var p *apiclient.Problem
	if !errors.As(err, &p) || p.Status != http.StatusNotFound || strings.Trim(what, "0123456789abcdef") != "" {
		return err
	}
	id, err := c.resolve(ctx, what)
	if err != nil {
		return err
	}
	return c.Call(ctx, http.MethodGet, "decisions/"+id+"/explain", nil, nil, e)
}

// page prints a decision for people.
type page struct {
	w   io.Writer
	p   console.Palette
	now time.Time
}

func newPageOf(w io.Writer) *page {
	return &page{w, console.NewPalette(console.WantsColour(w)), time.Now()}
}

// row prints a name and a text, if there is one.
func (g *page) row(name, text string) {
	if text != "" {
		fmt.Fprintf(g.w, "  %s %s\n", g.p.Dim(fmt.Sprintf("%-12s", name)), text)
	}
}

func (g *page) explanation(e *api.Explanation) {
	fmt.Fprintln(g.w, g.p.Bold(console.Clean(e.Effective, 500)))
	if e.Decision != nil {
		g.decision(e.Decision)
	}
	if len(e.Guardrails) > 0 {
		fmt.Fprintln(g.w, "Guardrails")
	}
	for _, f := range e.Guardrails {
		mark := g.p.Green("passed")
		if f.Held {
			mark = g.p.Yellow("held  ")
		}
		fmt.Fprintf(g.w, "  %s %s: %s\n", mark, console.Clean(f.Guardrail, 40), console.Clean(f.Says, 300))
	}
	if len(e.Gateways) > 0 {
		fmt.Fprintln(g.w, "Gateways")
	}
	for _, a := range e.Gateways {
		fmt.Fprintf(g.w, "  %s\n", g.acknowledged(a))
	}
	g.refusals(e)
}

func (g *page) acknowledged(a enforcer.Acknowledgement) string {
	name := console.Clean(a.Gateway, 60) + " (" + console.Clean(a.Kind, 20) + ")"
	text := g.p.Yellow("has not acknowledged")
	if a.Acked {
		text = g.p.Green("acknowledged")
		if !a.At.IsZero() {
			text += " " + clock(a.At)
		}
	}
	if a.Error != "" {
		text += ": " + console.Clean(a.Error, 200)
	}
	return name + " " + text
}

func (g *page) refusals(e *api.Explanation) {
	if e.Decision == nil {
		return
	}
	fmt.Fprintln(g.w, "Effect")
	if e.Refusals == 0 {
		fmt.Fprintln(g.w, "  no request was refused so far, as far as gateways report")
		return
	}
	text := fmt.Sprintf("  %d requests refused", e.Refusals)
	if !e.FirstRefusal.IsZero() {
		text += ", the first " + clock(e.FirstRefusal)
	}
	fmt.Fprintln(g.w, text)
}

func (g *page) decision(d *api.Decision) {
	g.row("decision", console.Clean(d.ID, 64))
	g.row("what", sentence(g.p, d))
	g.row("state", standing(g.p, d, g.now))
	if d.Wanted != "" && d.Wanted != d.Mode {
		g.row("", "the rule asks to "+console.Clean(string(d.Wanted), 20))
	}
	g.row("made", clock(d.Created)+" by "+console.Clean(d.Creator, 100))
	expires := clock(d.Expires)
	if left := remaining(d, g.now); left != "-" {
		expires += ", in " + left
	}
	g.row("expires", expires)
	g.row("changed by", console.Clean(d.Approver, 100))
	g.reason(d.Reason)
	if d.Offence > 0 {
		g.row("offence", fmt.Sprintf("%d within the ladder's memory", d.Offence))
	}
	if d.Share > 0 {
		g.row("touches", fmt.Sprintf("%.2g %% of the last minutes' successful requests", d.Share*100))
	}
	g.row("guardrail", console.Clean(d.Guardrail, 60))
	g.row("note", console.Clean(d.Note, api.MaxNote))
}

func (g *page) reason(r decision.Reason) {
	if r.Rule != "" {
		text := console.Clean(r.Rule, 100)
		if r.RuleVersion != "" {
			text += " " + g.p.Dim("version "+console.Clean(r.RuleVersion, 64))
		}
		g.row("rule", text)
	}
	g.row("", console.Clean(r.Title, 120))
	g.row("alert", console.Clean(r.Alert, 64))
	if r.Event != "" {
		text := console.Clean(r.Event, 100)
		if !r.EventTime.IsZero() {
			text += " at " + clock(r.EventTime)
		}
		g.row("event", text)
	}
}

// clock writes a time for people, in their zone.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// sentence says what a decision does, to whom and how long.
func sentence(p console.Palette, d *api.Decision) string {
	text := console.Clean(string(d.Action), 12) + " " + p.Bold(console.Clean(d.Entity, 200))
	if d.Rate != nil {
		per := time.Duration(d.Rate.PerSeconds * float64(time.Second))
		text += fmt.Sprintf(" above %d requests in %s, %d at once,", d.Rate.Requests, per, d.Rate.Burst)
	}
	if d.Status != 0 {
		text += fmt.Sprintf(" with %d", d.Status)
	}
	switch {
	case d.State == decision.Proposed:
		return text + ": " + p.Yellow("proposed") + ", waits for approval"
	case d.State != decision.Active:
		return text + ": " + console.Clean(string(d.State), 20)
	case d.Mode == decision.Observe:
		text = "only observe: " + text
	}
	return text + " until " + clock(d.Expires)
}
