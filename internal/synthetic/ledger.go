package synthetic

import (
	"crypto/ed25519"
	"encoding/hex"
	"math/rand/v2"
	"time"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/ledger"
	"github.com/warder/warder/internal/store"
)

// book writes the ledger about a list of changes, as the audit stage would.
type book struct {
	rnd   *rand.Rand
	key   ed25519.PrivateKey
	now   time.Time
	heads map[string]head
	last  map[string]decision.State // by decision
	acked time.Time
	lines []store.LedgerLine
}

type head struct {
	seq  uint64
	hash string
}

func newBook(rnd *rand.Rand, start time.Time) *book {
	var seed [ed25519.SeedSize]byte
	for i := 0; i < len(seed); i += 8 {
		put64(seed[i:], rnd.Uint64())
	}
	return &book{rnd: rnd, key: ed25519.NewKeyFromSeed(seed[:]), now: start.Truncate(time.Millisecond), last: map[string]decision.State{},
		heads: map[string]head{ledger.Decisions: {hash: ledger.Zero()}, ledger.Acks: {hash: ledger.Zero()}}}
}

func (b *book) write(changes []store.Change) ([]store.LedgerLine, error) {
	public := hex.EncodeToString(b.key.Public().(ed25519.PublicKey))
	for _, chain := range []string{ledger.Decisions, ledger.Acks} {
		if err := b.seal(&ledger.Entry{Chain: chain, Kind: ledger.Start, Time: b.now, Public: public}); err != nil {
			return nil, err
		}
	}
	for i, c := range changes {
		if err := b.change(int64(i), c); err != nil {
			return nil, err
		}
		if c.Updated.Sub(b.acked) < time.Second {
			continue // the next acknowledgement tells of both
		}
		b.acked = c.Updated
		for _, g := range []string{"edge-1", "edge-2"} {
			if err := b.ack(g, int64(i), c.Updated.Add(time.Duration(2+b.rnd.IntN(9))*time.Millisecond)); err != nil {
				return nil, err
			}
		}
	}
	return b.lines, nil
}

func (b *book) change(offset int64, c store.Change) error {
	record, err := c.Encode()
	if err != nil {
		return err
	}
	e := &ledger.Entry{Chain: ledger.Decisions, Time: c.Updated, Source: &ledger.Source{Topic: "warder.decisions", Offset: offset, SHA256: ledger.Sum(record)},
		Decision: c.ID, Entity: c.Entity(), Action: c.Action, Mode: c.Mode, Creator: c.Creator, Approver: c.Approver, Guardrail: c.Guardrail, Note: c.Note,
		Reason: &c.Reason, Expires: c.Expires, Kind: b.kind(c)}
	b.last[c.ID] = c.State
	return b.seal(e)
}

// kind says what a change is after the one before it.
func (b *book) kind(c store.Change) ledger.Kind {
	switch c.State {
	case decision.Proposed:
		return ledger.Proposed
	case decision.Expired:
		return ledger.Expired
	case decision.Revoked:
		return ledger.Revoked
	}
	switch b.last[c.ID] {
	case decision.Proposed:
		return ledger.Approved
	case decision.Active:
		return ledger.Extended
	}
	return ledger.Active
}

func (b *book) ack(gateway string, offset int64, at time.Time) error {
	a := &decision.Ack{Version: decision.Version, Gateway: gateway, Kind: "inline", Offset: offset, Held: 20 + b.rnd.IntN(30), At: at}
	record, err := a.Encode()
	if err != nil {
		return err
	}
	return b.seal(&ledger.Entry{Chain: ledger.Acks, Kind: ledger.Ack, Time: at, Gateway: a,
		Source: &ledger.Source{Topic: "warder.acks", Offset: int64(b.heads[ledger.Acks].seq), SHA256: ledger.Sum(record)}})
}

// seal appends the entry to its chain.
func (b *book) seal(e *ledger.Entry) error {
	h := b.heads[e.Chain]
	e.Version, e.Seq, e.Prev, e.Key = ledger.Version, h.seq+1, h.hash, ledger.Fingerprint(b.key.Public().(ed25519.PublicKey))
	l, err := ledger.Seal(e, b.key)
	if err != nil {
		return err
	}
	b.heads[e.Chain] = head{e.Seq, l.Hash}
	b.lines = append(b.lines, store.LedgerLine{Line: l, Offset: int64(len(b.lines))})
	return nil
}
