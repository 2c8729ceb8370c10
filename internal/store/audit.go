package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// EntryID identifies an audit entry.
type EntryID [16]byte

// NewEntryID returns the deterministic id of the entry that something causes, named by its parts.
func NewEntryID(parts ...string) EntryID {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p) // a hash takes everything
	}
	return EntryID(h.Sum(nil)[:16])
}

// String returns 32 hexadecimal digits.
func (id EntryID) String() string { return hex.EncodeToString(id[:]) }

// Entry is one line of the audit log: who did what to whom. It is never changed.
type Entry struct {
	ID      EntryID
	Time    time.Time // milliseconds
	Actor   string    // "rule:<id>", "person:<name>", "system"
	Action  string    // "decision.active", …
	Subject string    // "source.address=203.0.113.9"
	Detail  string    // JSON
}

func auditColumns() []column[Entry] {
	return []column[Entry]{
		fixed("id", func(e Entry) [16]byte { return e.ID }),
		col("time", func(e Entry) time.Time { return storedTime(e.Time) }),
		low("actor", func(e Entry) string { return e.Actor }),
		low("action", func(e Entry) string { return e.Action }),
		col("subject", func(e Entry) string { return e.Subject }),
		col("detail", func(e Entry) string { return e.Detail }),
	}
}

// InsertAudit appends the entries that the log does not have, by id. nil says that all are there; after an error some may be, and
// the same entries can be given again.
func (s *Store) InsertAudit(ctx context.Context, entries []Entry) error {
	return insertOnce(ctx, s, "audit", auditColumns(), entries, keyed[Entry, Entry]{
		id:       func(e Entry) string { return e.ID.String() },
		time:     func(e Entry) time.Time { return e.Time.Truncate(time.Millisecond) },
		row:      func(e Entry) (Entry, error) { return e, nil },
		existing: "SELECT lower(hex(id)) FROM audit WHERE id IN arrayMap(x -> toFixedString(unhex(x), 16), {ids:Array(String)}) AND time BETWEEN {from:DateTime64(9, 'UTC')} AND {to:DateTime64(9, 'UTC')}",
	})
}
