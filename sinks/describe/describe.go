package describe

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warder/warder/internal/alert"
)

// Limits of what a message shows, in runes or entries.
const (
	maxName   = 80
	maxEntity = 160
	maxTitle  = 200
	maxText   = 2000
	maxURL    = 400
	maxAgent  = 200
	maxRows   = 12
	maxIDs    = 10
)

// Field is a name with its value, both fit to be shown.
type Field struct{ Name, Value string }

// Title returns the alert's title, or its rule when it has none.
func Title(a *alert.Alert) string {
	if a.Title == "" {
		return Printable(a.Rule, maxTitle)
	}
	return Printable(a.Title, maxTitle)
}

// Text returns the rule's description: what it means and what to do next.
func Text(a *alert.Alert) string {
	return Printable(strings.Join(strings.Fields(a.Description), " "), maxText)
}

// Entity returns who or what the alert is about: the group's value, "name value, name value" when it has several, and "all
// traffic" when it has none.
func Entity(a *alert.Alert) string {
	g := Group(a)
	switch len(g) {
	case 0:
		return "all traffic"
	case 1:
		return g[0].Value
	}
	parts := make([]string, 0, len(g))
	for _, f := range g {
		parts = append(parts, f.Name+" "+f.Value)
	}
	return strings.Join(parts, ", ")
}

// Group returns the alert's group in the order of its names.
func Group(a *alert.Alert) []Field {
	out := make([]Field, 0, len(a.Group))
	for _, k := range slices.Sorted(maps.Keys(a.Group)) {
		if len(out) == maxRows {
			break
		}
		out = append(out, Field{Printable(k, maxName), Shown(a.Group[k], maxEntity)})
	}
	return out
}

