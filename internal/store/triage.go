package store

import (
	"context"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/history"
)

// MaxNote bounds a triage's note, in bytes.
const MaxNote = 4000

// triageRow is a change on its way into the table.
type triageRow struct {
	history.Triage
	alert string
}

func triageColumns() []column[triageRow] {
	return []column[triageRow]{
		col("alert", func(t triageRow) string { return t.alert }),
		col("time", func(t triageRow) time.Time { return t.Time }),
		low("state", func(t triageRow) string { return t.State }),
		low("verdict", func(t triageRow) string { return t.Verdict }),
		low("by", func(t triageRow) string { return t.By }),
		col("note", func(t triageRow) string { return t.Note }),
	}
}

// Triage implements [history.Triager]. The store sets the time. Saying again what holds changes nothing.
func (s *Store) Triage(ctx context.Context, by, id string, t history.Triage) (*history.Alert, error) {
	if err := checkTriage(t); err != nil {
		return nil, err
	}
	a, err := s.one(ctx, id)
	if err != nil {
		return nil, err
	}
	old := a.Triage
	t.By, t.Time = by, time.Now().UTC().Truncate(time.Millisecond)
	if old.State == t.State && old.Verdict == t.Verdict && old.Note == t.Note {
		return a, nil
	}
	if !t.Time.After(old.Time) { // the newest row holds, also where a clock went back
		t.Time = old.Time.Add(time.Millisecond)
	}
	if err = insert(ctx, s, "triage", triageColumns(), []triageRow{{t, a.ID}}); err != nil {
		return nil, err
	}
	a.Triage = t
	return a, nil
}

func checkTriage(t history.Triage) error {
	verdicts := []string{history.TruePositive, history.FalsePositive, history.Benign}
	switch {
	case t.State != history.Open && t.State != history.Acknowledged && t.State != history.Closed:
		return fmt.Errorf("%w: state %.20q is none of open, acknowledged, closed", history.ErrQuestion, t.State)
	case t.State == history.Closed && !slices.Contains(verdicts, t.Verdict):
		return fmt.Errorf("%w: closing an alert needs a verdict: %v", history.ErrQuestion, verdicts)
	case t.State != history.Closed && t.Verdict != "":
		return fmt.Errorf("%w: a verdict belongs to closing, not to the state %s", history.ErrQuestion, t.State)
	case len(t.Note) > MaxNote || !utf8.ValidString(t.Note):
		return fmt.Errorf("%w: the note has %d bytes; write UTF-8 of at most %d", history.ErrQuestion, len(t.Note), MaxNote)
	}
	return nil
}

// triaged is an alert's history, oldest first.
func (s *Store) triaged(ctx context.Context, alert string) ([]history.Triage, error) {
	q := newSelect("SELECT state, verdict, by, note, time FROM triage")
	q.where("alert = {alert:String}", clickhouse.Named("alert", alert))
	var out []history.Triage
	err := s.each(ctx, "read an alert's history", q.text("ORDER BY time LIMIT 1 BY time", 0), q.args, func(r driver.Rows) error {
		var t history.Triage
		err := r.Scan(&t.State, &t.Verdict, &t.By, &t.Note, &t.Time)
		out = append(out, t)
		return err
	})
	return out, err
}
