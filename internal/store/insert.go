package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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
	began := time.Now()
	token := "warder-insert-" + rand.Text()
	err := send(ctx, s, table, columns, rows, token)
	s.metrics.seconds.WithLabelValues(table).Observe(time.Since(began).Seconds())
	if err == nil {
		s.metrics.inserted.WithLabelValues(table).Add(float64(len(rows)))
		return nil
	}
	s.metrics.failures.WithLabelValues(table).Inc()
	err = s.cfg.explain("insert into "+table, err)
	return errors.Join(err, s.settle(ctx, token))
}

func send[R any](ctx context.Context, s *Store, table string, columns []column[R], rows []R, token string) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert": 0, // its acknowledgement may come before the rows do
		"log_comment":  token,
		// One block stays one block.
		"max_insert_threads": 1,
	}))
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO "+table+" ("+strings.Join(names, ", ")+")", driver.WithReleaseConnection())
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
		err := s.conn.QueryRow(ctx, "SELECT count() FROM system.processes WHERE startsWith(Settings['log_comment'], {token:String}) AND query_kind = 'Insert'",
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
