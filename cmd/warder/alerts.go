package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/history"
)

func newAlerts(s streams) *cobra.Command {
	f := &apiFlags{}
	c := &cobra.Command{Use: "alerts", GroupID: "work", Short: "See alerts, and say what became of them",
		Long: `Lists alerts, shows one with its evidence, and records what people make of them.
An id may be shortened as long as only one alert begins with it.`,
		Example: `  warder alerts list --severity high --state open
  warder alerts show 4f1c0a9e
  warder alerts close 4f1c0a9e --verdict false_positive --note "load test"`}
	f.register(c.PersistentFlags())
	c.AddCommand(newAlertsList(s, f), newAlertsShow(s, f), newAlertsAck(s, f), newAlertsClose(s, f), newAlertsReopen(s, f))
	return c
}

func alertColumns() []column[history.Alert] {
	return []column[history.Alert]{
		{"id", func(a history.Alert) string { return a.ID[:min(len(a.ID), shortID)] }},
		{"time", func(a history.Alert) string { return a.Time.UTC().Format(stamp) }},
		{"severity", func(a history.Alert) string { return string(a.Severity) }},
		{"state", stateOf},
		{"rule", func(a history.Alert) string { return a.Rule }},
		{"who", func(a history.Alert) string { return console.Entity(a.Group) }},
		{"evidence", func(a history.Alert) string { return evidence(a.Alert) }},
	}
}

func stateOf(a history.Alert) string {
	if a.Triage.Verdict != "" {
		return a.Triage.State + ": " + a.Triage.Verdict
	}
	return a.Triage.State
}

func paintAlert(p console.Palette) func(head, text string) string {
	return func(head, text string) string {
		if head == "severity" {
			return p.Severity(alert.Severity(text))
		}
		return text
	}
}

func newAlertsList(s streams, f *apiFlags) *cobra.Command {
	var span spanFlags
	var q history.AlertFilter
	severity, output, follow := "", "", false
	c := &cobra.Command{Use: "list", Short: "List alerts, the newest first", Long: "Lists alerts, the newest first. --follow goes on with what comes, until ctrl-c.",
		Example: "  warder alerts list --since 7d --state open\n  warder alerts list --entity 203.0.113.9 --output json\n  warder alerts list --severity high --follow", Args: noArgs}
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if q.Span, err = span.span(c, time.Now()); err != nil {
			return err
		}
		if follow && (span.until != "" || output == asCSV) {
			return wrong(c, "--follow goes with neither --until nor --output csv")
		}
		q.MinSeverity = alert.Severity(severity)
		h, err := f.history()
		if err != nil {
			return err
		}
		if follow {
			return followAlerts(c.Context(), s, h, q, output, pollEvery)
		}
		rows, err := h.Alerts(c.Context(), q)
		if err != nil {
			return err
		}
		return list(s, output, "no alerts", alertColumns(), rows, paintAlert(console.NewPalette(console.WantsColour(s.out))))
	}
	span.register(c, "1d")
	choice(c, &severity, "severity", "", "only this severity and above: info, low, medium, high, critical",
		"info", "low", "medium", "high", "critical")
	choice(c, &q.State, "state", "", "only this state: open, acknowledged, closed", history.Open, history.Acknowledged, history.Closed)
	c.Flags().StringVar(&q.Rule, "rule", "", "only alerts of the rule with this `id`")
	c.Flags().StringVar(&q.Tag, "tag", "", "only alerts with this tag")
	c.Flags().StringVar(&q.Entity, "entity", "", "only alerts about this address, principal or other `value`")
	c.Flags().BoolVar(&follow, "follow", false, "go on with what comes")
	limitFlag(c, &q.Limit, 100)
	outputFlag(c, &output)
	return c
}

// followAlerts prints the newest of what is there, the oldest first, and what comes until ctx ends, by when it is stored.
func followAlerts(ctx context.Context, s streams, h history.Reader, q history.AlertFilter, output string, every time.Duration) error {
	seen, first := newRecent(remembered), q.Limit
	var newest time.Time
	paint := paintAlert(console.NewPalette(console.WantsColour(s.out)))
	columns := alertColumns()
	q.Limit = history.MaxRows
	return poll(ctx, s, every, func() error {
		rows, err := h.Alerts(ctx, q)
		if err != nil {
			return err
		}
		if len(rows) == history.MaxRows && !q.StoredSince.IsZero() {
			fmt.Fprintf(s.err, "warder: more than %d alerts came at once, and not all are shown: narrow them down with --severity or --rule\n", history.MaxRows)
		}
		for _, a := range rows {
			if a.Stored.After(newest) {
				newest, q.StoredSince = a.Stored, a.Stored.Add(-alertOverlap)
			}
		}
		rows = slices.DeleteFunc(rows, func(a history.Alert) bool { return !seen.add(a.ID) })
		rows, first = rows[:min(len(rows), first)], history.MaxRows
		slices.Reverse(rows)
		if len(rows) == 0 || output == asJSON {
			return eachJSON(s, rows)
		}
		t := console.NewTable()
		for _, a := range rows {
			tableRow(t, columns, a, paint)
		}
		return t.Write(s.out, console.NewPalette(false), console.Width(s.out))
	})
}

