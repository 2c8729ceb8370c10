package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// withTriage selects alerts and how each stands. An alert that nobody has looked at is open.
const withTriage = `SELECT a.record, if(t.said = '', 'open', t.said) AS standing, t.verdict, t.who, t.note, t.at FROM alerts AS a
LEFT JOIN (SELECT alert, argMax(n.state, n.time) AS said, argMax(n.verdict, n.time) AS verdict, argMax(n.by, n.time) AS who,
    argMax(n.note, n.time) AS note, max(n.time) AS at FROM triage AS n GROUP BY alert) AS t ON t.alert = a.id`

// Alerts implements [history.Reader]: newest first, at most MaxRows.
func (s *Store) Alerts(ctx context.Context, f history.AlertFilter) ([]history.Alert, error) {
	if err := checkSpan(f.Span); err != nil {
		return nil, err
	}
	q := newSelect(withTriage)
	q.span("a.time", f.Since, f.Until)
	if f.MinSeverity != "" {
		if f.MinSeverity.Rank() < 0 {
			return nil, fmt.Errorf("%w: severity %.20q is none of %v", history.ErrQuestion, f.MinSeverity, alert.Severities())
		}
		q.where("a.rank >= {rank:Int8}", clickhouse.Named("rank", f.MinSeverity.Rank()))
	}
	q.equal("rule", f.Rule)
	if f.State != "" {
		if !slices.Contains([]string{history.Open, history.Acknowledged, history.Closed}, f.State) {
			return nil, fmt.Errorf("%w: state %.20q is none of open, acknowledged, closed", history.ErrQuestion, f.State)
		}
		q.equal("standing", f.State)
	}
	if f.Tag != "" {
		q.where("has(a.tags, {tag:String})", clickhouse.Named("tag", f.Tag))
	}
	if f.Entity != "" {
		q.where("has(mapValues(a.entity), {entity:String})", clickhouse.Named("entity", f.Entity))
	}
	return s.alerts(ctx, q, f.Limit)
}

func (s *Store) alerts(ctx context.Context, q *selects, limit int) ([]history.Alert, error) {
	var out []history.Alert
	err := s.each(ctx, "list alerts", q.text("ORDER BY a.time DESC, a.id LIMIT 1 BY a.id", limit), q.args, func(r driver.Rows) (err error) {
		var record string
		var a history.Alert
		t := &a.Triage
		if err = r.Scan(&record, &t.State, &t.Verdict, &t.By, &t.Note, &t.Time); err != nil {
			return err
		}
		if t.Time.Unix() == firstTime {
			*t = history.Triage{State: history.Open}
		}
		a.Alert, err = alert.Decode([]byte(record))
		out = append(out, a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// maxNamed is how many alerts an error about an ambiguous id names.
const maxNamed = 5

// one returns the alert whose id begins with id, which only one may.
func (s *Store) one(ctx context.Context, id string) (*history.Alert, error) {
	if id == "" {
		return nil, fmt.Errorf("%w: the alert's id is empty", history.ErrQuestion)
	}
	q := newSelect(withTriage)
	q.where("startsWith(a.id, {id:String})", clickhouse.Named("id", id))
	found, err := s.alerts(ctx, q, maxNamed)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(found, func(a history.Alert) bool { return a.ID == id }); i >= 0 {
		return &found[i], nil
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: no alert's id begins with %.40q; `warder alerts list` shows them", history.ErrNotFound, id)
	case 1:
		return &found[0], nil
	}
	names := make([]string, len(found))
	for i, a := range found {
		names[i] = a.ID
	}
	return nil, fmt.Errorf("%w: several alerts begin with %.40q, among them %s; write more of the id", history.ErrQuestion, id, strings.Join(names, ", "))
}

// Alert implements [history.Reader].
func (s *Store) Alert(ctx context.Context, id string) (*history.AlertDetail, error) {
	a, err := s.one(ctx, id)
	if err != nil {
		return nil, err
	}
	out := &history.AlertDetail{Alert: *a}
	var ids []event.ID
	for _, text := range a.Events {
		if id, err := event.ParseID(text); err == nil { // an id that is none is of no event that the store has
			ids = append(ids, id)
		}
	}
	if out.Evidence, err = s.EventsByID(ctx, ids[:min(len(ids), MaxIDs)]); err != nil {
		return nil, err
	}
	if out.Decisions, err = s.decisionsOf(ctx, a.ID); err != nil {
		return nil, err
	}
	out.History, err = s.triaged(ctx, a.ID)
	return out, err
}
