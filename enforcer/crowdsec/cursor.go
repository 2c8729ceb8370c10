package crowdsec

import (
	"sync"
	"time"
)

// maxCursors bounds the bouncers that are remembered; beyond, the one that has not asked for longest starts again from the whole state.
const maxCursors = 4096

// reader is one bouncer process, as far as it can be told: its key, address, program and what it asks for.
type reader struct{ bouncer, address, agent, query string }

// cursors remembers how far each reader has read.
type cursors struct {
	mu sync.Mutex
	at map[reader]cursor
}

type cursor struct {
	seq  uint64
	used time.Time
}

// get returns 0 for a reader that is not known: it gets everything.
func (c *cursors) get(r reader) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[r].seq
}

func (c *cursors) set(r reader, seq uint64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.at[r]; !ok && len(c.at) >= maxCursors {
		oldest, first := reader{}, now
		for k, v := range c.at {
			if !v.used.After(first) {
				oldest, first = k, v.used
			}
		}
		delete(c.at, oldest)
	}
	c.at[r] = cursor{seq, now}
}
