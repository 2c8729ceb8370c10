package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/opsrecord"
	"github.com/warder/warder/internal/store"
)

// GroupTelemetry reads what Warder's processes tell of themselves.
const GroupTelemetry = "warder.store.telemetry"

// telemetryPace spaces its inserts: nothing waits for these figures.
const telemetryPace = 2 * time.Second

// told is a record and where it stands, from which its rows get their ids.
type told struct {
	*opsrecord.Record
	partition int
	offset    int64
}

func (i *Ingest) openTelemetry(context.Context, int) (bus.Partition, int64, error) {
	return &lane[told]{
		ingest: i, pace: telemetryPace,
		decode: func(r bus.Record) (told, error) {
			rec, err := opsrecord.Decode(r.Value)
			return told{rec, r.Partition, r.Offset}, err
		},
		insert: i.insertTelemetry,
	}, bus.Committed, nil
}

// insertTelemetry inserts the rows of the records. The same records make the same rows, which the store has once.
func (i *Ingest) insertTelemetry(ctx context.Context, recs []told) error {
	var metrics []store.Metric
	var deliveries []store.Delivery
	for _, r := range recs {
		for _, s := range r.Samples {
			metrics = append(metrics, store.Metric{Time: r.Time, Instance: r.Instance, Name: s.Name, Labels: s.Labels, Kind: string(s.Kind), Value: s.Value})
		}
		for n, d := range r.Deliveries {
			deliveries = append(deliveries, store.Delivery{ID: r.id(n), Time: d.Time, Sink: d.Sink, Kind: d.Kind, Result: string(d.Result), Alert: d.Alert,
				Records: uint32(d.Records), Attempt: uint32(d.Attempt), Duration: d.Duration, Error: d.Error})
		}
	}
	if err := i.store.InsertDeliveries(ctx, deliveries); err != nil {
		return err
	}
	return i.store.InsertMetrics(ctx, metrics)
}

// id identifies the nth delivery of the record. A topic that was made anew counts its offsets from zero again, so that time and instance
// are part of it.
func (r told) id(n int) [16]byte {
	b := []byte(r.Instance)
	for _, x := range []int64{int64(r.partition), r.offset, r.Time.UnixMilli(), int64(n)} {
		b = binary.BigEndian.AppendUint64(b, uint64(x))
	}
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}
