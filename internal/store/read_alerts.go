package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// Bounds of what names an alert, in bytes.
const (
	minAlertPrefix = 6
	maxAlertID     = 128
)

// ambiguous is how many alerts are listed to who gave too short an id.
const ambiguous = 5

// listed is a list for a message.
func listed[T ~string](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}

// Alerts implements [history.Reader].
func (s *Store) Alerts(ctx context.Context, f history.AlertFilter) ([]history.Alert, error) {
	return s.alerts(ctx, f, func(*selects) {})
}

// alerts lists alerts; narrow may add conditions.
func (s *Store) alerts(ctx context.Context, f history.AlertFilter, narrow func(*selects)) ([]history.Alert, error) {
	if err := checkAlerts(f); err != nil {
		return nil, err
	}
	q := newSelect("SELECT a.record, t.made.1, t.made.2, t.made.3, t.made.4, t.at, a.stored FROM alerts AS a LEFT JOIN " +
		"(SELECT c.alert AS id, argMax((c.state, c.verdict, c.by, c.note), c.time) AS made, max(c.time) AS at FROM triage AS c GROUP BY c.alert) AS t ON t.id = a.id")
	q.span("a.time", f.Since, f.Until)
	if f.MinSeverity != "" {
		q.where("a.rank >= {rank:Int8}", clickhouse.Named("rank", f.MinSeverity.Rank()))
	}
	if f.Rule != "" {
		q.where("a.rule = {rule:String}", clickhouse.Named("rule", f.Rule))
	}
	if f.Tag != "" {
		q.where("has(a.tags, {tag:String})", clickhouse.Named("tag", f.Tag))
	}
	if f.Entity != "" {
		q.where("has(mapValues(a.entity), {entity:String})", clickhouse.Named("entity", f.Entity))
	}
	if f.State != "" {
		q.where("if(t.made.1 = '', 'open', t.made.1) = {state:String}", clickhouse.Named("state", f.State))
	}
	if !f.StoredSince.IsZero() {
		q.where("a.stored >= {stored:DateTime64(3, 'UTC')}", clickhouse.DateNamed("stored", storedTime(f.StoredSince), clickhouse.MilliSeconds))
	}
	narrow(q)
	out := []history.Alert{}
	err := s.each(ctx, "list alerts", q.text("ORDER BY a.time DESC, a.id LIMIT 1 BY a.id", f.Limit), q.args, func(r driver.Rows) error {
		a, err := scanAlert(r)
		out = append(out, a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func checkAlerts(f history.AlertFilter) error {
	if f.MinSeverity != "" && f.MinSeverity.Rank() < 0 {
		return fmt.Errorf("%w: %.40q is no severity: it is one of %s", history.ErrQuestion, string(f.MinSeverity), listed(alert.Severities()))
	}
	if f.State != "" && !slices.Contains(alertStates(), f.State) {
		return fmt.Errorf("%w: no alert is in the state %.40q: it is one of %s", history.ErrQuestion, f.State, listed(alertStates()))
	}
	return checkSpan(f.Span)
}

// scanAlert reads a row of alerts. An alert that nobody looked at is open.
func scanAlert(r driver.Rows) (history.Alert, error) {
	var record string
	var t history.Triage
	var stored time.Time
	if err := r.Scan(&record, &t.State, &t.Verdict, &t.By, &t.Note, &t.Time, &stored); err != nil {
		return history.Alert{}, err
	}
	if t.State == "" {
		t = history.Triage{State: history.Open}
	}
	a, err := alert.Decode([]byte(record))
	return history.Alert{Alert: a, Triage: t, Stored: stored.UTC()}, err
}

// Alert implements [history.Reader].
func (s *Store) Alert(ctx context.Context, id string) (*history.AlertDetail, error) {
	a, err := s.oneAlert(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &history.AlertDetail{Alert: *a}
	if d.History, err = s.triages(ctx, a.ID); err != nil {
		return nil, err
	}
	if d.Evidence, err = s.evidence(ctx, a.Alert); err != nil {
		return nil, err
	}
	d.Decisions, err = s.decisions(ctx, history.DecisionFilter{}, func(q *selects) {
		q.where("alert = {alert:String}", clickhouse.Named("alert", a.ID))
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// oneAlert finds the alert that an id or its beginning names.
func (s *Store) oneAlert(ctx context.Context, id string) (*history.Alert, error) {
	if len(id) < minAlertPrefix || len(id) > maxAlertID {
		return nil, fmt.Errorf("%w: %.40q cannot be an alert's id: give it whole, or at least its first %d characters", history.ErrQuestion, id, minAlertPrefix)
	}
	found, err := s.alertsNamed(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fmt.Errorf("alert %q: %w", id, history.ErrNotFound)
	case len(found) > 1 && found[0] != id: // the shortest comes first
		more := ""
		if len(found) > ambiguous {
			found, more = found[:ambiguous], " and others"
		}
		return nil, fmt.Errorf("%w: the ids of several alerts begin with %q: give more of one: %q%s", history.ErrQuestion, id, found, more)
	}
	alerts, err := s.alerts(ctx, history.AlertFilter{Limit: 1}, func(q *selects) { q.where("a.id = {id:String}", clickhouse.Named("id", found[0])) })
	switch {
	case err != nil:
		return nil, err
	case len(alerts) == 0: // its retention ended just now
		return nil, fmt.Errorf("alert %q: %w", id, history.ErrNotFound)
	}
	return &alerts[0], nil
}

// alertsNamed lists ids that begin so, in their order; a few.
func (s *Store) alertsNamed(ctx context.Context, prefix string) ([]string, error) {
	q := newSelect("SELECT DISTINCT id FROM alerts")
	q.where("startsWith(id, {prefix:String})", clickhouse.Named("prefix", prefix))
	var out []string
	err := s.each(ctx, "look for an alert", q.text("ORDER BY id", ambiguous+1), q.args, func(r driver.Rows) error {
		var id string
		err := r.Scan(&id)
		out = append(out, id)
		return err
	})
	return out, err
}

// evidence reads those of an alert's events that the store has. They lie within the alert's window.
func (s *Store) evidence(ctx context.Context, a *alert.Alert) ([]*event.Event, error) {
	var ids []event.ID
	for _, text := range a.Events {
		if id, err := event.ParseID(text); err == nil { // what is no id names no event
			ids = append(ids, id)
		}
	}
	end := a.Window.End
	if a.Time.After(end) {
		end = a.Time
	}
	return s.eventsWithin(ctx, ids, history.Span{Since: a.Window.Start, Until: end.Add(time.Nanosecond)})
}
