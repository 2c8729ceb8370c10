package store

import (
	"context"
	"time"

	"github.com/warder/warder/internal/alert"
)

// alertRow is an alert on its way into the table.
type alertRow struct {
	*alert.Alert
	record string
	stored time.Time
}

func alertColumns() []column[alertRow] {
	return []column[alertRow]{
		col("id", func(a alertRow) string { return a.ID }),
		col("time", func(a alertRow) time.Time { return storedTime(a.Time) }),
		low("rule", func(a alertRow) string { return a.Rule }),
		low("rule_version", func(a alertRow) string { return a.RuleVersion }),
		low("title", func(a alertRow) string { return a.Title }),
		low("severity", func(a alertRow) string { return string(a.Severity) }),
		col("rank", func(a alertRow) int8 { return int8(a.Severity.Rank()) }),
		low("mode", func(a alertRow) string { return string(a.Mode) }),
		col("tags", func(a alertRow) []string { return a.Tags }),
		col("window_start", func(a alertRow) time.Time { return storedTime(a.Window.Start) }),
		col("window_end", func(a alertRow) time.Time { return storedTime(a.Window.End) }),
		col("entity", func(a alertRow) map[string]string { return a.Group }),
		col("measured", func(a alertRow) map[string]float64 { return a.Values }),
		col("events", func(a alertRow) []string { return a.Events }),
		col("event_count", func(a alertRow) int64 { return a.EventCount }),
		col("dropped", func(a alertRow) uint64 { return a.Coverage.Dropped }),
		col("record", func(a alertRow) string { return a.record }),
		col("stored", func(a alertRow) time.Time { return a.stored }),
	}
}

// InsertAlerts inserts the alerts that the table does not have, by id. nil says that all are in the table. After an error some
// may be; the same alerts can be given again. Two calls at once must not hold the same alert.
func (s *Store) InsertAlerts(ctx context.Context, alerts []*alert.Alert) error {
	return insertOnce(ctx, s, "alerts", alertColumns(), alerts, keyed[*alert.Alert, alertRow]{
		id:   func(a *alert.Alert) string { return a.ID },
		time: func(a *alert.Alert) time.Time { return a.Time },
		row: func(a *alert.Alert) (alertRow, error) {
			b, err := a.Encode()
			return alertRow{a, string(b), time.Now()}, err
		},
		existing: "SELECT id FROM alerts WHERE id IN {ids:Array(String)} AND time BETWEEN {from:DateTime64(9, 'UTC')} AND {to:DateTime64(9, 'UTC')}",
	})
}
