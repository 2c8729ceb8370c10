package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/warder/warder/detector/trial"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

type explainFlags struct {
	json, all bool
	event     int
	paths     []string
}

func newRulesExplain(s streams) *cobra.Command {
	f := &explainFlags{}
	c := &cobra.Command{Use: "explain RULE EVENTS.json", Short: "Why a rule does or does not alert on events",
		Long: `Shows which parts of the rule's filter were true for an event and what the
fields held, which of the index's keys let it in, what it adds to the
aggregates, and, when there are several events, the window's values after each,
where the condition held and where it alerted. Events are in the form of test
fixtures, one JSON object or several; alerts and rows of the store do as well;
- is standard input. Exits with 0 whether the rule alerts or not.`,
		Example: "  warder rules explain sql-injection event.json\n  warder rules explain --rules my-rules --event 3 login-stuffing events.jsonl",
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) != 2 {
			return wrong(c, "explain needs the id of a rule and a file of events, or - for standard input")
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		set, err := loadRules(f.paths)
		if err != nil {
			return err
		}
		r, err := set.Find(args[0])
		if err != nil && len(f.paths) == 0 {
			err = fmt.Errorf("%w (these are the shipped rules; --rules PATH names your own)", err)
		}
		if err != nil {
			return usageError{err}
		}
		events, err := readEvents(c, s, args[1])
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", args[1], err)}
		}
		if f.event < 0 || f.event > len(events) {
			return wrong(c, "--event %d: there are %d events", f.event, len(events))
		}
		x, err := trial.Explain(set, r, events, f.event)
		if err != nil {
			return err
		}
		if f.json {
			enc := json.NewEncoder(s.out)
			enc.SetIndent("", "  ")
			return enc.Encode(x)
		}
		e := &explainer{w: s.out, p: console.NewPalette(console.WantsColour(s.out)), all: f.all}
		e.print(r, x)
		return nil
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object")
	c.Flags().BoolVar(&f.all, "all", false, "show every event, also those that do not match")
	c.Flags().IntVar(&f.event, "event", 0, "take apart the event with this `number` instead of the first that alerts")
	c.Flags().StringSliceVar(&f.paths, "rules", nil, "rule files and folders (default: the shipped packs)")
	return c
}

