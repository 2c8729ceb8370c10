package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/warder/warder/internal/history"
)

// Change is one record of a decision's life: the decision as it became, and when that came to the bus, in milliseconds.
type Change = history.DecisionChange

// changeRow is a change on its way into the table.
type changeRow struct {
	Change
	record  string
	content [16]byte // identifies what the record says
	change  [16]byte // identifies what it says and when
}

func newChangeRow(c Change) (changeRow, error) {
	b, err := c.Encode()
	if err != nil {
		return changeRow{}, fmt.Errorf("store: %w", err)
	}
	r := changeRow{Change: c, record: string(b)}
	r.Updated = storedTime(c.Updated).Truncate(time.Millisecond)
	sum := sha256.Sum256(b)
	copy(r.content[:], sum[:])
	sum = sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(r.Updated.UnixMilli())))
	copy(r.change[:], sum[:])
	return r, nil
}

func changeColumns() []column[changeRow] {
	return []column[changeRow]{
		col("id", func(c changeRow) string { return c.ID }),
		fixed("change", func(c changeRow) [16]byte { return c.change }),
		fixed("content", func(c changeRow) [16]byte { return c.content }),
		col("updated", func(c changeRow) time.Time { return c.Updated }),
		low("action", func(c changeRow) string { return string(c.Action) }),
		low("scope", func(c changeRow) string { return string(c.Scope) }),
		col("value", func(c changeRow) string { return c.Value }),
		low("mode", func(c changeRow) string { return string(c.Mode) }),
		low("state", func(c changeRow) string { return string(c.State) }),
		low("creator", func(c changeRow) string { return c.Creator }),
		col("alert", func(c changeRow) string { return c.Reason.Alert }),
		low("rule", func(c changeRow) string { return c.Reason.Rule }),
		col("created", func(c changeRow) time.Time { return storedTime(c.Created) }),
		col("expires", func(c changeRow) time.Time { return storedTime(c.Expires) }),
		col("note", func(c changeRow) string { return c.Note }),
		col("record", func(c changeRow) string { return c.record }),
	}
}

// InsertDecisions adds the changes to the history. A change is left out when the history has
// it, or when it says what the decision's newest row says already. nil says that all are there; after an error some may be, and
// the same changes can be given again. Changes of one decision must come in order and from one caller.
func (s *Store) InsertDecisions(ctx context.Context, changes []Change) error {
	for _, batch := range byMonth(changes, func(c Change) time.Time { return c.Updated }, maxKeyed) {
		rows, err := s.newChanges(ctx, batch)
		if err != nil {
			return err
		}
		if err = insert(ctx, s, "decisions", changeColumns(), rows); err != nil {
			return err
		}
	}
	return nil
}

// newChanges returns the rows of those changes that are news.
func (s *Store) newChanges(ctx context.Context, changes []Change) ([]changeRow, error) {
	h, err := s.known(ctx, changes)
	if err != nil {
		return nil, err
	}
	var out []changeRow
	for _, c := range changes {
		r, err := newChangeRow(c)
		if err != nil {
			return nil, err
		}
		if h.changes[r.change] || h.newest[c.ID] == r.content {
			s.metrics.repeats.WithLabelValues("decisions").Inc()
			continue
		}
		h.changes[r.change] = true
		h.newest[c.ID] = r.content
		out = append(out, r)
	}
	return out, nil
}

// known is what the table knows of some decisions.
type known struct {
	changes map[[16]byte]bool
	newest  map[string][16]byte // id: content
}

func (s *Store) known(ctx context.Context, changes []Change) (known, error) {
	h := known{changes: make(map[[16]byte]bool), newest: make(map[string][16]byte)}
	ids := make([]string, len(changes))
	for i, c := range changes {
		ids[i] = c.ID
	}
	rows, err := s.conn.Query(ctx, "SELECT id, change, content FROM decisions WHERE id IN {ids:Array(String)} ORDER BY updated", clickhouse.Named("ids", ids))
	if err != nil {
		return h, s.cfg.explain("read the decisions' history", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, change, content string
		if err = rows.Scan(&id, &change, &content); err != nil {
			return h, s.cfg.explain("read the decisions' history", err)
		}
		h.changes[[16]byte([]byte(change))] = true
		h.newest[id] = [16]byte([]byte(content))
	}
	if err = rows.Err(); err != nil {
		return h, s.cfg.explain("read the decisions' history", err)
	}
	return h, nil
}
