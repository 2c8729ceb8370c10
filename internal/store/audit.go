package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/warder/warder/internal/decision/ledger"
)

// LedgerLine is one line of the decision ledger and where it stands on the audit topic.
type LedgerLine struct {
	*ledger.Line
	Offset int64
}

// id identifies the line by its bytes, so that of two lines that state the same hash none hides the other.
func (l LedgerLine) id() [16]byte {
	sum := sha256.Sum256(l.Text())
	return [16]byte(sum[:16])
}

// rule is what the entry says of the rule behind a decision.
func (l LedgerLine) rule() string {
	if r := l.Entry.Reason; r != nil {
		return r.Rule
	}
	return ""
}

func (l LedgerLine) alert() string {
	if r := l.Entry.Reason; r != nil {
		return r.Alert
	}
	return ""
}

func (l LedgerLine) gateway() string {
	if g := l.Entry.Gateway; g != nil {
		return g.Gateway
	}
	return ""
}

func ledgerColumns() []column[LedgerLine] {
	return []column[LedgerLine]{
		low("chain", func(l LedgerLine) string { return l.Entry.Chain }),
		col("seq", func(l LedgerLine) uint64 { return l.Entry.Seq }),
		fixed("id", LedgerLine.id),
		col("position", func(l LedgerLine) int64 { return l.Offset }),
		col("time", func(l LedgerLine) time.Time { return storedTime(l.Entry.Time) }),
		col("prev", func(l LedgerLine) string { return l.Entry.Prev }),
		col("hash", func(l LedgerLine) string { return l.Hash }),
		low("key", func(l LedgerLine) string { return l.Entry.Key }),
		low("kind", func(l LedgerLine) string { return string(l.Entry.Kind) }),
		col("decision", func(l LedgerLine) string { return l.Entry.Decision }),
		col("entity", func(l LedgerLine) string { return l.Entry.Entity }),
		low("action", func(l LedgerLine) string { return string(l.Entry.Action) }),
		low("mode", func(l LedgerLine) string { return string(l.Entry.Mode) }),
		low("creator", func(l LedgerLine) string { return l.Entry.Creator }),
		low("approver", func(l LedgerLine) string { return l.Entry.Approver }),
		low("rule", LedgerLine.rule),
		col("alert", LedgerLine.alert),
		low("gateway", LedgerLine.gateway),
		col("expires", func(l LedgerLine) time.Time { return storedTime(l.Entry.Expires) }),
		col("line", func(l LedgerLine) string { return string(l.Text()) }),
	}
}

// InsertLedger appends the lines that the table does not have, by their bytes: also those that do not count in their chain. nil says
// that all are there; after an error some may be, and the same lines can be given again.
func (s *Store) InsertLedger(ctx context.Context, lines []LedgerLine) error {
	return insertOnce(ctx, s, "ledger", ledgerColumns(), lines, keyed[LedgerLine, LedgerLine]{
		id:       func(l LedgerLine) string { id := l.id(); return hex.EncodeToString(id[:]) },
		time:     func(l LedgerLine) time.Time { return l.Entry.Time.Truncate(time.Millisecond) },
		row:      func(l LedgerLine) (LedgerLine, error) { return l, nil },
		existing: "SELECT lower(hex(id)) FROM ledger WHERE id IN arrayMap(x -> toFixedString(unhex(x), 16), {ids:Array(String)}) AND time BETWEEN {from:DateTime64(9, 'UTC')} AND {to:DateTime64(9, 'UTC')}",
	})
}
