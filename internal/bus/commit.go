package bus

import (
	"context"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// commitEvery gathers the commits of a member. A process that dies repeats at most what it handled within it.
const commitEvery = 100 * time.Millisecond

// committer commits what the partitions of one generation have handled.
type committer struct {
	member *member
	gen    *kafka.Generation

	mu    sync.Mutex
	dirty map[int]int64 // partition to next offset
	wake  chan struct{} // capacity 1
}

func newCommitter(m *member, gen *kafka.Generation) *committer {
	return &committer{member: m, gen: gen, dirty: make(map[int]int64), wake: make(chan struct{}, 1)}
}

// mark notes that everything below the offset is handled.
func (c *committer) mark(partition int, next int64) {
	c.mu.Lock()
	c.dirty[partition] = next
	c.mu.Unlock()
	c.member.mu.Lock()
	c.member.handled[partition] = next
	c.member.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run commits now and then until ctx ends.
func (c *committer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		pause := time.NewTimer(commitEvery)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		c.commit()
	}
}

// last commits what is left, at the end of the generation.
func (c *committer) last() { c.commit() }

// commit is not called concurrently. What it cannot commit stays to be tried again; if this generation never can, the
// records are handled again by whoever gets the partition.
func (c *committer) commit() {
	c.mu.Lock()
	offsets := c.dirty
	c.dirty = make(map[int]int64, len(offsets))
	c.mu.Unlock()
	if len(offsets) == 0 {
		return
	}
	err := c.gen.CommitOffsets(map[string]map[int]int64{c.member.topic: offsets})
	if err == nil {
		return
	}
	c.member.failed("commit", err)
	c.mu.Lock()
	for p, o := range offsets {
		if _, newer := c.dirty[p]; !newer {
			c.dirty[p] = o
		}
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
