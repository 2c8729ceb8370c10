package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

func newEvents(s streams) *cobra.Command {
	f := &apiFlags{}
	c := &cobra.Command{Use: "events", GroupID: "work", Short: "Search the requests that were seen",
		Long: `Searches the history: single requests, the most frequent values of a field,
and requests over time. A filter is CEL, as in a rule's filter.`,
		Example: `  warder events search 'response.code == 403' --since 15m
  warder events top source.address --filter 'api.route == "/login"'
  warder events timeline --since 1d`}
	f.register(c.PersistentFlags())
	c.AddCommand(newEventsSearch(s, f), newEventsTop(s, f), newEventsTimeline(s, f))
	return c
}

// eventColumns are all columns that events can be shown with, by the names that filters use.
func eventColumns() []column[*event.Event] {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []column[*event.Event]{
		{"time", func(e *event.Event) string { return e.Time.UTC().Format("2006-01-02T15:04:05.000Z") }},
		{"id", func(e *event.Event) string { return e.ID.String() }},
		{"source.address", func(e *event.Event) string {
			if !e.Source.Address.IsValid() {
				return ""
			}
			return e.Source.Address.String()
		}},
		{"source.country", func(e *event.Event) string { return e.Source.Country }},
		{"source.asn", func(e *event.Event) string { return number(int64(e.Source.ASN)) }},
		{"principal.id", func(e *event.Event) string { return e.Principal.ID }},
		{"principal.type", func(e *event.Event) string { return e.Principal.Type }},
		{"principal.tenant", func(e *event.Event) string { return e.Principal.Tenant }},
		{"auth.outcome", func(e *event.Event) string { return e.Auth.Outcome }},
		{"request.method", func(e *event.Event) string { return e.Request.Method }},
		{"request.host", func(e *event.Event) string { return e.Request.Host }},
		{"request.path", func(e *event.Event) string { return e.Request.Path }},
		{"request.query", func(e *event.Event) string { return e.Request.Query }},
		{"request.useragent", func(e *event.Event) string { return e.Request.UserAgent }},
		{"request.size", func(e *event.Event) string { return number(e.Request.Size) }},
		{"request.duration", func(e *event.Event) string { return e.Request.Duration.String() }},
		{"response.code", func(e *event.Event) string { return strconv.Itoa(e.Response.Code) }},
		{"response.size", func(e *event.Event) string { return number(e.Response.Size) }},
		{"api.route", func(e *event.Event) string { return e.API.Route }},
		{"api.version", func(e *event.Event) string { return e.API.Version }},
		{"api.name", func(e *event.Event) string { return e.API.Name }},
		{"llm.model", func(e *event.Event) string { return e.LLM.Model }},
		{"enforced.action", func(e *event.Event) string { return e.Enforced.Action }},
		{"enforced.by", func(e *event.Event) string { return e.Enforced.By }},
		{"waf.score", func(e *event.Event) string { return number(e.WAF.Score) }},
		{"intel.lists", func(e *event.Event) string { return strings.Join(e.Intel.Lists, " ") }},
	}
}

// columnsNamed returns the columns in the order of their names.
func columnsNamed(c *cobra.Command, names []string) ([]column[*event.Event], error) {
	byName := map[string]column[*event.Event]{}
	for _, col := range eventColumns() {
		byName[col.head] = col
	}
	var out []column[*event.Event]
	for _, name := range names {
		col, ok := byName[name]
		if !ok {
			return nil, wrong(c, "--columns %.40q is none of %s", name, strings.Join(heads(eventColumns()), ", "))
		}
		out = append(out, col)
	}
	return out, nil
}

func newEventsTop(s streams, f *apiFlags) *cobra.Command {
	var span spanFlags
	var q history.Top
	output := ""
	c := &cobra.Command{Use: "top FIELD", Short: "List a field's most frequent values", Long: "Lists the most frequent values of a field, with their share of all requests.",
		Example: "  warder events top source.address --since 1d\n  warder events top api.route --filter 'response.code >= 500'", Args: one("one field, such as source.address")}
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if q.Span, err = span.span(c, time.Now()); err != nil {
			return err
		}
		q.Field = args[0]
		h, err := f.history()
		if err != nil {
			return err
		}
		rows, err := h.Top(c.Context(), q)
		if err != nil {
			return err
		}
		return list(s, output, "no events", countColumns(args[0]), rows, nil)
	}
	span.register(c, "1h")
	c.Flags().StringVar(&q.Filter, "filter", "", "only events that this `CEL` expression holds for")
	limitFlag(c, &q.Limit, 20)
	outputFlag(c, &output)
	return c
}

