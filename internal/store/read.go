package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/decision/ledger"
	"github.com/warder/warder/internal/history"
)

// limited puts the configured limits on a read.
func (s *Store) limited(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"max_execution_time": max(1, int(s.cfg.Limits.Time.Std().Seconds())),
		"max_memory_usage":   int64(s.cfg.Limits.Memory),
		"max_rows_to_read":   s.cfg.Limits.Rows,
		"max_result_rows":    history.MaxRows,
	}))
}

// each runs a read and calls scan for each row. what names the read in errors.
func (s *Store) each(ctx context.Context, what, sql string, args []any, scan func(driver.Rows) error) error {
	rows, err := s.conn.Query(s.limited(ctx), sql, args...)
	if err != nil {
		return s.explainRead(what, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err = scan(rows); err != nil {
			return s.explainRead(what, err)
		}
	}
	if err = rows.Err(); err != nil {
		return s.explainRead(what, err)
	}
	return nil
}

// explainRead explains what ended a read.
func (s *Store) explainRead(what string, err error) error {
	var ex *clickhouse.Exception
	if errors.As(err, &ex) {
		return s.overLimit(what, ex.Code, err)
	}
	return s.cfg.explain(what, err)
}

// checkSpan refuses a span that ends before it begins.
func checkSpan(span history.Span) error {
	if !span.Since.IsZero() && !span.Until.IsZero() && !span.Since.Before(span.Until) {
		return fmt.Errorf("%w: it ends (%s) before it begins (%s)", history.ErrQuestion, span.Until.Format(time.RFC3339), span.Since.Format(time.RFC3339))
	}
	return nil
}

// Stats counts what the store has since a time.
type Stats struct {
	Events    uint64 // rows; no collapsing is needed, repeats are kept out
	Refused   uint64 // events that a decision answered
	Alerts    uint64
	Decisions uint64    // distinct decisions with a change
	Audit     uint64    // lines of the decision ledger
	First     time.Time // of the events; zero without any
	Last      time.Time
}

// Stats counts what happened at or after since.
func (s *Store) Stats(ctx context.Context, since time.Time) (Stats, error) {
	var out Stats
	at := []any{clickhouse.DateNamed("since", storedTime(since), clickhouse.NanoSeconds)}
	err := s.each(ctx, "count events", "SELECT count(), countIf(enforced_action IN ('block', 'limit')), min(time), max(time) FROM events WHERE time >= {since:DateTime64(9, 'UTC')}", at,
		func(r driver.Rows) error { return r.Scan(&out.Events, &out.Refused, &out.First, &out.Last) })
	if err != nil {
		return Stats{}, err
	}
	if out.Events == 0 {
		out.First, out.Last = time.Time{}, time.Time{}
	}
	for _, c := range []struct {
		what, sql string
		to        *uint64
	}{
		{"count alerts", "SELECT count() FROM alerts WHERE time >= {since:DateTime64(9, 'UTC')}", &out.Alerts},
		{"count decisions", "SELECT uniqExact(id) FROM decisions WHERE updated >= {since:DateTime64(9, 'UTC')}", &out.Decisions},
		{"count audit entries", "SELECT count() FROM ledger WHERE time >= {since:DateTime64(9, 'UTC')}", &out.Audit},
	} {
		if err = s.each(ctx, c.what, c.sql, at, func(r driver.Rows) error { return r.Scan(c.to) }); err != nil {
			return Stats{}, err
		}
	}
	return out, nil
}

// AuditFilter narrows a list of the ledger's entries. Zero fields do not narrow.
type AuditFilter struct {
	Since, Until time.Time // Until is exclusive
	Decision     string    // id
	Entity       string
	Limit        int // at most history.MaxRows, which 0 is too
}

// Audit lists entries of the decision ledger, newest first: also those that do not count in their chain.
func (s *Store) Audit(ctx context.Context, f AuditFilter) ([]*ledger.Entry, error) {
	q := newSelect("SELECT line FROM ledger")
	q.span("time", f.Since, f.Until)
	if f.Decision != "" {
		q.where("decision = {decision:String}", clickhouse.Named("decision", f.Decision))
	}
	if f.Entity != "" {
		q.where("entity = {entity:String}", clickhouse.Named("entity", f.Entity))
	}
	var out []*ledger.Entry
	err := s.each(ctx, "list the ledger", q.text("ORDER BY position DESC LIMIT 1 BY id", f.Limit), q.args, func(r driver.Rows) error {
		var line string
		if err := r.Scan(&line); err != nil {
			return err
		}
		l, err := ledger.Parse([]byte(line))
		if err != nil {
			return err
		}
		out = append(out, l.Entry)
		return nil
	})
	return out, err
}
