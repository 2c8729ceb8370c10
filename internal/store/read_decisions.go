package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/history"
)

// Decisions implements [history.Reader]. Without History, State and the span are compared with a decision's newest change.
func (s *Store) Decisions(ctx context.Context, f history.DecisionFilter) ([]history.DecisionChange, error) {
	return s.decisions(ctx, f, func(*selects) {})
}

// decisions lists decisions; narrow may add conditions on what does not change in a decision's life.
func (s *Store) decisions(ctx context.Context, f history.DecisionFilter, narrow func(*selects)) ([]history.DecisionChange, error) {
	if err := checkSpan(f.Span); err != nil {
		return nil, err
	}
	states := []decision.State{decision.Proposed, decision.Active, decision.Expired, decision.Revoked}
	if f.State != "" && !slices.Contains(states, f.State) {
		return nil, fmt.Errorf("%w: no decision is in the state %.40q: it is one of %s", history.ErrQuestion, string(f.State), listed(states))
	}
	of := newSelect("SELECT * FROM decisions")
	if f.ID != "" {
		of.where("id = {id:String}", clickhouse.Named("id", f.ID))
	}
	if f.Value != "" {
		of.where("value = {value:String}", clickhouse.Named("value", f.Value))
	}
	narrow(of)
	newest := ""
	if !f.History {
		newest = " ORDER BY updated DESC, change LIMIT 1 BY id"
	}
	q := newSelect("SELECT record, updated FROM (" + of.body() + newest + ")")
	q.args = of.args
	q.span("updated", f.Since, f.Until)
	if f.State != "" {
		q.where("state = {state:String}", clickhouse.Named("state", string(f.State)))
	}
	out := []history.DecisionChange{}
	err := s.each(ctx, "list decisions", q.text("ORDER BY updated DESC, id LIMIT 1 BY change", f.Limit), q.args, func(r driver.Rows) error {
		var record string
		var c history.DecisionChange
		if err := r.Scan(&record, &c.Updated); err != nil {
			return err
		}
		d, err := decision.Decode([]byte(record))
		if err != nil {
			return err
		}
		c.Decision = d
		out = append(out, c)
		return nil
	})
	return out, err
}
