// Package ingest is the store's stage: it takes events, alerts, decisions, the ledger and Warder's own figures from the bus into ClickHouse,
// each once.
//
// The offset of a record is committed when it is in the table. A store that is away holds its consumers up, and nothing else; the
// bus tries again, later and later up to 30 s, and logs. What cannot be decoded goes to the dead letters and is passed over.
package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/ledger"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/store"
)

// The consumer groups.
const (
	GroupEvents    = "warder.store.events"
	GroupAlerts    = "warder.store.alerts"
	GroupDecisions = "warder.store.decisions"
	GroupAudit     = "warder.store.audit"
)

// The least time between two small inserts of one partition. ClickHouse wants few and large inserts; while one waits, the next
// batch grows on the broker. Nothing that blocks an attacker waits for it.
const (
	eventsPace = 300 * time.Millisecond
	otherPace  = 50 * time.Millisecond
)

// Ingest is the stage. Run may be called once.
type Ingest struct {
	client  *bus.Client
	store   *store.Store
	log     *slog.Logger
	metrics *metrics
}

// New returns the stage. reg may be nil.
func New(client *bus.Client, st *store.Store, log *slog.Logger, reg prometheus.Registerer) (*Ingest, error) {
	m, err := newMetrics(reg)
	if err != nil {
		return nil, fmt.Errorf("store stage: register metrics: %w", err)
	}
	return &Ingest{client: client, store: st, log: log, metrics: m}, nil
}

// Run consumes until ctx ends, then returns nil. It returns an error only for what trying again cannot help.
func (i *Ingest) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return i.client.Consume(ctx, GroupEvents, bus.TopicEvents, i.openEvents) })
	g.Go(func() error { return i.client.Consume(ctx, GroupAlerts, bus.TopicAlerts, i.openAlerts) })
	g.Go(func() error { return i.client.Consume(ctx, GroupDecisions, bus.TopicDecisions, i.openDecisions) })
	g.Go(func() error { return i.client.Consume(ctx, GroupAudit, bus.TopicAudit, i.openAudit) })
	g.Go(func() error { return i.client.Consume(ctx, GroupTelemetry, bus.TopicTelemetry, i.openTelemetry) })
	if err := g.Wait(); err != nil {
		return fmt.Errorf("store stage: %w", err)
	}
	return nil
}

func (i *Ingest) openEvents(_ context.Context, partition int) (bus.Partition, int64, error) {
	w, err := i.store.NewEventWriter(partition)
	if err != nil {
		return nil, 0, err
	}
	return &lane[*event.Event]{
		ingest: i, pace: eventsPace,
		decode: func(r bus.Record) (*event.Event, error) {
			e, err := event.Decode(r.Value)
			if err == nil {
				i.store.Names().Event(e)
			}
			return e, err
		},
		insert: w.Insert,
	}, bus.Committed, nil
}

func (i *Ingest) openAlerts(context.Context, int) (bus.Partition, int64, error) {
	return &lane[*alert.Alert]{
		ingest: i, pace: otherPace,
		decode: func(r bus.Record) (*alert.Alert, error) {
			a, err := alert.Decode(r.Value)
			if err == nil {
				i.store.Names().Alert(a)
			}
			return a, err
		},
		insert: i.store.InsertAlerts,
	}, bus.Committed, nil
}

func (i *Ingest) openDecisions(context.Context, int) (bus.Partition, int64, error) {
	return &lane[store.Change]{
		ingest: i, pace: otherPace,
		decode: func(r bus.Record) (store.Change, error) {
			d, err := decision.Decode(r.Value)
			if err == nil {
				i.store.Names().Decision(d)
			}
			return store.Change{Decision: d, Updated: r.Time}, err
		},
		insert: i.store.InsertDecisions,
	}, bus.Committed, nil
}

func (i *Ingest) openAudit(context.Context, int) (bus.Partition, int64, error) {
	return &lane[store.LedgerLine]{
		ingest: i, pace: otherPace,
		decode: func(r bus.Record) (store.LedgerLine, error) {
			l, err := ledger.Parse(r.Value)
			return store.LedgerLine{Line: l, Offset: r.Offset}, err
		},
		insert: i.store.InsertLedger,
	}, bus.Committed, nil
}
