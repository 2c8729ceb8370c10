package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
	"github.com/warder/warder/internal/synthetic"
)

// traffic returns n events of an hour of a busy API.
func traffic(b *testing.B, n int) []*event.Event {
	b.Helper()
	t, err := synthetic.New(synthetic.Config{Seed: 1, Start: noon(), End: noon().Add(time.Hour), Count: n})
	if err != nil {
		b.Fatal(err)
	}
	return t.Batch(n)
}

// BenchmarkInsert inserts 400,000 events in two batches with one writer, rollups included; making the events is not counted.
func BenchmarkInsert(b *testing.B) {
	const n = 400_000
	events := traffic(b, n)
	b.ReportAllocs()
	var total time.Duration
	for range b.N {
		b.StopTimer()
		s := storetest.Open(b)
		w, err := s.NewEventWriter(0)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		began := time.Now()
		for i := 0; i < n; i += n / 2 {
			if err = w.Insert(b.Context(), events[i:i+n/2]); err != nil {
				b.Fatal(err)
			}
		}
		total += time.Since(began)
	}
	b.ReportMetric(float64(n*b.N)/total.Seconds(), "events/s")
}

// BenchmarkBytesPerEvent reports what a stored event takes, with the marks and the index, once its parts are merged; and each column that takes a
// tenth of a byte or more.
func BenchmarkBytesPerEvent(b *testing.B) {
	const n = 400_000
	events := traffic(b, n)
	for range b.N {
		cfg := storetest.Config(b)
		s := storetest.OpenConfig(b, cfg)
		for i := 0; i < n; i += store.MaxBatch {
			if err := s.InsertEvents(b.Context(), 0, events[i:i+store.MaxBatch]); err != nil {
				b.Fatal(err)
			}
		}
		report(b, cfg, n)
	}
}

func report(b *testing.B, cfg store.Config, n int) {
	b.Helper()
	conn := storetest.Conn(b, cfg)
	if err := conn.Exec(b.Context(), "OPTIMIZE TABLE events FINAL"); err != nil {
		b.Fatal(err)
	}
	var all uint64
	if err := conn.QueryRow(b.Context(), "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() AND table = 'events'").Scan(&all); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(all)/float64(n), "B/event")
	rows, err := conn.Query(b.Context(), "SELECT column, sum(column_data_compressed_bytes) FROM system.parts_columns WHERE active AND database = currentDatabase() AND table = 'events' GROUP BY column")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	sum := 0.0
	defer func() { b.ReportMetric(sum, "B/columns") }()
	for rows.Next() {
		var name string
		var size uint64
		if err = rows.Scan(&name, &size); err != nil {
			b.Fatal(err)
		}
		each := float64(size) / float64(n)
		sum += each
		if each >= 0.1 {
			b.ReportMetric(each, fmt.Sprintf("B/%s", name))
		}
	}
	if err = rows.Err(); err != nil {
		b.Fatal(err)
	}
}
