package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/history"
)

func TestFilled(t *testing.T) {
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	at := func(hours float64) time.Time { return day.Add(time.Duration(hours * float64(time.Hour))) }
	buckets := func(hours ...float64) []history.Bucket {
		out := []history.Bucket{}
		for _, h := range hours {
			out = append(out, history.Bucket{Time: at(h), Count: 1})
		}
		return out
	}
	for _, c := range []struct {
		name         string
		since, until float64
		have         []history.Bucket
		want         map[float64]uint64 // counts by hour
	}{
		{"nothing", 0, 3, buckets(), map[float64]uint64{}},
		{"whole", 1, 3, buckets(1, 2), map[float64]uint64{1: 1, 2: 1}},
		{"before, between and after", 0, 5, buckets(1, 3), map[float64]uint64{0: 0, 1: 1, 2: 0, 3: 1, 4: 0}},
		{"the span begins and ends within buckets", 0.5, 3.5, buckets(1), map[float64]uint64{0: 0, 1: 1, 2: 0, 3: 0}},
		{"the end is not part of it", 0, 2, buckets(0), map[float64]uint64{0: 1, 1: 0}},
		{"a bucket outside is not lost", 2, 3, buckets(1, 4), map[float64]uint64{1: 1, 2: 0, 3: 0, 4: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := map[float64]uint64{}
			last := time.Time{}
			for _, b := range filled(c.have, time.Hour, history.Span{Since: at(c.since), Until: at(c.until)}) {
				if !b.Time.After(last) {
					t.Errorf("%s comes after %s", b.Time, last)
				}
				last = b.Time
				got[b.Time.Sub(day).Hours()] = b.Count
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
