package store

import (
	"time"

	"github.com/warder/warder/internal/history"
)

// filled puts empty buckets where a timeline has none, from the span's beginning to its end: silence is shown. The buckets are in order, a step
// apart or several. No bucket at all stays none.
func filled(buckets []history.Bucket, step time.Duration, span history.Span) []history.Bucket {
	if len(buckets) == 0 {
		return buckets
	}
	width := int64(step / time.Second)
	begin := func(t time.Time) int64 { return storedTime(t).Unix() / width * width }
	out := make([]history.Bucket, 0, mostBuckets)
	next := begin(span.Since)
	upTo := func(end int64) {
		for ; next < end; next += width {
			out = append(out, history.Bucket{Time: time.Unix(next, 0).UTC()})
		}
	}
	for _, b := range buckets {
		upTo(b.Time.Unix())
		out = append(out, b)
		next = b.Time.Unix() + width
	}
	upTo(begin(span.Until.Add(-1)) + width)
	return out
}
