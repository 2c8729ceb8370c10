package store

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/warder/warder/internal/event"
)

// MaxBatch is how many rows go into one insert. Larger batches are cut.
const MaxBatch = 100_000

// maxMarks bounds the high-water marks that a writer keeps; beyond it they are forgotten and read again.
const maxMarks = 100_000

// EventWriter inserts the events of one partition of the events topic, each once, however often it is given, and counts each once in the
// rollups. For that it relies on the order of the topic: within a partition the events of one tap ascend by Seq, apart from ranges that come
// again. It is not safe for concurrent use, and for one partition there must be only one at a time.
type EventWriter struct {
	store     *Store
	partition uint16
	marks     map[uint32]map[string]uint64 // day, tap: highest Seq in the table
	size      int                          // of all marks together
	number    uint64                       // of the newest entry in the journal; 0 before that was read
	free      []*eventBlock                // to be used again
	// step is called before each step of a block; tests have it fail.
	step func(name string) error
}

// NewEventWriter returns a writer for the partition. What the table already has is read when a day is first written to.
func (s *Store) NewEventWriter(partition int) (*EventWriter, error) {
	if partition < 0 || partition > math.MaxUint16 {
		return nil, fmt.Errorf("store: partition %d is not between 0 and %d", partition, math.MaxUint16)
	}
	return &EventWriter{
		store: s, partition: uint16(partition), marks: make(map[uint32]map[string]uint64), step: func(string) error { return nil },
	}, nil
}

// InsertEvents inserts events of one partition of the topic with a writer of its own; see [EventWriter.Insert].
func (s *Store) InsertEvents(ctx context.Context, partition int, events []*event.Event) error {
	w, err := s.NewEventWriter(partition)
	if err != nil {
		return err
	}
	return w.Insert(ctx, events)
}

// Insert inserts the events that the table does not have. Heartbeats are left out. nil says that all events are in the table and in the
// rollups. After an error some may be; the same events, or more, can be given again.
func (w *EventWriter) Insert(ctx context.Context, events []*event.Event) error {
	err := w.insert(ctx, events)
	if err != nil {
		w.forget()
	}
	return err
}

func (w *EventWriter) insert(ctx context.Context, events []*event.Event) error {
	if w.number == 0 {
		if err := w.recover(ctx); err != nil {
			return err
		}
	}
	var plan []*planned
	repeats := 0
	for _, batch := range byDay(events) {
		marks, err := w.read(ctx, batch.day)
		if err != nil {
			return err
		}
		rows := make([]eventRow, 0, len(batch.events))
		for _, e := range batch.events {
			if e.Seq <= marks[e.Tap] {
				repeats++
				continue
			}
			w.raise(marks, e)
			rows = append(rows, eventRow{e, w.partition})
		}
		for piece := range slices.Chunk(rows, MaxBatch) {
			plan = append(plan, newPlanned(batch.day, piece))
		}
	}
	w.store.metrics.repeats.WithLabelValues("events").Add(float64(repeats))
	if len(plan) == 0 {
		return nil
	}
	return w.run(ctx, plan)
}

func (w *EventWriter) raise(marks map[string]uint64, e *event.Event) {
	if _, ok := marks[e.Tap]; !ok {
		w.size++
	}
	marks[e.Tap] = e.Seq
}

// read returns the day's marks, from the table unless they are known.
func (w *EventWriter) read(ctx context.Context, date uint32) (map[string]uint64, error) {
	if m, ok := w.marks[date]; ok {
		return m, nil
	}
	if w.size > maxMarks {
		clear(w.marks)
		w.size = 0
	}
	rows, err := w.store.conn.Query(ctx, "SELECT tap, max(seq) FROM events WHERE toYYYYMMDD(time) = {day:UInt32} AND kafka_partition = {partition:UInt16} GROUP BY tap",
		clickhouse.Named("day", date), clickhouse.Named("partition", w.partition))
	if err != nil {
		return nil, w.store.cfg.explain("read what the events table has", err)
	}
	defer func() { _ = rows.Close() }()
	marks := make(map[string]uint64)
	for rows.Next() {
		var tap string
		var seq uint64
		if err = rows.Scan(&tap, &seq); err != nil {
			return nil, w.store.cfg.explain("read what the events table has", err)
		}
		marks[tap] = seq
	}
	if err = rows.Err(); err != nil {
		return nil, w.store.cfg.explain("read what the events table has", err)
	}
	w.marks[date] = marks
	w.size += len(marks)
	return marks, nil
}

// forget has the next insert look at what is there.
func (w *EventWriter) forget() {
	clear(w.marks)
	w.size = 0
	w.number = 0
}

// dayBatch holds events of one day, which is one partition of the table.
type dayBatch struct {
	day    uint32 // yyyymmdd, as toYYYYMMDD
	events []*event.Event
}

// byDay parts the requests among events by day, keeping their order.
func byDay(events []*event.Event) []dayBatch {
	var out []dayBatch
	at := make(map[uint32]int)
	for _, e := range events {
		if e.Kind != event.Request {
			continue
		}
		y, m, d := storedTime(e.Time).Date()
		date := uint32(y*10000 + int(m)*100 + d)
		i, ok := at[date]
		if !ok {
			i = len(out)
			at[date] = i
			out = append(out, dayBatch{day: date})
		}
		out[i].events = append(out[i].events, e)
	}
	return out
}
