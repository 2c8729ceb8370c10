package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// insertTimeout bounds one insert.
const insertTimeout = 2 * time.Minute

// insert sends rows as one block. When they all lie in one partition of the table the server makes one part of them, so they
// are all there or none is. After an error it is not known which; insert then waits until the server is no longer at it, so
// that what a later look at the table shows is final.
func insert[R any](ctx context.Context, s *Store, table string, columns []column[R], rows []R) error {
	if len(rows) == 0 {
		return nil
	}
	return s.inserting(ctx, table, len(rows), nil, func(ctx context.Context) error { return send(ctx, s, table, columns, rows) })
}

// inserting runs an insert of so many rows, with settings besides those that every insert has.
func (s *Store) inserting(ctx context.Context, table string, rows int, settings clickhouse.Settings, f func(context.Context) error) error {
	began := time.Now()
	token := "warder-insert-" + rand.Text()
	all := clickhouse.Settings{
		"async_insert": 0, // its acknowledgement may come before the rows do
		"log_comment":  token,
		// A block has each row once: merging it with itself, row by row, took most of an insert's time.
		"optimize_on_insert": 0,
		// One block stays one block.
		"max_insert_threads": 1,
	}
	maps.Copy(all, settings)
	limited, cancel := context.WithTimeout(ctx, insertTimeout)
	err := f(clickhouse.Context(limited, clickhouse.WithSettings(all)))
	cancel()
	s.metrics.seconds.WithLabelValues(table).Observe(time.Since(began).Seconds())
	if err == nil {
		s.metrics.inserted.WithLabelValues(table).Add(float64(rows))
		return nil
	}
	s.metrics.failures.WithLabelValues(table).Inc()
	err = s.cfg.explain("insert into "+table, err)
	return errors.Join(err, s.settle(context.WithoutCancel(ctx), token))
}

func insertInto(table string, names []string) string {
	return "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ")"
}

func send[R any](ctx context.Context, s *Store, table string, columns []column[R], rows []R) error {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	batch, err := s.conn.PrepareBatch(ctx, insertInto(table, names), driver.WithReleaseConnection())
	if err != nil {
		return err
	}
	defer func() { _ = batch.Close() }()
	for i, c := range columns {
		if err = c.fill(batch.Column(i), rows); err != nil {
			return fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	return batch.Send()
}

// Waiting for an insert of unknown outcome.
const (
	settleTimeout = 30 * time.Second
	settleWait    = 50 * time.Millisecond
)

// settle waits until no statement with the token runs. An error says that this could not be found out; the caller must look at
// the table again before it inserts the same rows, which it can only do once the server answers.
func (s *Store) settle(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	tick := time.NewTicker(settleWait)
	defer tick.Stop()
	for {
		var running uint64
		err := s.conn.QueryRow(s.everywhere(ctx), "SELECT count() FROM "+s.cluster.system("processes")+" WHERE startsWith(Settings['log_comment'], {token:String}) AND query_kind = 'Insert'",
			clickhouse.Named("token", token)).Scan(&running)
		if err == nil && running == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err == nil {
				err = errors.New("the failed insert is still running")
			}
			return s.cfg.explain("wait for the end of a failed insert", err)
		}
	}
}
