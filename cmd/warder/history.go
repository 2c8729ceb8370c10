package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/history/client"
)

// asCSV is for spreadsheets; asTable and asJSON are the other kinds of output.
const asCSV = "csv"

// stamp is how tables and CSV write times, in UTC, as logs do.
const stamp = "2006-01-02T15:04:05Z"

// history returns a client of the past.
func (f *apiFlags) history() (*client.Client, error) {
	c, err := f.client()
	if err != nil {
		return nil, err
	}
	return client.New(c.Client), nil
}

// spanFlags are a span of event time.
type spanFlags struct{ since, until string }

func (f *spanFlags) register(c *cobra.Command, since string) {
	c.Flags().StringVar(&f.since, "since", since, "from this `time` on: 2026-01-02T15:04:05Z, or how long ago: 15m, 1h, 7d, 2w")
	c.Flags().StringVar(&f.until, "until", "", "before this `time`, written like --since (default now)")
}

func (f *spanFlags) span(c *cobra.Command, now time.Time) (s history.Span, err error) {
	if s.Since, err = moment(c, "since", f.since, now); err != nil {
		return s, err
	}
	if s.Until, err = moment(c, "until", f.until, now); err != nil {
		return s, err
	}
	if !s.Until.IsZero() && !s.Since.Before(s.Until) {
		return s, wrong(c, "--until %s is not after --since %s", s.Until.Format(time.RFC3339), s.Since.Format(time.RFC3339))
	}
	return s, nil
}

// moment reads a time, or how long ago it was.
func moment(c *cobra.Command, flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	ago, times := text, time.Duration(1)
	if weeks, ok := strings.CutSuffix(text, "w"); ok {
		ago, times = weeks+"d", 7
	}
	d, err := config.ParseDuration(ago)
	if err != nil || d < 0 || d.Std() > 100*365*24*time.Hour/times {
		return time.Time{}, wrong(c, "--%s %.40q is neither a time such as 2026-01-02T15:04:05Z nor how long ago such as 15m, 1h, 7d or 2w", flag, text)
	}
	return now.Add(-d.Std() * times).UTC(), nil
}

// choice adds a flag that has one of some values, and completes them.
func choice(c *cobra.Command, v *string, name, value, usage string, values ...string) {
	c.Flags().StringVar(v, name, value, usage)
	_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	check := c.PreRunE
	c.PreRunE = func(c *cobra.Command, args []string) error {
		if *v != value && !slices.Contains(values, *v) {
			return wrong(c, "--%s %.40q is none of %s", name, *v, strings.Join(values, ", "))
		}
		if check != nil {
			return check(c, args)
		}
		return nil
	}
}

func outputFlag(c *cobra.Command, v *string) {
	choice(c, v, "output", asTable, "`kind` of output: table, json (a line each) or csv", asTable, asJSON, asCSV)
}

func limitFlag(c *cobra.Command, n *int, value int) {
	c.Flags().IntVar(n, "limit", value, "at most `n`")
	check := c.PreRunE
	c.PreRunE = func(c *cobra.Command, args []string) error {
		if *n < 1 || *n > history.MaxRows {
			return wrong(c, "--limit %d is not between 1 and %d", *n, history.MaxRows)
		}
		if check != nil {
			return check(c, args)
		}
		return nil
	}
}

// column is a column of a list: its head and its cell of a row, as it came from outside.
type column[T any] struct {
	head string
	cell func(T) string
}

func heads[T any](columns []column[T]) []string {
	var out []string
	for _, c := range columns {
		out = append(out, c.head)
	}
	return out
}

func cells[T any](columns []column[T], v T) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.cell(v)
	}
	return out
}

// tableRow adds the row to the table, clean. paint, if there is one, colours cells by their column's head.
func tableRow[T any](t *console.Table, columns []column[T], v T, paint func(head, text string) string) {
	row := cells(columns, v)
	for i, text := range row {
		if row[i] = console.Clean(text, 80); text == "" {
			row[i] = "-"
		}
		if paint != nil {
			row[i] = paint(columns[i].head, row[i])
		}
	}
	t.Row(row...)
}

// list prints rows as a table, JSON lines or CSV.
func list[T any](s streams, output, none string, columns []column[T], rows []T, paint func(head, text string) string) error {
	switch output {
	case asJSON:
		return eachJSON(s, rows)
	case asCSV:
		w := console.NewCSV(s.out, heads(columns)...)
		for _, v := range rows {
			w.Row(cells(columns, v)...)
		}
		return w.Flush()
	}
	if len(rows) == 0 {
		_, err := s.out.Write([]byte(none + "\n"))
		return err
	}
	t := console.NewTable(heads(columns)...)
	for _, v := range rows {
		tableRow(t, columns, v, paint)
	}
	return t.Write(s.out, console.NewPalette(console.WantsColour(s.out)), console.Width(s.out))
}
