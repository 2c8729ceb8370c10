package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/history"
)

// A table folds silence; no request is lost in it.
func TestFolded(t *testing.T) {
	for _, c := range []struct {
		name         string
		counts, want []uint64
		runs         map[int]int // minute of the row to how many it stands for
	}{
		{"nothing", nil, nil, map[int]int{}},
		{"no silence", []uint64{1, 2}, []uint64{1, 2}, map[int]int{}},
		{"one stays as it is", []uint64{1, 0, 2}, []uint64{1, 0, 2}, map[int]int{}},
		{"before, between and after", []uint64{0, 0, 1, 0, 0, 0, 2, 0, 0}, []uint64{0, 1, 0, 2, 0}, map[int]int{0: 2, 3: 3, 7: 2}},
		{"only silence", []uint64{0, 0}, []uint64{0}, map[int]int{0: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var rows []history.Bucket
			for i, n := range c.counts {
				rows = append(rows, history.Bucket{Time: time.Unix(int64(i)*60, 0), Count: n})
			}
			kept, empty := folded(rows)
			var got []uint64
			for _, b := range kept {
				got = append(got, b.Count)
			}
			runs := map[int]int{}
			for at, n := range empty {
				runs[int(at.Unix()/60)] = n
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("counts: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(c.runs, runs); diff != "" {
				t.Errorf("runs: -want +got:\n%s", diff)
			}
		})
	}
}
