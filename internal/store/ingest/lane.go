package ingest

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/bus"
)

// fullBatch is a batch that is worth an insert at once, in records.
const fullBatch = 5000

// lane is one partition's consumer. The bus calls it from one goroutine.
type lane[T any] struct {
	ingest *Ingest
	pace   time.Duration
	decode func(bus.Record) (T, error)
	insert func(context.Context, []T) error
	next   time.Time // when the next small insert may be
}

// letter is a record that cannot be decoded, and why.
type letter struct {
	record bus.Record
	reason error
}

// Handle implements bus.Partition.
func (l *lane[T]) Handle(ctx context.Context, recs []bus.Record) error {
	if len(recs) < fullBatch {
		if err := l.wait(ctx); err != nil {
			return err
		}
	}
	l.next = time.Now().Add(l.pace)
	items, letters := l.read(recs)
	if err := l.insert(ctx, items); err != nil {
		return err
	}
	// Only now, so that a store that is away does not send the same letters over and over.
	for _, bad := range letters {
		if err := l.ingest.client.DeadLetter(ctx, bad.record, "store", bad.reason); err != nil {
			return err
		}
		l.ingest.metrics.dropped.WithLabelValues(bad.record.Topic, "undecodable").Inc()
	}
	return nil
}

// Close implements bus.Partition; nothing is held back between calls.
func (l *lane[T]) Close(context.Context) error { return nil }

// wait keeps the pace.
func (l *lane[T]) wait(ctx context.Context) error {
	rest := time.Until(l.next)
	if rest <= 0 {
		return nil
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read decodes the records. One without a value deletes its key from a compacted topic and says nothing to the store.
func (l *lane[T]) read(recs []bus.Record) ([]T, []letter) {
	items := make([]T, 0, len(recs))
	var letters []letter
	for _, r := range recs {
		l.ingest.metrics.records.WithLabelValues(r.Topic).Inc()
		if len(r.Value) == 0 && r.Topic == bus.TopicDecisions {
			l.ingest.metrics.dropped.WithLabelValues(r.Topic, "tombstone").Inc()
			continue
		}
		item, err := l.decode(r)
		if err != nil {
			letters = append(letters, letter{r, err})
			continue
		}
		items = append(items, item)
	}
	return items, letters
}

// metrics are the stage's.
type metrics struct {
	records *prometheus.CounterVec
	dropped *prometheus.CounterVec
}

// newMetrics registers with reg unless it is nil.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "warder_store_records_total", Help: "Records taken from the bus for the store; one that is tried again counts again.",
		}, []string{"topic"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "warder_store_dropped_total", Help: "Records that were passed over.",
		}, []string{"topic", "reason"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.records, m.dropped} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
