package history

import (
	"context"
	"net/netip"
)

// Eraser deletes what the history holds of one person.
type Eraser interface {
	// Erase deletes what is stored of a client or user. With dryRun it only counts. It can be run again; what came in the meantime is deleted then.
	Erase(ctx context.Context, e EntityID, dryRun bool) (*Erasure, error)
}

// Erasure tells what was deleted, or with a dry run would be.
type Erasure struct {
	DryRun bool          `json:"dry_run"`
	Tables []ErasedTable `json:"tables"`
}

// ErasedTable is a table's part of an erasure.
type ErasedTable struct {
	Table  string `json:"table"`
	Rows   uint64 `json:"rows"`
	Action string `json:"action"`           // deleted, blanked (the row stays, the name in it goes) or kept
	Reason string `json:"reason,omitempty"` // why it is kept
}

// ErasureRequest asks for an erasure.
type ErasureRequest struct {
	EntityID
	DryRun bool `json:"dry_run"`
}

// GuessKind returns [Address] for an IP address and [Principal] for the rest.
func GuessKind(value string) string {
	if _, err := netip.ParseAddr(value); err == nil {
		return Address
	}
	return Principal
}
