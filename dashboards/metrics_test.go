package dashboards

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/store/storetest"
)

// sample puts values of a metric into the table, a minute apart from the minute first on; a negative one is left out.
func sample(t *testing.T, conn clickhouse.Conn, from time.Time, name, labels string, first int, values ...float64) {
	t.Helper()
	var rows []string
	for i, v := range values {
		if v >= 0 {
			at := from.Add(time.Duration(first+i) * time.Minute).UnixMilli()
			rows = append(rows, fmt.Sprintf("(fromUnixTimestamp64Milli(%d), 'a', '%s', %s, 'counter', %g)", at, name, labels, v))
		}
	}
	if err := conn.Exec(context.Background(), "INSERT INTO metrics (time, instance, name, labels, kind, value) VALUES "+strings.Join(rows, ", ")); err != nil {
		t.Fatal(err)
	}
}

func empties(t *testing.T) clickhouse.Conn {
	cfg := storetest.Config(t)
	_ = storetest.OpenConfig(t, cfg)
	return storetest.Conn(t, cfg)
}

func ask(t *testing.T, conn clickhouse.Conn, from time.Time, sql string) []any {
	t.Helper()
	a := asked{from: from, to: from.Add(time.Hour), interval: time.Minute}
	return run(context.Background(), t, conn, a, Panel{Query: sql}).rows[0]
}

func TestGrowth(t *testing.T) {
	conn, from := empties(t), time.Now().UTC().Truncate(time.Hour).Add(-2*time.Hour)
	tests := []struct {
		name   string
		first  int // minute of the first value, after the span's beginning
		values []float64
		want   float64
	}{
		{"what was before does not count", -2, []float64{100, 100, 101, 105}, 5},
		{"a restart does not take away", -1, []float64{100, 110, 3, 8}, 18},
		{"a counter that appears starts from nothing", 5, []float64{1, 1, 1}, 1},
		{"one that appears and is set back", 5, []float64{4, 9, 0, 2}, 11},
		{"a pause", -1, []float64{10, -1, -1, 40}, 30},
		{"nothing happens", -5, []float64{7, 7, 7, 7, 7, 7, 7}, 0},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := fmt.Sprint("metric", i)
			sample(t, conn, from, name, "map()", tt.first, tt.values...)
			for _, piece := range []string{minutes, pieces, "toStartOfInterval(m.time, toIntervalSecond(600))"} {
				got := ask(t, conn, from, "SELECT sum(g.grown) FROM ("+growth(piece, "m.name = '"+name+"'")+") AS g")
				if diff := cmp.Diff([]any{tt.want}, got); diff != "" {
					t.Errorf("in %s (-want +got):\n%s", piece, diff)
				}
			}
		})
	}
}

func TestQuantile(t *testing.T) {
	conn, from := empties(t), time.Now().UTC().Truncate(time.Hour).Add(-2*time.Hour)
	for bound, n := range map[string]float64{"0.1": 50, "0.2": 90, "0.4": 98, "+Inf": 100} {
		sample(t, conn, from, "h_bucket", "map('le', '"+bound+"')", 1, n)
	}
	got := ask(t, conn, from, "SELECT round("+quantile(0.25)+", 6), round("+quantile(0.5)+", 6), round("+quantile(0.7)+", 6), "+quantile(0.99)+" FROM ("+
		bucketsInAll("'all'", "m.name = 'h_bucket'")+")")
	if diff := cmp.Diff([]any{0.05, 0.1, 0.15, 0.4}, got); diff != "" {
		t.Errorf("quantiles (-want +got):\n%s", diff)
	}
}

// Four weeks of 100 requests in the last whole hour, one of none, and then 1,000: the band knows both, and the 1,000 stand out.
func TestHourly(t *testing.T) {
	conn, from := empties(t), time.Now().UTC().Truncate(time.Hour).Add(-2*time.Hour)
	for week, n := range map[int]int{0: 1000, 1: 100, 2: 110, 3: 90, 5: 100} {
		at := from.Add(-time.Duration(week) * 7 * 24 * time.Hour).Unix()
		if err := conn.Exec(context.Background(), fmt.Sprintf("INSERT INTO traffic_hour (time, api_name, route, requests) VALUES (toDateTime(%d), 'shop', '/r', %d)", at, n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, last := range []bool{false, true} {
		h := hourly{from: "traffic_hour", where: "1", value: "sum(t.requests)", least: "1", quiet: true, last: last}
		got := ask(t, conn, from, "SELECT seen, toUInt64(known), arraySort(before), middle, round(spread, 3), round(high, 3), round(low, 3) FROM ("+h.sql()+") WHERE seen > 0")
		// The distances from 100 are 0, 0, 10, 10 and 100.
		if diff := cmp.Diff([]any{1000., uint64(5), []float64{0, 90, 100, 100, 110}, 100., 14.826, 144.478, 55.522}, got); diff != "" {
			t.Errorf("last %v (-want +got):\n%s", last, diff)
		}
	}
}
