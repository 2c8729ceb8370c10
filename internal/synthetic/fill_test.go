package synthetic_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/decision/ledger"
	"github.com/warder/warder/internal/store/storetest"
	"github.com/warder/warder/internal/synthetic"
)

// fill writes a history of two days into a new database and returns what asks it for a number, and for a list.
func fill(t *testing.T) (synthetic.Summary, func(sql string) uint64, func(sql string) []string) {
	t.Helper()
	cfg := storetest.Config(t)
	st, conn := storetest.OpenConfig(t, cfg), storetest.Conn(t, cfg)
	sum, err := synthetic.Fill(t.Context(), st, synthetic.Options{Seed: 3, End: time.Date(2026, 11, 12, 9, 30, 0, 0, time.UTC), Span: 48 * time.Hour,
		Events: 30_000, Clients: 3000, Users: 2000, Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	number := func(sql string) (n uint64) {
		if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return n
	}
	texts := func(sql string) (out []string) {
		if err := conn.QueryRow(t.Context(), sql).Scan(&out); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return out
	}
	return sum, number, texts
}

func TestFill(t *testing.T) {
	sum, number, texts := fill(t)
	rows := func(table string) int { return int(number("SELECT count() FROM " + table + " FINAL")) }
	got := synthetic.Summary{Events: rows("events"), Alerts: rows("alerts"), Decisions: rows("decisions"), Ledger: rows("ledger"), Triage: rows("triage"),
		Deliveries: rows("deliveries"), Metrics: rows("metrics"), Baselines: rows("baselines"), Audit: rows("audit")}
	if d := cmp.Diff(sum, got); d != "" {
		t.Errorf("the tables differ from the summary (-summary +tables):\n%s", d)
	}
	for table, least := range map[string]int{"events": 30_000, "alerts": 200, "decisions": 100, "ledger": 150, "triage": 80, "deliveries": 300, "metrics": 100_000,
		"baselines": 10_000, "audit": 40, "traffic_minute": 5000, "traffic_hour": 500, "origin_minute": 5000, "entity_hour": 5000, "endpoints": 100, "llm_minute": 200} {
		if n := rows(table); n < least {
			t.Errorf("%s has %d rows, want %d and more", table, n, least)
		}
	}
	for what, sql := range map[string]string{
		"alerts whose evidence is not there": "SELECT count() FROM alerts ARRAY JOIN events AS e WHERE e NOT IN (SELECT lower(hex(id)) FROM events)",
		"refusals without a decision":        "SELECT count() FROM events WHERE enforced_by != '' AND enforced_by NOT IN (SELECT id FROM decisions)",
		"triage of no alert":                 "SELECT count() FROM triage WHERE alert NOT IN (SELECT id FROM alerts)",
		"deliveries of no alert":             "SELECT count() FROM deliveries WHERE alert NOT IN (SELECT id FROM alerts)",
		"rows after the end": "SELECT (SELECT count() FROM decisions WHERE updated >= toDateTime64('2026-11-12 09:30:00', 3, 'UTC'))" +
			" + (SELECT count() FROM triage WHERE time >= toDateTime64('2026-11-12 09:30:00', 3, 'UTC'))",
		"counters that fall": `SELECT count() FROM (SELECT value - lagInFrame(value, 1, 0.0) OVER (PARTITION BY name, labels, instance ORDER BY time) AS more
			FROM metrics WHERE kind != 'gauge') WHERE more < 0`,
	} {
		if n := number(sql); n != 0 {
			t.Errorf("%s: %d", what, n)
		}
	}
	t.Run("ledger", func(t *testing.T) {
		verify(t, texts("SELECT groupArray(line) FROM (SELECT line FROM ledger ORDER BY position)"))
	})
}

// verify lets the ledger be judged as `warder audit verify` does.
func verify(t *testing.T, lines []string) {
	v := ledger.NewVerifier(ledger.Options{Problems: 20})
	for _, l := range lines {
		v.Line([]byte(l))
	}
	for _, p := range v.Finish().Problems {
		t.Errorf("the ledger has a problem: %+v", p)
	}
}

func BenchmarkFill(b *testing.B) {
	for range b.N {
		cfg := storetest.Config(b)
		st, conn := storetest.OpenConfig(b, cfg), storetest.Conn(b, cfg)
		if _, err := synthetic.Fill(b.Context(), st, synthetic.Options{Seed: 1, End: day().End, Events: 200_000, Conn: conn}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(200_000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
