package main

import (
	"context"
	"io"
	"sync"
)

// interruptible reads from a terminal or a pipe and gives up when ctx ends. A read(2) that waits for input cannot be ended from
// outside; so it waits in a goroutine, which is left behind then and ends with the process.
type interruptible struct {
	ctx    context.Context
	in     io.Reader
	start  sync.Once
	ask    chan struct{}
	answer chan chunk
	rest   []byte
	err    error
}

type chunk struct {
	b   []byte
	err error
}

func newInterruptible(ctx context.Context, in io.Reader) *interruptible {
	return &interruptible{ctx: ctx, in: in, ask: make(chan struct{}, 1), answer: make(chan chunk, 1)}
}

// Read implements io.Reader. It must not be called concurrently.
func (r *interruptible) Read(b []byte) (int, error) {
	if len(r.rest) == 0 && r.err == nil {
		r.start.Do(func() { go r.pump() })
		r.ask <- struct{}{} // what was read before has been taken
		select {
		case c := <-r.answer:
			r.rest, r.err = c.b, c.err
		case <-r.ctx.Done():
			r.err = r.ctx.Err()
		}
	}
	n := copy(b, r.rest)
	if r.rest = r.rest[n:]; n > 0 {
		return n, nil
	}
	return 0, r.err
}

func (r *interruptible) pump() {
	b := make([]byte, 64<<10)
	for range r.ask {
		n, err := r.in.Read(b)
		r.answer <- chunk{b[:n], err}
		if err != nil {
			return
		}
	}
}
