package store

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/history"
)

// Decisions implements [history.Reader]: newest change first, at most MaxRows. Without History a decision comes once, as its newest change
// left it, and the filter's state and times are compared with that one.
func (s *Store) Decisions(ctx context.Context, f history.DecisionFilter) ([]history.DecisionChange, error) {
	if err := checkSpan(f.Span); err != nil {
		return nil, err
	}
	from := "decisions"
	if !f.History {
		from = "(SELECT * FROM decisions ORDER BY updated DESC, change LIMIT 1 BY id)"
	}
	q := newSelect("SELECT record, updated FROM " + from)
	q.span("updated", f.Since, f.Until)
	q.equal("id", f.ID)
	q.equal("state", string(f.State))
	q.equal("value", f.Value)
	return s.decisions(ctx, q, f.Limit)
}

// decisionsOf lists the decisions that came of an alert, as their newest changes left them.
func (s *Store) decisionsOf(ctx context.Context, alert string) ([]history.DecisionChange, error) {
	q := newSelect("SELECT record, updated FROM (SELECT * FROM decisions WHERE alert = {alert:String} ORDER BY updated DESC, change LIMIT 1 BY id)")
	q.args = append(q.args, clickhouse.Named("alert", alert))
	return s.decisions(ctx, q, 0)
}

func (s *Store) decisions(ctx context.Context, q *selects, limit int) ([]history.DecisionChange, error) {
	var out []history.DecisionChange
	err := s.each(ctx, "list decisions", q.text("ORDER BY updated DESC, id LIMIT 1 BY change", limit), q.args, func(r driver.Rows) (err error) {
		var record string
		var c history.DecisionChange
		if err = r.Scan(&record, &c.Updated); err != nil {
			return err
		}
		c.Decision, err = decision.Decode([]byte(record))
		out = append(out, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
