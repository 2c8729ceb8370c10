package store

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// keyed tells how records of type T with ids of their own become rows of type R.
type keyed[T, R any] struct {
	id   func(T) string
	time func(T) time.Time
	row  func(T) (R, error)
	// existing selects which of the ids the table has; a record's time is part of its identity, so only that span is looked at.
	existing string
}

// maxKeyed is how many records go through insertOnce at once: their ids are part of a statement.
const maxKeyed = 1000

// insertOnce inserts the records that the table does not have, in pieces that each lie in one month, which is one partition.
func insertOnce[T, R any](ctx context.Context, s *Store, table string, columns []column[R], records []T, k keyed[T, R]) error {
	for _, batch := range byMonth(records, k.time, maxKeyed) {
		have, err := existing(ctx, s, table, batch, k)
		if err != nil {
			return err
		}
		rows := make([]R, 0, len(batch))
		for _, r := range batch {
			id := k.id(r)
			if have[id] {
				s.metrics.repeats.WithLabelValues(table).Inc()
				continue
			}
			have[id] = true
			row, err := k.row(r)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		if err = insert(ctx, s, table, columns, rows); err != nil {
			return err
		}
	}
	return nil
}

// existing asks which of the records the table has.
func existing[T, R any](ctx context.Context, s *Store, table string, records []T, k keyed[T, R]) (map[string]bool, error) {
	ids := make([]string, len(records))
	from, to := storedTime(k.time(records[0])), storedTime(k.time(records[0]))
	for i, r := range records {
		ids[i] = k.id(r)
		t := storedTime(k.time(r))
		if t.Before(from) {
			from = t
		}
		if t.After(to) {
			to = t
		}
	}
	rows, err := s.conn.Query(ctx, k.existing, clickhouse.Named("ids", ids),
		clickhouse.DateNamed("from", from, clickhouse.NanoSeconds), clickhouse.DateNamed("to", to, clickhouse.NanoSeconds))
	if err != nil {
		return nil, s.cfg.explain("look for what the table "+table+" has", err)
	}
	defer func() { _ = rows.Close() }()
	have := make(map[string]bool)
	for rows.Next() {
		var id string
		if err = rows.Scan(&id); err != nil {
			return nil, s.cfg.explain("look for what the table "+table+" has", err)
		}
		have[id] = true
	}
	if err = rows.Err(); err != nil {
		return nil, s.cfg.explain("look for what the table "+table+" has", err)
	}
	return have, nil
}

// byMonth parts records by the month of their time, keeping their order, into batches of at most limit.
func byMonth[T any](records []T, at func(T) time.Time, limit int) [][]T {
	var out [][]T
	open := make(map[int]int)
	for _, r := range records {
		y, m, _ := storedTime(at(r)).Date()
		month := y*100 + int(m)
		i, ok := open[month]
		if !ok || len(out[i]) == limit {
			i = len(out)
			open[month] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], r)
	}
	return out
}
