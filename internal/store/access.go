package store

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/warder/warder/internal/history"
)

// Bounds of an access's texts, in bytes: what is longer is cut.
const (
	maxAccessName   = 256 // actor, action
	maxAccessDetail = 4096
)

// accessRow is an access on its way into the table.
type accessRow struct {
	history.Access
	id [16]byte
}

func accessColumns() []column[accessRow] {
	return []column[accessRow]{
		fixed("id", func(a accessRow) [16]byte { return a.id }),
		col("time", func(a accessRow) time.Time { return storedTime(a.Time) }),
		low("actor", func(a accessRow) string { return cut(a.Actor, maxAccessName) }),
		low("action", func(a accessRow) string { return cut(a.Action, maxAccessName) }),
		col("subject", func(a accessRow) string { return cut(a.Subject, maxEntity) }),
		col("detail", func(a accessRow) string { return cut(a.Detail, maxAccessDetail) }),
	}
}

// cut shortens a text to whole characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

// InsertAccess adds to the log of who did what. Each is a row of its own: given again after an error, some may be there twice. A detail is
// cut after 4096 bytes, a subject after 1024, an actor or action after 256.
func (s *Store) InsertAccess(ctx context.Context, done []history.Access) error {
	for _, batch := range byMonth(done, func(a history.Access) time.Time { return a.Time }, maxKeyed) {
		rows := make([]accessRow, len(batch))
		for i, a := range batch {
			rows[i].Access = a
			_, _ = rand.Read(rows[i].id[:]) // never fails
		}
		if err := insert(ctx, s, "audit", accessColumns(), rows); err != nil {
			return err
		}
	}
	return nil
}