func countColumns(field string) []column[history.Count] {
	return []column[history.Count]{
		{"count", func(x history.Count) string { return strconv.FormatUint(x.Count, 10) }},
		{"share", func(x history.Count) string { return fmt.Sprintf("%.1f%%", x.Share*100) }},
		{field, func(x history.Count) string { return x.Value }},
	}
}

func newEventsTimeline(s streams, f *apiFlags) *cobra.Command {
	var span spanFlags
	var q history.Timeline
	output, step := "", ""
	c := &cobra.Command{Use: "timeline", Short: "Count requests over time",
		Long: `Counts requests over time: all, denied (401, 403 or a failed authentication),
errors (5xx), and refused by Warder. A terminal shows bars, too. A table has one
row for several steps in a row without a request; JSON and CSV have each.`,
		Example: "  warder events timeline --since 1d --step 1h\n  warder events timeline --by api.route --output csv", Args: noArgs}
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		now := time.Now()
		if q.Span, err = span.span(c, now); err != nil {
			return err
		}
		if step != "" {
			d, err := config.ParseDuration(step)
			if err != nil || d <= 0 {
				return wrong(c, "--step %.40q is not a duration such as 5m, 1h or 1d", step)
			}
			q.Step = d.Std()
		}
		h, err := f.history()
		if err != nil {
			return err
		}
		if q.Until.IsZero() { // silence up to now is shown
			q.Until = now
		}
		rows, err := h.Timeline(c.Context(), q)
		if err != nil {
			return err
		}
		columns := bucketColumns(q.By, rows, output == asTable && console.IsTerminal(s.out))
		if output == asTable {
			var empty map[time.Time]int
			rows, empty = folded(rows)
			columns[0].cell = func(b history.Bucket) string { return rowTime(b, empty) }
		}
		return list(s, output, "no events", columns, rows, nil)
	}
	span.register(c, "1h")
	c.Flags().StringVar(&q.Filter, "filter", "", "only events that this `CEL` expression holds for")
	c.Flags().StringVar(&step, "step", "", "the `duration` that one row counts, in whole minutes (default chosen by --since)")
	c.Flags().StringVar(&q.By, "by", "", "count each value of this `field` on its own, for example api.route")
	outputFlag(c, &output)
	return c
}

// folded keeps the first of two or more buckets in a row without an event, and tells by its time for how many it stands.
func folded(rows []history.Bucket) (kept []history.Bucket, empty map[time.Time]int) {
	empty = map[time.Time]int{}
	for i := 0; i < len(rows); {
		end := i
		for end < len(rows) && rows[end].Count == 0 {
			end++
		}
		kept = append(kept, rows[i])
		if end > i+1 {
			empty[rows[i].Time] = end - i
		}
		i = max(end, i+1)
	}
	return kept, empty
}

// rowTime is the time of a bucket, or how many empty ones it stands for.
func rowTime(b history.Bucket, empty map[time.Time]int) string {
	if n := empty[b.Time]; n > 0 {
		return fmt.Sprintf("… %d empty", n)
	}
	return b.Time.UTC().Format(stamp)
}

func bucketColumns(by string, rows []history.Bucket, picture bool) []column[history.Bucket] {
	most := uint64(0)
	for _, b := range rows {
		most = max(most, b.Count)
	}
	number := func(of func(history.Bucket) uint64) func(history.Bucket) string {
		return func(b history.Bucket) string { return strconv.FormatUint(of(b), 10) }
	}
	out := []column[history.Bucket]{{"time", func(b history.Bucket) string { return rowTime(b, nil) }}}
	if by != "" {
		out = append(out, column[history.Bucket]{by, func(b history.Bucket) string { return b.Value }})
	}
	out = append(out, column[history.Bucket]{"count", number(func(b history.Bucket) uint64 { return b.Count })})
	if picture {
		out = append(out, column[history.Bucket]{"", func(b history.Bucket) string { return console.Bar(b.Count, most, 30) + " " }})
	}
	return append(out, column[history.Bucket]{"denied", number(func(b history.Bucket) uint64 { return b.Denied })},
		column[history.Bucket]{"errors", number(func(b history.Bucket) uint64 { return b.Errors })},
		column[history.Bucket]{"refused", number(func(b history.Bucket) uint64 { return b.Refused })})
}
