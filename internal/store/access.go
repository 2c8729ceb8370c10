package store

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/warder/warder/internal/history"
)

// InsertAccess appends accesses. After an error it is not known whether they are there.
func (s *Store) InsertAccess(ctx context.Context, all ...history.Access) error {
	return insert(ctx, s, "audit", []column[history.Access]{
		fixed("id", func(history.Access) (id [16]byte) { _, _ = rand.Read(id[:]); return id }), // never fails
		col("time", func(a history.Access) time.Time { return storedTime(a.Time) }),
		low("actor", func(a history.Access) string { return a.Actor }),
		low("action", func(a history.Access) string { return a.Action }),
		col("subject", func(a history.Access) string { return a.Subject }),
		col("detail", func(a history.Access) string { return a.Detail }),
	}, all)
}