// Values returns the aggregates, numbers and texts, in the order of their names.
func Values(a *alert.Alert) []Field {
	out := make([]Field, 0, len(a.Values)+len(a.Texts))
	for k, v := range a.Values {
		out = append(out, Field{k, Number(v)})
	}
	for k, v := range a.Texts {
		out = append(out, Field{k, Shown(v, maxEntity)})
	}
	slices.SortFunc(out, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	out = out[:min(len(out), maxRows)]
	for i := range out {
		out[i].Name = Printable(out[i].Name, maxName)
	}
	return out
}

// Number writes v with at most three decimals and without needless zeros.
func Number(v float64) string {
	s := strconv.FormatFloat(v, 'f', 3, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if len(s) > 24 {
		s = strconv.FormatFloat(v, 'g', 6, 64)
	}
	return s
}

// Sentence says in one sentence who did what.
func Sentence(a *alert.Alert) string { return Entity(a) + ": " + Finding(a) }

// Finding says what happened: "25 matching requests within 60 s (failures 25, users 12)."
func Finding(a *alert.Alert) string {
	var b strings.Builder
	if a.EventCount == 1 {
		b.WriteString("1 matching request")
	} else {
		fmt.Fprintf(&b, "%d matching requests", a.EventCount)
	}
	if d := a.Window.End.Sub(a.Window.Start); d > 0 {
		b.WriteString(" within " + Span(d))
	}
	if vs := Values(a); len(vs) > 0 {
		parts := make([]string, 0, len(vs))
		for _, v := range vs {
			parts = append(parts, v.Name+" "+v.Value)
		}
		b.WriteString(" (" + strings.Join(parts, ", ") + ")")
	}
	return b.String() + "."
}

// Span writes a duration for people: "850 ms", "60 s", "15 min", "36 h".
func Span(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 3*time.Minute:
		return Number(float64(d.Milliseconds())/1000) + " s"
	case d < 3*time.Hour:
		return Number(float64(int64(d/time.Second))/60) + " min"
	}
	return Number(float64(int64(d/time.Minute))/60) + " h"
}

const clock = "2006-01-02 15:04:05"

// When returns the window in UTC: "2026-11-22 10:00:00 to 10:01:00 UTC", or one time.
func When(a *alert.Alert) string {
	from, to := a.Window.Start.UTC(), a.Window.End.UTC()
	switch {
	case !to.After(from):
		return a.Time.UTC().Format(clock) + " UTC"
	case from.Format(time.DateOnly) == to.Format(time.DateOnly):
		return from.Format(clock) + " to " + to.Format(time.TimeOnly) + " UTC"
	}
	return from.Format(clock) + " to " + to.Format(clock) + " UTC"
}

// Request returns the sample request as lines for people; none without a sample.
func Request(a *alert.Alert) []Field {
	s := a.Sample
	if s == nil {
		return nil
	}
	target := s.Path
	if s.Query != "" {
		target += "?" + s.Query
	}
	code := ""
	if s.Code > 0 {
		code = strconv.Itoa(s.Code)
	}
	all := []Field{
		{"request", strings.TrimSpace(Shown(s.Method, 20) + " " + Shown(target, maxURL))},
		{"host", Shown(s.Host, maxEntity)},
		{"status", code},
		{"user agent", Shown(s.UserAgent, maxAgent)},
		{"address", Shown(s.Address, maxEntity)},
		{"principal", Shown(s.Principal, maxEntity)},
	}
	return slices.DeleteFunc(all, func(f Field) bool { return f.Value == "" })
}

// Response says what the rule asked for, given its mode. Whether the enforcer did it stands on the decisions topic: a
// guardrail may have held it back.
func Response(a *alert.Alert) string {
	if len(a.Respond) == 0 {
		return "Nothing was asked for: this rule only tells."
	}
	parts := make([]string, 0, len(a.Respond))
	for _, r := range a.Respond {
		parts = append(parts, one(a, r))
	}
	what := strings.Join(parts, "; ")
	switch a.Mode {
	case alert.Shadow:
		return "Shadow mode, only recorded. It would have asked to " + what + "."
	case alert.Canary:
		return fmt.Sprintf("Canary on %d %% of entities: asked to %s.", a.Canary, what)
	}
	return "Asked to " + what + "."
}

func one(a *alert.Alert, r alert.Response) string {
	who := Printable(r.Scope, maxName)
	if v := a.Group[r.Scope]; v != "" {
		who = Shown(v, maxEntity)
	}
	s := Printable(r.Action, maxName) + " " + who
	if r.Action == "limit" && r.Requests > 0 {
		s += fmt.Sprintf(" to %d requests per %s", r.Requests, Span(r.Per))
	}
	if r.TTL > 0 {
		s += " for " + Span(r.TTL)
	}
	return s
}

// Evidence returns the newest ids of the events that counted, newest first, at most ten, and how many more there were.
func Evidence(a *alert.Alert) (ids []string, more int64) {
	for i := len(a.Events) - 1; i >= 0 && len(ids) < maxIDs; i-- {
		ids = append(ids, Printable(a.Events[i], maxName))
	}
	return ids, max(0, max(a.EventCount, int64(len(a.Events)))-int64(len(ids)))
}

// Gaps warns when the window could not see everything; "" when it could.
func Gaps(a *alert.Alert) string {
	if a.Coverage.Dropped == 0 {
		return ""
	}
	return fmt.Sprintf("%d events were lost within the window: the true numbers may be higher.", a.Coverage.Dropped)
}

// Highest returns the highest severity among the alerts, info when there are none.
func Highest(alerts []*alert.Alert) alert.Severity {
	top := alert.Info
	for _, a := range alerts {
		if a.Severity.Rank() > top.Rank() {
			top = a.Severity
		}
	}
	return top
}

// Colour returns the severity's colour as #rrggbb; white text on it is readable (contrast 4.5:1 or better).
func Colour(s alert.Severity) string {
	switch s {
	case alert.Critical:
		return "#8f1d3f"
	case alert.High:
		return "#c5221f"
	case alert.Medium:
		return "#b45309"
	case alert.Low:
		return "#1a66b8"
	}
	return "#5f6b7a"
}
