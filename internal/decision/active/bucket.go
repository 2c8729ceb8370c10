package active

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/warder/warder/internal/decision"
)

// bucket is the state of one limit under the generic cell rate algorithm (GCRA): the theoretical arrival time of the next
// request, in nanoseconds since 1970. One word per limit, changed by compare-and-swap.
type bucket struct{ tat atomic.Int64 }

// maxSpan bounds intervals, so that adding one to the clock cannot overflow: about 73 years.
const maxSpan = math.MaxInt64 / 4

// Allow takes one token of the limit d, a decision that the set holds. When there is none, ok is false and retryAfter says when
// the next one is due. A decision that has left the set allows everything. It neither locks nor allocates.
func (s *Set) Allow(d *decision.Decision, now time.Time) (ok bool, retryAfter time.Duration) {
	b := s.buckets.find(d.ID)
	if b == nil || d.Rate == nil {
		return true, 0
	}
	return (*b).take(d.Rate, now.UnixNano())
}

func (b *bucket) take(r *decision.Rate, now int64) (bool, time.Duration) {
	interval := min(max(int64(r.Per)/int64(r.Requests), 1), maxSpan)
	tolerance := span(interval, int64(r.Burst-1))
	for {
		old := b.tat.Load()
		tat := max(old, now)
		if tat-now > tolerance+interval {
			tat = now // the clock was set back; without this the entity would be refused until the clock catches up
		}
		if wait := tat - now - tolerance; wait > 0 {
			return false, time.Duration(wait)
		}
		if b.tat.CompareAndSwap(old, tat+interval) {
			return true, 0
		}
	}
}

// span returns a*b, at most maxSpan.
func span(a, b int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi != 0 || lo > maxSpan {
		return maxSpan
	}
	return int64(lo)
}
