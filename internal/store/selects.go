package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/warder/warder/internal/history"
)

// selects puts a SELECT together. Values only go in as parameters; the text is the program's own.
type selects struct {
	head       string
	conditions []string
	args       []any
}

func newSelect(head string) *selects { return &selects{head: head} }

// where adds a condition that must hold.
func (q *selects) where(condition string, args ...any) {
	q.conditions = append(q.conditions, condition)
	q.args = append(q.args, args...)
}

// span narrows a time column to [since, until).
func (q *selects) span(column string, since, until time.Time) {
	if !since.IsZero() {
		q.where(column+" >= {since:DateTime64(9, 'UTC')}", clickhouse.DateNamed("since", storedTime(since), clickhouse.NanoSeconds))
	}
	if !until.IsZero() {
		q.where(column+" < {until:DateTime64(9, 'UTC')}", clickhouse.DateNamed("until", storedTime(until), clickhouse.NanoSeconds))
	}
}

// text returns the statement; tail is what stands between the conditions and the limit.
func (q *selects) text(tail string, limit int) string {
	if limit <= 0 || limit > history.MaxRows {
		limit = history.MaxRows
	}
	return fmt.Sprintf("%s %s LIMIT %d", q.body(), tail, limit)
}

// body is the statement up to its conditions.
func (q *selects) body() string {
	if len(q.conditions) == 0 {
		return q.head
	}
	return q.head + " WHERE " + strings.Join(q.conditions, " AND ")
}
