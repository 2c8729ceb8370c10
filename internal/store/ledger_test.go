package store_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/ledger"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// lines is a chain of n entries, a day apart.
func lines(t *testing.T, chain string, n int) []store.LedgerLine {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	prev := ledger.Zero()
	var out []store.LedgerLine
	for i := range n {
		e := &ledger.Entry{Version: ledger.Version, Chain: chain, Seq: uint64(i + 1), Prev: prev, Key: ledger.Fingerprint(public),
			Time: noon().AddDate(0, 0, i), Kind: ledger.Start, Public: hex.EncodeToString(public)}
		if i > 0 {
			id := fmt.Sprint("d", i/2)
			e.Kind, e.Public, e.Decision, e.Entity = ledger.Revoked, "", id, "source.address=203.0.113.9"
			e.Action, e.Creator, e.Reason = decision.Block, "rule:r", &decision.Reason{Rule: "r", Alert: "a"}
			e.Source = &ledger.Source{Topic: "warder.decisions", Offset: int64(i - 1), SHA256: ledger.Sum([]byte(id))}
		}
		l, err := ledger.Seal(e, key)
		if err != nil {
			t.Fatal(err)
		}
		prev = l.Hash
		out = append(out, store.LedgerLine{Line: l, Offset: int64(i)})
	}
	return out
}

func TestLedgerIsStoredOnceAndVerifiable(t *testing.T) {
	cfg := storetest.Config(t)
	s := storetest.OpenConfig(t, cfg)
	all := lines(t, ledger.Decisions, 70) // spans months
	for _, batch := range [][]store.LedgerLine{all[:10], all[:10], all[5:60], append(all[50:70:70], all[50:70]...), nil} {
		if err := s.InsertLedger(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if got := count(t, cfg, "ledger"); got != 70 {
		t.Errorf("%d rows, want 70", got)
	}
	rows, err := storetest.Conn(t, cfg).Query(t.Context(), "SELECT line FROM ledger ORDER BY chain, seq, position LIMIT 1 BY id") // docs/audit.md
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	v := ledger.NewVerifier(ledger.Options{Problems: 5, Heads: []ledger.Head{{Chain: ledger.Decisions, Seq: 70, Hash: all[69].Hash}}})
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		v.Line([]byte(line))
	}
	if rep := v.Finish(); rep.Total != 0 || rep.Entries != 70 || rows.Err() != nil {
		t.Errorf("%+v, %v", rep, rows.Err())
	}
	got, err := s.Audit(t.Context(), store.AuditFilter{Decision: "d7", Entity: "source.address=203.0.113.9", Since: noon()})
	if err != nil || len(got) != 2 || got[0].Seq != 16 || got[1].Seq != 15 {
		t.Errorf("audit: %+v, %v", got, err)
	}
	st, err := s.Stats(t.Context(), time.Time{})
	if err != nil || st.Audit != 70 {
		t.Errorf("stats: %+v, %v", st, err)
	}
}

// A database of the first schema keeps what its audit table has, and gets the ledger.
func TestLedgerComesToAnOlderDatabase(t *testing.T) {
	cfg := storetest.Config(t)
	storetest.OpenConfig(t, cfg)
	conn := storetest.Conn(t, cfg)
	for _, sql := range []string{
		"DROP TABLE ledger",
		"TRUNCATE TABLE schema_migrations",
		"INSERT INTO schema_migrations (version, name) VALUES (1, 'tables')",
		"INSERT INTO audit (id, time, actor, action, subject, detail) VALUES ('0123456789abcdef', now64(3), 'rule:r', 'decision.active', 's', '{}')",
	} {
		if err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	s := storetest.OpenConfig(t, cfg)
	if err := s.InsertLedger(t.Context(), lines(t, ledger.Acks, 3)); err != nil {
		t.Fatal(err)
	}
	if old, now := count(t, cfg, "audit"), count(t, cfg, "ledger"); old != 1 || now != 3 {
		t.Errorf("%d old rows and %d lines, want 1 and 3", old, now)
	}
}