func readEvents(c *cobra.Command, s streams, name string) ([]*event.Event, error) {
	if name == "-" {
		return trial.ReadEvents(newInterruptible(c.Context(), s.in))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return trial.ReadEvents(f)
}

// explainer prints an explanation for people.
type explainer struct {
	w   io.Writer
	p   console.Palette
	all bool
}

// Bounds of what is shown of a text, in characters, and how many events are listed without --all.
const (
	maxTerm   = 160
	maxFields = 200 // of all fields of an event or a term together
	maxListed = 40
)

func (e *explainer) print(r *rules.Rule, x *trial.Explanation) {
	fmt.Fprintf(e.w, "%s  %s  %s\n\n", e.p.Bold(r.ID), console.Clean(r.Title, 200), e.p.Dim(fmt.Sprintf("%s:%d", r.File, r.Line)))
	fmt.Fprintf(e.w, "event %d of %d  %s\n", x.Focus, len(x.Events), e.p.Dim(console.Clean(fieldList(x.Fields, maxTerm), maxFields)))
	if len(x.Why.Steps) > 0 {
		e.steps(x.Why.Steps)
	} else {
		e.term("filter", x.Why.Filter)
	}
	switch {
	case len(x.Why.Keys) == 0:
	case len(x.Why.LetIn) == 0:
		fmt.Fprintf(e.w, "index   none of its keys: %s\n", console.Clean(strings.Join(x.Why.Keys, ", "), maxFields))
	default:
		fmt.Fprintf(e.w, "index   let in by %s\n", console.Clean(strings.Join(x.Why.LetIn, ", "), maxFields))
	}
	if len(x.Why.Group) > 0 {
		fmt.Fprintf(e.w, "group   %s\n", fieldList(x.Why.Group, maxTerm))
	}
	if x.Why.Not != "" {
		fmt.Fprintf(e.w, "but     %s\n", e.p.Yellow(console.Clean(x.Why.Not, 400)))
	}
	for i, a := range x.Why.Args {
		head := "        "
		if i == 0 {
			head = "adds    "
		}
		fmt.Fprintf(e.w, "%s%s %s %s\n", head, e.mark(a.In, ""), a.Name, e.p.Dim(console.Clean(a.Value, maxTerm)))
	}
	if x.Condition != nil {
		e.term("condition", x.Condition)
	}
	e.forms(x.Events[x.Focus-1].Forms)
	e.verdict(r, x)
	e.list(r, x)
}

// mark is ✓ or ✗, or ! for what could not be evaluated.
func (e *explainer) mark(holds bool, err string) string {
	switch {
	case err != "":
		return e.p.Yellow("!")
	case holds:
		return e.p.Green("✓")
	}
	return e.p.Red("✗")
}

func (e *explainer) term(name string, t *rules.Term) {
	fmt.Fprintln(e.w, name)
	e.tree(t, 1)
}

func (e *explainer) tree(t *rules.Term, depth int) {
	text := map[string]string{rules.TermAnd: "all of", rules.TermOr: "one of", rules.TermNot: "not"}[t.Op]
	if t.Op == rules.TermIs {
		text = console.Clean(strings.Join(strings.Fields(t.Text), " "), maxTerm)
	}
	if t.Macro != "" {
		text = console.Clean(t.Macro, maxTerm) + "  " + e.p.Dim("= "+text)
	}
	line := strings.Repeat("  ", depth) + e.mark(t.Holds, t.Err) + " " + text
	if len(t.Fields) > 0 {
		line += "  " + e.p.Dim(console.Clean(fieldList(t.Fields, maxTerm), maxFields))
	}
	for _, found := range t.Found {
		line += "  " + e.p.Cyan("found "+console.Clean(fmt.Sprintf("%q", found), maxTerm))
	}
	if t.Err != "" {
		line += "  " + e.p.Yellow(console.Clean(t.Err, 200))
	}
	fmt.Fprintln(e.w, line)
	for _, x := range t.Terms {
		e.tree(x, depth+1)
	}
}

func (e *explainer) verdict(r *rules.Rule, x *trial.Explanation) {
	o := x.Events[x.Focus-1]
	switch {
	case o.Alerts > 0:
		fmt.Fprintln(e.w, "result  "+e.p.Red("alert"))
	case o.Window != nil && o.Window.Silent && o.Window.Holds:
		fmt.Fprintln(e.w, "result  no alert: the condition holds, but the group alerted before (suppress)")
	case o.Window != nil:
		fmt.Fprintln(e.w, "result  no alert: it counts in the window, and the condition does not hold")
	case o.Matches && r.Form != rules.FormEvents:
		fmt.Fprintln(e.w, "result  no alert: the "+r.Form+" is not fulfilled by it, or the group alerted before (suppress)")
	case o.Matches && len(r.Seen) > 0 && r.Window.Type == rules.None:
		fmt.Fprintln(e.w, "result  no alert: a condition on what was seen before does not hold, or the group alerted before (suppress)")
	case o.Matches:
		fmt.Fprintln(e.w, "result  no alert: it matches, but counts for no aggregate, or the group alerted before (suppress)")
	default:
		fmt.Fprintln(e.w, "result  no match")
	}
}

// list shows what each event did.
func (e *explainer) list(r *rules.Rule, x *trial.Explanation) {
	if len(x.Events) < 2 {
		return
	}
	head := []string{"event", "time", "match"}
	if r.Window.Type != rules.None {
		head = append(head, "group", "window", "condition")
	}
	formed := r.Form != rules.FormEvents || len(r.Seen) > 0
	if formed {
		head = append(head, "state")
	}
	t := console.NewTable(append(head, "")...)
	matched, alerts, left := 0, 0, 0
	for i := range x.Events {
		o := &x.Events[i]
		alerts += o.Alerts
		if o.Matches {
			matched++
		}
		if !e.all && (!o.Matches && len(o.Forms) == 0 && o.Alerts == 0 || t.Len() >= maxListed && o.Alerts == 0) {
			left++
			continue
		}
		t.Row(e.row(o, r.Window.Type != rules.None, formed)...)
	}
	fmt.Fprintln(e.w)
	if t.Len() > 0 {
		_ = t.Write(e.w, e.p, console.Width(e.w)) // main notices when standard output fails
	}
	fmt.Fprintf(e.w, "%d events, %d match, %d alerts", len(x.Events), matched, alerts)
	if left > 0 {
		fmt.Fprintf(e.w, "; %d not shown, see --all", left)
	}
	fmt.Fprintln(e.w)
}

func (e *explainer) row(o *trial.Outcome, windowed, formed bool) []string {
	row := []string{fmt.Sprint(o.Event), o.Time.UTC().Format("2006-01-02 15:04:05.999"), e.mark(o.Matches, "")}
	if windowed {
		group, values, holds := "", "", ""
		if w := o.Window; w != nil {
			group, values, holds = console.Clean(strings.Join(w.Group, " "), 60), fieldList(w.Values, 40), e.mark(w.Holds, w.Err)
			if w.Silent {
				holds += " silent"
			}
		}
		row = append(row, group, values, holds)
	}
	if formed {
		row = append(row, console.Clean(stateText(o.Forms), maxState))
	}
	if o.Alerts > 0 {
		return append(row, e.p.Red("alert"))
	}
	return append(row, "")
}
