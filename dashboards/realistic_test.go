package dashboards

import (
	"context"
	"testing"
	"time"

	"github.com/warder/warder/internal/store/storetest"
	"github.com/warder/warder/internal/synthetic"
)

// TestQueriesOnTraffic runs every panel's query on a history as gateways, detectors and people leave it, written by the store's own writers: a
// query that only fits rows made for it shows nothing here.
func TestQueriesOnTraffic(t *testing.T) {
	ctx := context.Background()
	cfg := storetest.Config(t)
	st, conn := storetest.OpenConfig(t, cfg), storetest.Conn(t, cfg)
	_, err := synthetic.Fill(ctx, st, synthetic.Options{Seed: 5, End: fillEnd, Span: 15 * 24 * time.Hour, Events: 60_000, Clients: 3000, Users: 2000, Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	var attacker string
	if err := conn.QueryRow(ctx, "SELECT a.entity['source.address'] AS address FROM alerts AS a WHERE address != '' GROUP BY address ORDER BY count() DESC, address LIMIT 1").Scan(&attacker); err != nil {
		t.Fatal(err)
	}
	// What such a history has no reason to show: no rule fails in it, and all endpoints were seen in its first week. TestQueries has rows for these.
	quiet := map[string]bool{"warder-rules/Failing and suspended rules": true, "warder-inventory/New in this span": true}
	each(t, func(t *testing.T, b Board) {
		set := b.choices(ctx, t, conn, asked{from: fillEnd.Add(-fillSpan), to: fillEnd, interval: time.Hour})
		if _, typed := set.values["entity"]; typed {
			set.values["entity"] = []string{attacker}
		}
		for name, multi := range set.multi {
			if multi {
				set.values[name] = nil // All, as a board opens
			}
		}
		panels(b, func(p Panel) {
			if p.Kind == Text {
				return
			}
			t.Run(p.Title, func(t *testing.T) {
				r := run(ctx, t, conn, set, p)
				if quiet[b.UID+"/"+p.Title] {
					return
				}
				for _, f := range shapeFaults(p, r) {
					t.Error(f)
				}
				if empty(r) {
					t.Errorf("a week of traffic gives it nothing to show: %d rows", len(r.rows))
				}
			})
		})
	})
}
