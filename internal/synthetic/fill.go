package synthetic

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/cespare/xxhash/v2"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/store"
)

// Options says what history to write.
type Options struct {
	Seed uint64
	// End is where the history ends; Span is how long it is, a day when 0.
	End  time.Time
	Span time.Duration
	// Events is how many requests there are.
	Events int
	// Clients and Users bound the population, see [Config].
	Clients, Users int
	Headers        bool
	// Conn is a connection to the store's database, for what people and Warder itself leave there besides the stages' records.
	Conn clickhouse.Conn
}

// Summary counts the rows of each table.
type Summary struct {
	Events, Alerts, Decisions, Ledger, Triage, Deliveries, Metrics, Baselines, Audit int
}

// partitions is how many partitions the events topic is said to have; batch is how many events wait for an insert in each.
const (
	partitions = 4
	batch      = 25_000
)

// Fill writes a history: requests, and everything that Warder and people would have made of them. The same options make the same rows.
func Fill(ctx context.Context, st *store.Store, o Options) (Summary, error) {
	if o.Span == 0 {
		o.Span = 24 * time.Hour
	}
	t, err := New(Config{Seed: o.Seed, Start: o.End.Add(-o.Span), End: o.End, Count: o.Events, Clients: o.Clients, Users: o.Users, Headers: o.Headers})
	if err != nil {
		return Summary{}, err
	}
	f := &filler{st: st, conn: o.Conn, t: t, rnd: rand.New(rand.NewPCG(o.Seed, 0x66696c6c)), end: t.cfg.End}
	for _, step := range []func(context.Context) error{f.events, f.alerts, f.decisions, f.triage, f.deliveries, f.metrics, f.baselines, f.audit} {
		if err = step(ctx); err != nil {
			return f.sum, fmt.Errorf("synthetic: %w", err)
		}
	}
	return f.sum, nil
}

// filler writes one history.
type filler struct {
	st       *store.Store
	conn     clickhouse.Conn
	t        *Traffic
	rnd      *rand.Rand
	end      time.Time
	findings []Finding
	sum      Summary
}

// events writes the requests, and keeps what was found in them.
func (f *filler) events(ctx context.Context) error {
	var writers [partitions]*store.EventWriter
	var waiting [partitions][]*event.Event
	for i := range writers {
		w, err := f.st.NewEventWriter(i)
		if err != nil {
			return err
		}
		writers[i] = w
	}
	flush := func(i int) error {
		if err := writers[i].Insert(ctx, waiting[i]); err != nil {
			return err
		}
		f.sum.Events += len(waiting[i])
		waiting[i] = waiting[i][:0]
		f.findings = append(f.findings, f.t.Findings()...)
		return nil
	}
	for {
		e := new(event.Event)
		if !f.t.Next(e) {
			break
		}
		i := int(xxhash.Sum64(e.Key()) % partitions)
		if waiting[i] = append(waiting[i], e); len(waiting[i]) == batch {
			if err := flush(i); err != nil {
				return err
			}
		}
	}
	for i := range waiting {
		if err := flush(i); err != nil {
			return err
		}
	}
	return nil
}

func (f *filler) alerts(ctx context.Context) error {
	alerts := make([]*alert.Alert, len(f.findings))
	for i, x := range f.findings {
		alerts[i] = x.Alert
	}
	f.sum.Alerts = len(alerts)
	return f.st.InsertAlerts(ctx, alerts)
}

// decisions writes the changes up to the end, and the ledger about them.
func (f *filler) decisions(ctx context.Context) error {
	changes := f.manual()
	for _, x := range f.findings {
		changes = append(changes, x.Changes...)
	}
	changes = slices.DeleteFunc(changes, func(c store.Change) bool { return !c.Updated.Before(f.end) })
	slices.SortStableFunc(changes, func(a, b store.Change) int { return cmp.Compare(a.Updated.UnixMilli(), b.Updated.UnixMilli()) })
	f.sum.Decisions = len(changes)
	if err := f.st.InsertDecisions(ctx, changes); err != nil {
		return err
	}
	lines, err := newBook(f.rnd, f.t.cfg.Start).write(changes)
	if err != nil {
		return err
	}
	f.sum.Ledger = len(lines)
	return f.st.InsertLedger(ctx, lines)
}

// rows inserts rows, each a list of values, into the columns of a table. Rows must be few enough days for one block.
func (f *filler) rows(ctx context.Context, into string, rows [][]any) error {
	for part := range slices.Chunk(rows, 50_000) {
		b, err := f.conn.PrepareBatch(ctx, "INSERT INTO "+into)
		if err != nil {
			return err
		}
		for _, r := range part {
			if err = b.Append(r...); err != nil {
				return fmt.Errorf("%s: %w", into, err)
			}
		}
		if err = b.Send(); err != nil {
			return fmt.Errorf("%s: %w", into, err)
		}
	}
	return nil
}
