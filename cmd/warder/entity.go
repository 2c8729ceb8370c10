package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/history"
)

func newEntity(s streams) *cobra.Command {
	f := &apiFlags{}
	c := &cobra.Command{Use: "entity", GroupID: "work", Short: "Show what is known of a client, user or tenant",
		Long: "Shows what is known of a client's address, a user or a tenant.", Example: "  warder entity show 203.0.113.9"}
	f.register(c.PersistentFlags())
	c.AddCommand(newEntityShow(s, f))
	return c
}

func newEntityShow(s streams, f *apiFlags) *cobra.Command {
	var span spanFlags
	kind, asJSON := "", false
	c := &cobra.Command{Use: "show VALUE|KIND:VALUE", Short: "Show the profile of a client, user or tenant",
		Long: `Shows when it was seen and how often, what it called and from where, its alerts
and the decisions about it. What looks like an IP is an address, all else
a principal; write tenant:acme, or --kind, for others.`,
		Example: "  warder entity show 203.0.113.9 --since 7d\n  warder entity show principal:alice\n  warder entity show acme --kind tenant",
		Args:    one("one address, principal or tenant")}
	c.RunE = func(c *cobra.Command, args []string) error {
		during, err := span.span(c, time.Now())
		if err != nil {
			return err
		}
		h, err := f.history()
		if err != nil {
			return err
		}
		e, err := h.Entity(c.Context(), entityID(kind, args[0]), during)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(s.out, e)
		}
		return newPageOf(s.out).entity(e)
	}
	span.register(c, "1d")
	choice(c, &kind, "kind", "", "`kind`: address, principal or tenant (default told by its look)", history.Address, history.Principal, history.Tenant)
	jsonFlag(c, &asJSON)
	return c
}

// entityID reads KIND:VALUE, or tells the kind by the value's look.
func entityID(kind, text string) history.EntityID {
	if kind != "" {
		return history.EntityID{Kind: kind, Value: text}
	}
	if k, v, ok := strings.Cut(text, ":"); ok && v != "" && slices.Contains([]string{history.Address, history.Principal, history.Tenant}, k) {
		return history.EntityID{Kind: k, Value: v}
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return history.EntityID{Kind: history.Address, Value: a.Unmap().String()}
	}
	return history.EntityID{Kind: history.Principal, Value: text}
}

func (g *page) entity(e *history.Entity) error {
	fmt.Fprintln(g.w, console.Clean(e.Kind, 20)+" "+g.p.Bold(console.Clean(e.Value, 200)))
	from := console.Clean(e.Country, 20)
	if e.ASN != 0 {
		from = strings.TrimSpace(fmt.Sprintf("%s AS%d", from, e.ASN))
	}
	g.row("from", from)
	g.row("seen", e.First.UTC().Format(stamp)+" to "+e.Last.UTC().Format(stamp))
	g.row("requests", fmt.Sprintf("%d: %d denied, %d not found, %d limited, %d errors, %d refused by Warder, %d writes, %d flagged",
		e.Requests, e.Denied, e.NotFound, e.Limited, e.Errors, e.Refused, e.Writes, e.Flagged))
	g.row("answers", fmt.Sprintf("%d bytes", e.Bytes))
	if e.Tokens > 0 {
		g.row("tokens", fmt.Sprint(e.Tokens))
	}
	g.row("different", fmt.Sprintf("%d routes, %d addresses, %d principals", e.Distinct.Routes, e.Distinct.Addresses, e.Distinct.Principals))
	var counts []uint64
	for _, b := range e.Timeline {
		counts = append(counts, b.Count)
	}
	if len(counts) > 0 {
		g.row("over time", console.Spark(counts, 60))
	}
	for _, field := range slices.Sorted(maps.Keys(e.Top)) {
		g.top(field, e.Top[field])
	}
	if err := g.alerts(e.Alerts); err != nil {
		return err
	}
	g.changes(e.Decisions)
	return nil
}

func (g *page) top(field string, list []history.Count) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(g.w, "Top "+console.Clean(field, 60))
	for _, x := range list[:min(len(list), 10)] {
		fmt.Fprintf(g.w, "  %8d  %5.1f%%  %s\n", x.Count, x.Share*100, console.Clean(x.Value, 100))
	}
}

func (g *page) alerts(list []history.Alert) error {
	if len(list) == 0 {
		return nil
	}
	fmt.Fprintln(g.w, "Alerts")
	t := console.NewTable()
	for _, a := range list {
		tableRow(t, alertColumns(), a, paintAlert(g.p))
	}
	return t.Write(g.w, g.p, console.Width(g.w))
}

func (g *page) changes(list []history.DecisionChange) {
	if len(list) > 0 {
		fmt.Fprintln(g.w, "Decisions")
	}
	for _, d := range list {
		fmt.Fprintf(g.w, "  %s  %s  %s\n", short(d.ID), d.Updated.UTC().Format(stamp), changeText(d))
	}
}

// changeText says what a decision became.
func changeText(d history.DecisionChange) string {
	return console.Clean(fmt.Sprintf("%s %s (%s), %s until %s", d.Action, d.Entity(), d.State, d.Mode, d.Expires.UTC().Format(stamp)), 300)
}
