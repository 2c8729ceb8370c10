package store_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// seed is how many events go through the writer; ClickHouse copies them.
const seed = 200_000

// many fills a store with as many events as WARDER_BENCH_ROWS says, 20 million by default, an hour of traffic to each 200,000, the
// newest at noon. It copies the columns that can be written and leaves it to ClickHouse to work out the others.
func many(b *testing.B) (*store.Searcher, int, []*event.Event) {
	b.Helper()
	rows := 20_000_000
	if n, err := strconv.Atoi(os.Getenv("WARDER_BENCH_ROWS")); err == nil {
		rows = n
	}
	cfg := storetest.Config(b)
	s := storetest.OpenConfig(b, cfg)
	conn := storetest.Conn(b, cfg)
	events := traffic(b, seed)
	for i := 0; i < seed; i += store.MaxBatch {
		if err := s.InsertEvents(b.Context(), 0, events[i:i+store.MaxBatch]); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	var names []string
	found, err := conn.Query(ctx, "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events' AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') ORDER BY position")
	if err != nil {
		b.Fatal(err)
	}
	for found.Next() {
		var name string
		if err := found.Scan(&name); err != nil {
			b.Fatal(err)
		}
		names = append(names, name)
	}
	if err := found.Err(); err != nil {
		b.Fatal(err)
	}
	for copied := 1; copied < rows/seed; copied++ {
		shown := make([]string, len(names))
		for i, name := range names {
			switch shown[i] = "e." + name; name {
			case "time":
				shown[i] = fmt.Sprintf("e.time - toIntervalHour(%d)", copied)
			case "seq":
				shown[i] = fmt.Sprintf("e.seq + %d", seed*copied)
			}
		}
		sql := "INSERT INTO events (" + strings.Join(names, ", ") + ") SELECT " + strings.Join(shown, ", ") + " FROM events AS e WHERE e.time >= toDateTime({noon}, 'UTC')"
		if err := conn.Exec(ctx, strings.ReplaceAll(sql, "{noon}", strconv.FormatInt(noon().Unix(), 10))); err != nil {
			b.Fatal(err)
		}
	}
	return store.NewSearcher(s, compile), max(1, rows/seed) * seed, events
}

// BenchmarkSearch searches 20 million events: seconds to the first event and to the end of the answer, and rows read.
func BenchmarkSearch(b *testing.B) {
	r, rows, events := many(b)
	// One of the users, one of the clients and one path with an object's number in it.
	user := events[slices.IndexFunc(events, func(e *event.Event) bool { return e.Principal.ID != "" })].Principal.ID
	client := events[slices.IndexFunc(events, func(e *event.Event) bool { return e.Source.Address.Is4() })].Source.Address
	path := events[slices.IndexFunc(events, func(e *event.Event) bool { return strings.Contains(e.API.Route, "{") && e.Response.Code == 200 })].Request.Path
	around := netip.PrefixFrom(client, 28).Masked()
	for _, bm := range []struct {
		name, filter string
		limit        int
	}{
		{"selective", fmt.Sprintf("request.path == %q && response.code >= 200", path), 100},
		{"rare", fmt.Sprintf("principal.id == %q && response.code == 500 && request.method == 'DELETE'", user), 100},
		{"restInGo", fmt.Sprintf("principal.id == %q && decode(request.query).contains('<')", user), 100},
		{"restAlone", fmt.Sprintf("decode(request.path).endsWith(%q)", path[strings.LastIndexByte(path, '/'):]), 100},
		{"unselective", `response.code == 200`, 100},
		{"none", ``, 100},
		{"address", fmt.Sprintf("source.address == %q", client), 100},
		{"network", fmt.Sprintf("cidr(%q).containsIP(source.address) && response.code == 404", around), 100},
		{"pattern", `request.useragent.matches("(?i)sqlmap|nikto")`, 100},
		{"tenThousand", `response.code == 401`, 10_000},
	} {
		b.Run(bm.name, func(b *testing.B) {
			var first time.Duration
			var sum history.Summary
			for range b.N {
				began := time.Now()
				found := uint64(0)
				var err error
				sum, err = r.Search(b.Context(), history.Search{Filter: bm.filter, Limit: bm.limit}, func(*event.Event) error {
					if found++; found == 1 {
						first += time.Since(began)
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(first.Seconds()/float64(b.N), "s/first")
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/answer")
			b.ReportMetric(float64(sum.Found), "found")
			b.ReportMetric(float64(sum.Scanned)/float64(rows)*100, "%read")
		})
	}
	span := history.Span{Until: noon().Add(time.Hour - time.Second)}
	span.Since = span.Until.Add(-20 * time.Hour)
	for _, field := range []string{"api.route", "source.address", "request.useragent"} {
		b.Run("top/"+field, func(b *testing.B) {
			for range b.N {
				if _, err := r.Top(b.Context(), history.Top{Span: span, Field: field}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, filter := range map[string]string{"all": "", "pattern": `request.useragent.matches("rv:11[0-9]")`} {
		b.Run("timeline/"+name, func(b *testing.B) {
			for range b.N {
				if _, err := r.Timeline(b.Context(), history.Timeline{Span: span, Filter: filter}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
