package dashboards

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// slowest is what a query may take, in the benchmark's report.
const slowest = 300 * time.Millisecond

// BenchmarkDashboards asks every panel's query of a history of 20 million requests in a week, over all of that week, and reports the slowest
// ones by name. WARDER_BENCH_ROWS makes the history smaller.
func BenchmarkDashboards(b *testing.B) {
	rows := 20_000_000
	if s := os.Getenv("WARDER_BENCH_ROWS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1000 {
			b.Fatalf("WARDER_BENCH_ROWS is %q, want a number of 1000 or more", s)
		}
		rows = n
	}
	ctx := context.Background()
	conn := filled(b, rows)
	type took struct {
		name string
		time time.Duration
	}
	var all []took
	for _, board := range Boards() {
		a := board.choices(ctx, b, conn, asked{from: fillEnd.Add(-fillSpan), to: fillEnd, interval: 10 * time.Minute})
		for name, multi := range a.multi {
			if multi {
				a.values[name] = nil // All
			}
		}
		panels(board, func(p Panel) {
			if p.Kind == Text {
				return
			}
			name := board.UID + "/" + p.Title
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					run(ctx, b, conn, a, p)
				}
				all = append(all, took{name, b.Elapsed() / time.Duration(b.N)})
			})
		})
	}
	slices.SortFunc(all, func(x, y took) int { return cmp.Or(cmp.Compare(y.time, x.time), cmp.Compare(x.name, y.name)) })
	for i, t := range all {
		if i < 5 || t.time > slowest {
			fmt.Printf("# %8.1f ms  %s\n", float64(t.time.Microseconds())/1e3, t.name) // a benchmark with parts has no log of its own
		}
	}
}
