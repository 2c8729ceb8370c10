package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

type searchFlags struct {
	spanFlags
	search          history.Search
	output          string
	columns         []string
	explain, follow bool
}

func newEventsSearch(s streams, api *apiFlags) *cobra.Command {
	f := &searchFlags{}
	c := &cobra.Command{Use: "search [FILTER]", Short: "Search single requests",
		Long: `Prints the requests that a CEL filter holds for, the newest first. What the
filter costs says --explain. --follow goes on with what comes, until ctrl-c.`,
		Example: `  warder events search 'source.address == "203.0.113.9"' --since 1d
  warder events search 'response.code >= 500' --limit 0 --output json
  warder events search 'api.route == "/login"' --follow`}
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return wrong(c, "search takes one filter, got %d arguments; put it in quotes", len(args))
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			f.search.Filter = args[0]
		}
		return f.run(c, s, api)
	}
	f.register(c, "1h")
	c.Flags().IntVar(&f.search.Limit, "limit", 100, "at most `n` events, 0 is all")
	c.Flags().BoolVar(&f.search.OldestFirst, "oldest-first", false, "the oldest first")
	c.Flags().StringSliceVar(&f.columns, "columns", nil,
		"show these `fields` in table and csv, with commas between (default time, who, what and the answer)")
	_ = c.RegisterFlagCompletionFunc("columns", cobra.FixedCompletions(heads(eventColumns()), cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	c.Flags().BoolVar(&f.explain, "explain", false, "only say how it would be searched")
	c.Flags().BoolVar(&f.follow, "follow", false, "print what comes from now on; with --since, from then on")
	outputFlag(c, &f.output)
	return c
}

func (f *searchFlags) run(c *cobra.Command, s streams, api *apiFlags) error {
	var err error
	if f.search.Span, err = f.span(c, time.Now()); err != nil {
		return err
	}
	if len(f.columns) == 0 {
		f.columns = []string{"time", "source.address", "principal.id", "request.method", "request.path", "response.code", "api.route"}
	}
	columns, err := columnsNamed(c, f.columns)
	switch {
	case err != nil:
		return err
	case f.search.Limit < 0:
		return wrong(c, "--limit %d is below zero", f.search.Limit)
	case f.follow && f.until != "":
		return wrong(c, "--follow has no end: leave --until out")
	}
	h, err := api.history()
	if err != nil {
		return err
	}
	if f.explain {
		return f.plan(c.Context(), s, h)
	}
	w := newEventWriter(s, f.output, columns)
	if f.follow {
		return followEvents(c.Context(), s, h, f.search, !c.Flags().Changed("since"), w, pollEvery)
	}
	return f.once(c.Context(), s, h, w)
}

// once searches, and sums up on standard error.
func (f *searchFlags) once(ctx context.Context, s streams, h history.Reader, w *eventWriter) error {
	var n atomic.Uint64
	stop := func() {}
	if console.IsTerminal(s.err) && (f.output == asTable || !console.IsTerminal(s.out)) {
		stop = showFound(s, &n)
	}
	sum, err := h.Search(ctx, f.search, func(e *event.Event) error {
		n.Add(1)
		return w.write(e)
	})
	stop()
	if flushed := w.flush(); err == nil {
		err = flushed
	}
	if err != nil {
		if n.Load() > 0 {
			return fmt.Errorf("%w (after %d events)", err, n.Load())
		}
		return err
	}
	fmt.Fprintln(s.err, summaryText(f.search, sum))
	return nil
}

// showFound tells on standard error, twice a second, how many events there are so far. The function that it returns ends it.
func showFound(s streams, n *atomic.Uint64) func() {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				fmt.Fprint(s.err, "\r\x1b[K")
				return
			case <-tick.C:
				fmt.Fprintf(s.err, "\r\x1b[Ksearching: %d events so far", n.Load())
			}
		}
	}()
	return func() { close(done); <-ended }
}

func summaryText(q history.Search, sum history.Summary) string {
	text := fmt.Sprintf("%d events in %s; ClickHouse read %d rows", sum.Found, sum.Took.Round(time.Millisecond), sum.Scanned)
	if sum.Checked > 0 {
		text += fmt.Sprintf(", %d were checked one by one", sum.Checked)
	}
	if sum.Failed > 0 {
		text += fmt.Sprintf(", of which %d left out because the filter failed on them", sum.Failed)
	}
	if q.Limit > 0 && sum.Found >= uint64(q.Limit) {
		text += "; there may be more, --limit 0 prints all"
	}
	return text
}