func newAlertsShow(s streams, f *apiFlags) *cobra.Command {
	asJSON := false
	c := &cobra.Command{Use: "show ID", Short: "Show one alert and its evidence", Long: "Shows one alert: what the rule found, what happened, and what people made of it.",
		Example: "  warder alerts show 4f1c0a9e", Args: one("the id of an alert")}
	c.RunE = func(c *cobra.Command, args []string) error {
		h, err := f.history()
		if err != nil {
			return err
		}
		d, err := h.Alert(c.Context(), args[0])
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(s.out, d)
		}
		newPageOf(s.out).alert(d)
		return nil
	}
	jsonFlag(c, &asJSON)
	return c
}

func (g *page) alert(d *history.AlertDetail) {
	fmt.Fprintln(g.w, g.p.Severity(d.Severity)+" "+g.p.Bold(console.Clean(d.Title, 120)))
	g.row("alert", console.Clean(d.ID, 64))
	g.row("state", console.Clean(stateOf(d.Alert), 60))
	g.row("rule", console.Clean(d.Rule, 100))
	g.row("", console.Clean(strings.Join(strings.Fields(d.Description), " "), 500))
	g.row("who", console.Entity(d.Group))
	g.row("measured", console.Measured(d.Alert.Alert))
	g.row("window", d.Window.Start.UTC().Format(stamp)+" to "+d.Window.End.UTC().Format(stamp))
	g.row("tags", console.Clean(strings.Join(d.Tags, " "), 300))
	g.row("mode", console.Clean(string(d.Mode), 20))
	g.row("events", fmt.Sprintf("%d counted, %d kept as evidence, %d still in the store", d.EventCount, len(d.Events), len(d.Evidence)))
	if d.Coverage.Dropped > 0 {
		g.row("blind", fmt.Sprintf("%d events were lost within the window", d.Coverage.Dropped))
	}
	fmt.Fprintln(g.w, "What happened")
	for _, l := range story(d) {
		fmt.Fprintf(g.w, "  %s  %s\n", g.p.Dim(l.at.UTC().Format("2006-01-02 15:04:05.000")), l.text)
	}
}

// happening is a line of an alert's story; its text is clean.
type happening struct {
	at   time.Time
	text string
}

// story puts evidence, the alert, decisions and what people did in the order of time.
func story(d *history.AlertDetail) []happening {
	out := []happening{{d.Time, "alert: " + console.Clean(d.Title, 120)}}
	for _, e := range d.Evidence {
		text := fmt.Sprintf("%s %s → %d from %s", e.Request.Method, e.Request.Path, e.Response.Code, e.Source.Address)
		if e.Principal.ID != "" {
			text += " as " + e.Principal.ID
		}
		out = append(out, happening{e.Time, console.Clean(text, 200)})
	}
	for _, x := range d.Decisions {
		out = append(out, happening{x.Updated, "decision " + short(x.ID) + ": " + changeText(x)})
	}
	for _, t := range d.History {
		text := t.State
		if t.Verdict != "" {
			text += ": " + t.Verdict
		}
		text += " by " + t.By
		if t.Note != "" {
			text += ": " + t.Note
		}
		out = append(out, happening{t.Time, console.Clean(text, 300)})
	}
	slices.SortStableFunc(out, func(a, b happening) int { return a.at.Compare(b.at) })
	return out
}

func newAlertsAck(s streams, f *apiFlags) *cobra.Command {
	return triaging(s, f, &history.Triage{State: history.Acknowledged}, &cobra.Command{Use: "ack ID...", Short: "Say that somebody looks into alerts",
		Long: "Records that somebody looks into the alerts.", Example: "  warder alerts ack 4f1c0a9e --note \"asking the customer\""})
}

func newAlertsReopen(s streams, f *apiFlags) *cobra.Command {
	return triaging(s, f, &history.Triage{State: history.Open}, &cobra.Command{Use: "reopen ID...", Short: "Open alerts again",
		Long: "Opens alerts again.", Example: "  warder alerts reopen 4f1c0a9e --note \"it goes on\""})
}

func newAlertsClose(s streams, f *apiFlags) *cobra.Command {
	t := &history.Triage{State: history.Closed}
	c := &cobra.Command{Use: "close ID...", Short: "Close alerts with a verdict",
		Long: `Closes alerts. The verdict is what rules are tuned by: true_positive,
false_positive, or benign for what happened as told, and is meant to.`,
		Example: "  warder alerts close 4f1c0a9e 77ab --verdict benign --note \"pen test\""}
	choice(c, &t.Verdict, "verdict", "", "`verdict`: true_positive, false_positive or benign", history.TruePositive, history.FalsePositive, history.Benign)
	return triaging(s, f, t, c)
}

// triaging completes a command that changes what people make of some alerts.
func triaging(s streams, f *apiFlags, t *history.Triage, c *cobra.Command) *cobra.Command {
	c.Args = someArgs("the id of an alert")
	c.RunE = func(c *cobra.Command, ids []string) error {
		if t.State == history.Closed && t.Verdict == "" {
			return wrong(c, "say what it was: --verdict true_positive, false_positive or benign")
		}
		h, err := f.history()
		if err != nil {
			return err
		}
		var errs []error
		for _, id := range ids {
			d, err := h.Alert(c.Context(), id) // the whole id
			if err == nil {
				_, err = h.Triage(c.Context(), "", d.ID, *t)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%.40q: %w", id, err))
				continue
			}
			fmt.Fprintf(s.out, "%s  %s: %s\n", short(d.ID), stateOf(history.Alert{Triage: *t}), console.Clean(d.Title, 120))
		}
		return errors.Join(errs...)
	}
	c.Flags().StringVar(&t.Note, "note", "", "why, for people")
	return c
}
