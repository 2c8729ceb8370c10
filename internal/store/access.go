package store

import (
	"context"
	"crypto/rand"
	"time"
)

// Access is who read personal data or changed something through the API: a row of the table audit.
type Access struct {
	Time    time.Time // milliseconds
	Actor   string    // person:<name of the token>
	Action  string    // for example events.search
	Subject string    // what was asked for or changed, bounded by the caller
	Detail  string
}

// InsertAccess appends accesses. After an error it is not known whether they are there.
func (s *Store) InsertAccess(ctx context.Context, all ...Access) error {
	return insert(ctx, s, "audit", []column[Access]{
		fixed("id", func(Access) (id [16]byte) { _, _ = rand.Read(id[:]); return id }), // never fails
		col("time", func(a Access) time.Time { return storedTime(a.Time) }),
		low("actor", func(a Access) string { return a.Actor }),
		low("action", func(a Access) string { return a.Action }),
		col("subject", func(a Access) string { return a.Subject }),
		col("detail", func(a Access) string { return a.Detail }),
	}, all)
}