func (f *searchFlags) plan(ctx context.Context, s streams, h history.Reader) error {
	p, err := h.Explain(ctx, f.search)
	if err != nil {
		return err
	}
	if f.output == asJSON {
		return printJSON(s.out, p)
	}
	paint := console.NewPalette(console.WantsColour(s.out))
	part := func(head string, list []string) {
		fmt.Fprintln(s.out, paint.Bold(head))
		if len(list) == 0 {
			fmt.Fprintln(s.out, "  nothing")
		}
		for _, text := range list {
			fmt.Fprintln(s.out, "  "+console.Clean(text, 4000))
		}
	}
	part("ClickHouse evaluates", p.Pushed)
	part("Warder evaluates on each row that is left", p.Rest)
	part("Statement", []string{p.SQL})
	for _, x := range p.Params {
		fmt.Fprintf(s.out, "  {%s} = %s\n", console.Clean(x.Name, 60), console.Clean(x.Value, 400))
	}
	return nil
}

// eventWriter prints events as they come: JSON and CSV at once, a table when it is flushed.
type eventWriter struct {
	s       streams
	columns []column[*event.Event]
	json    bool
	csv     *console.CSV   // nil when there is none
	table   *console.Table // nil when there is none
	more    int            // events that the table has no room for
}

func newEventWriter(s streams, output string, columns []column[*event.Event]) *eventWriter {
	w := &eventWriter{s: s, columns: columns}
	switch output {
	case asJSON:
		w.json = true
	case asCSV:
		w.csv = console.NewCSV(s.out, heads(columns)...)
	default:
		w.table = console.NewTable(heads(columns)...)
	}
	return w
}

func (w *eventWriter) write(e *event.Event) error {
	switch {
	case w.json:
		return printJSON(w.s.out, e)
	case w.csv != nil:
		w.csv.Row(cells(w.columns, e)...)
	case w.table.Len() < maxRows:
		tableRow(w.table, w.columns, e, nil)
	default:
		w.more++
	}
	return nil
}

func (w *eventWriter) flush() error {
	switch {
	case w.csv != nil:
		return w.csv.Flush()
	case w.table == nil || w.table.Len() == 0:
		return nil
	}
	err := w.table.Write(w.s.out, console.NewPalette(console.WantsColour(w.s.out)), console.Width(w.s.out))
	if w.more > 0 {
		fmt.Fprintf(w.s.out, "… and %d more events; --output json prints all\n", w.more)
	}
	w.table, w.more = console.NewTable(), 0 // what follows has no second head
	return err
}

const (
	pollEvery  = 2 * time.Second
	remembered = 100_000 // ids
	// A question reaches back before the one before it, for clocks that differ: those of a cluster's servers, and of the processes that write alerts.
	eventOverlap = 5 * time.Second
	alertOverlap = time.Minute
)

// followEvents prints what comes until ctx ends, by when it is stored: late events, too. A poll that fails after the first is told, and asked again.
// fromNow leaves out what was there before; otherwise the span says what is wanted of that.
func followEvents(ctx context.Context, s streams, h history.Reader, q history.Search, fromNow bool, w *eventWriter, every time.Duration) error {
	q.OldestFirst, q.Limit = true, 0
	if fromNow {
		q.Span = history.Span{Since: time.Now()}
	}
	seen, from := newRecent(remembered), time.Time{}
	return poll(ctx, s, every, func() error {
		sum, err := h.Search(ctx, q, func(e *event.Event) error {
			if !seen.add(e.ID.String()) {
				return nil
			}
			return w.write(e)
		})
		if err = errors.Join(err, w.flush()); err != nil {
			return err
		}
		if from.IsZero() && fromNow {
			from, q.Span = sum.Stored, history.Span{}
		}
		if q.StoredSince = sum.Stored.Add(-eventOverlap); q.StoredSince.Before(from) {
			q.StoredSince = from
		}
		return nil
	})
}

// poll asks again and again until ctx ends. Only the first failure, and a question that cannot be asked, end it.
func poll(ctx context.Context, s streams, every time.Duration, ask func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false
	for first := true; ; first = false {
		err := ask()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (first || errors.Is(err, history.ErrQuestion)):
			return err
		case err != nil && !failing:
			fmt.Fprintf(s.err, "warder: %v; still trying\n", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// recent remembers the newest of some ids.
type recent struct {
	ids  map[string]bool
	ring []string
	next int
}

func newRecent(n int) *recent { return &recent{ids: map[string]bool{}, ring: make([]string, n)} }

// add tells whether the id is new.
func (r *recent) add(id string) bool {
	if r.ids[id] {
		return false
	}
	delete(r.ids, r.ring[r.next])
	r.ids[id], r.ring[r.next] = true, id
	r.next = (r.next + 1) % len(r.ring)
	return true
}
