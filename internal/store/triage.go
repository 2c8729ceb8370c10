package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/history"
)

// Bounds of what people say about an alert, in bytes.
const (
	maxNote = 2000
	maxBy   = 256
)

func alertStates() []string {
	return []string{history.Open, history.Acknowledged, history.Closed}
}

func verdicts() []string {
	return []string{history.TruePositive, history.FalsePositive, history.Benign}
}

// triageRow is a change on its way into the table.
type triageRow struct {
	history.Triage
	alert string
}

func triageColumns() []column[triageRow] {
	return []column[triageRow]{
		col("alert", func(t triageRow) string { return t.alert }),
		col("time", func(t triageRow) time.Time { return storedTime(t.Time) }),
		low("state", func(t triageRow) string { return t.State }),
		low("verdict", func(t triageRow) string { return t.Verdict }),
		low("by", func(t triageRow) string { return t.By }),
		col("note", func(t triageRow) string { return t.Note }),
	}
}

// Triage implements [history.Triager]. Any state may follow any other; closing an alert needs a verdict, which no other state has. The
// change carries the store's time in milliseconds and is later than each of the alert's before it; t's own By and Time do not count. Two
// processes that change the same alert within a millisecond leave one of the two changes.
func (s *Store) Triage(ctx context.Context, by, id string, t history.Triage) (*history.Alert, error) {
	if err := checkTriage(by, t); err != nil {
		return nil, err
	}
	s.triaging.Lock()
	defer s.triaging.Unlock()
	a, err := s.oneAlert(ctx, id)
	if err != nil {
		return nil, err
	}
	t.By, t.Time = by, time.Now().UTC().Truncate(time.Millisecond)
	if !t.Time.After(a.Triage.Time) {
		t.Time = a.Triage.Time.Add(time.Millisecond)
	}
	if err = insert(ctx, s, "triage", triageColumns(), []triageRow{{t, a.ID}}); err != nil {
		return nil, err
	}
	a.Triage = t
	return a, nil
}

func checkTriage(by string, t history.Triage) error {
	switch {
	case by == "" || len(by) > maxBy:
		return fmt.Errorf("%w: who changes an alert has a name of 1 to %d bytes", history.ErrQuestion, maxBy)
	case !slices.Contains(alertStates(), t.State):
		return fmt.Errorf("%w: %.40q is no state of an alert: it is one of %s", history.ErrQuestion, t.State, listed(alertStates()))
	case t.State == history.Closed && !slices.Contains(verdicts(), t.Verdict):
		return fmt.Errorf("%w: an alert is closed with a verdict, and %.40q is none: it is one of %s", history.ErrQuestion, t.Verdict, listed(verdicts()))
	case t.State != history.Closed && t.Verdict != "":
		return fmt.Errorf("%w: only a closed alert has a verdict: leave %.40q out, or close the alert", history.ErrQuestion, t.Verdict)
	case len(t.Note) > maxNote:
		return fmt.Errorf("%w: the note has %d bytes, more than %d", history.ErrQuestion, len(t.Note), maxNote)
	}
	return nil
}

// triages lists what people made of an alert, oldest first.
func (s *Store) triages(ctx context.Context, id string) ([]history.Triage, error) {
	q := newSelect("SELECT state, verdict, by, note, time FROM triage")
	q.where("alert = {alert:String}", clickhouse.Named("alert", id))
	out := []history.Triage{}
	err := s.each(ctx, "read an alert's history", q.text("ORDER BY time LIMIT 1 BY time", 0), q.args, func(r driver.Rows) error {
		var t history.Triage
		err := r.Scan(&t.State, &t.Verdict, &t.By, &t.Note, &t.Time)
		out = append(out, t)
		return err
	})
	return out, err
}
