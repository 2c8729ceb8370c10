package bus

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// backoff waits longer and longer: from min, doubled up to max, with a quarter of jitter. Not safe for concurrent use.
type backoff struct {
	min, max time.Duration
	next     time.Duration
}

// wait sleeps; false when ctx ended first.
func (b *backoff) wait(ctx context.Context) bool {
	if b.next < b.min {
		b.next = b.min
	}
	d := b.next - b.next/4 + rand.N(b.next/2+1)
	b.next = min(2*b.next, b.max)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// seldom lets an event through at most once in the interval, so that an outage does not fill the log.
type seldom struct {
	mu   sync.Mutex
	last time.Time
}

const seldomEvery = 10 * time.Second

func (s *seldom) ok() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.last) < seldomEvery {
		return false
	}
	s.last = time.Now()
	return true
}
