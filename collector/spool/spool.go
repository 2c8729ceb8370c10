// Package spool keeps events on disk between the request and the broker, so that neither the death of the process nor an
// outage of the broker loses one, and a request never waits for the broker.
//
// Append writes an event to the newest segment file with write(2); appenders that come at the same time share one write. A
// single reader follows with Next and Ack: acknowledged segments are deleted. There is no fsync on this path: what Append
// returned survives the death of the process, not necessarily that of the machine.
//
// When the disk fails or hangs, events are held in a bounded memory queue, from which the reader goes on; when everything is
// full the newest event is dropped. Both are counted.
package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/event"
)

// Errors of Append and Next.
var (
	// ErrFull tells that the event was dropped, because the spool has reached its bound.
	ErrFull = errors.New("spool is full")
	// ErrClosed tells that the spool was closed.
	ErrClosed = errors.New("spool is closed")
	// ErrTooLarge tells that the event is above event.MaxEncoded and was dropped.
	ErrTooLarge = errors.New("event is too large for the spool")
)

// Spool is an open spool. Append and the getters are safe for concurrent use; Next and Ack belong to one goroutine.
type Spool struct {
	cfg      Config
	log      *slog.Logger
	m        *metrics
	tap      string
	identity identity
	lock     *os.File
	disk     disk
	retry    time.Duration // between attempts to write to a failing disk

	wake   chan struct{} // there is work for the writer
	ready  chan struct{} // there is something to read
	done   chan struct{} // the writer has ended
	closed chan struct{}

	mu       sync.Mutex
	next     uint64 // own number of the next event
	dropped  uint64
	forming  *batch // frames that wait for the writer
	free     *batch // an empty one for the writer to put in forming's place
	writing  *batch // frames that the writer is at
	lent     *batch // frames that the reader took from memory
	memory   int64  // bytes in these three
	segments []*segment
	onDisk   int64
	failing  bool          // the disk fails or hangs: numbered appenders do not wait
	release  chan struct{} // closed when failing becomes true
	retryAt  time.Time
	space    chan struct{} // closed when room was made; nil when nobody waits for it
	acked    chan struct{} // closed by the next Ack; nil when nobody waits for it
	closing  bool
	disowned bool // the identity file is gone: the disk may not know the highest number that was used

	read   position // the next record to hand out; only the reader moves it, under mu
	reader reader
	cursor *cursor // the shipper\'s, as is reader
}

// batch is a run of frames with those who wait for them.
type batch struct {
	buf     []byte
	waiters []chan struct{}
}

// segment is one file; end is where its valid frames end.
type segment struct {
	id  uint64
	end int64
}

// Open opens or creates the spool in cfg.Dir and recovers what a crash left. The events that it numbers carry the tap
// "name@epoch"; name is cut to 128 bytes. Close must be called.
func Open(cfg Config, name string, log *slog.Logger, reg prometheus.Registerer) (*Spool, error) {
	return open(cfg, name, log, reg, osDisk{}, machineBoot())
}

// Tap names this spool as the numberer of events: "name@epoch".
func (s *Spool) Tap() string { return s.tap }

// Append puts the event at the end of the spool and returns when it is on its way out of reach of the process's death. An
// event without a Tap is numbered here: Tap, Seq, ID and Dropped are set, numbers ascend in write order. The event may be used
// again when Append returned; it is encoded, not kept.
//
// An event that is numbered here never waits longer than the stall bound: past it the event is held in memory (counted) and
// Append returns nil; when there is no room the event is dropped, counted, and ErrFull returned; ctx is not looked at. An event
// that brings its own Tap and Seq can be read again from where it came, so Append waits for room and for the disk until ctx
// ends.
func (s *Spool) Append(ctx context.Context, e *event.Event) error {
	own := e.Tap == ""
	s.mu.Lock()
	if err := s.admit(ctx, e, own); err != nil {
		s.mu.Unlock()
		return err
	}
	waiter := s.waiter()
	failing, release := s.failing, s.release
	s.mu.Unlock()
	s.m.appended.Inc()
	signal(s.wake)
	if !own {
		return s.durable(ctx, waiter)
	}
	if !failing {
		select {
		case <-waiter:
			return nil
		case <-release:
		}
	}
	s.m.volatile.Inc()
	return nil
}

// durable waits until the batch is written, however long the disk takes.
func (s *Spool) durable(ctx context.Context, waiter chan struct{}) error {
	select {
	case <-waiter:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
	}
	select {
	case <-waiter:
		return nil
	default:
		return ErrClosed
	}
}

// Heartbeat appends a heartbeat of the spool's own tap: its last number and what it dropped. It is left out, without an error,
// when there is no room.
func (s *Spool) Heartbeat(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrClosed
	}
	e := event.Event{Kind: event.Heartbeat, Tap: s.tap, Seq: s.next - 1, Dropped: s.dropped, Time: now.UTC()}
	e.ID = event.NewID(e.Tap, e.Seq)
	if s.encode(&e, flagOwn|flagHeartbeat) == nil {
		signal(s.wake)
	}
	return nil
}

// admit encodes the event into the forming batch. The lock is held, and given up while it waits for room.
func (s *Spool) admit(ctx context.Context, e *event.Event, own bool) error {
	for {
		if s.closing {
			return ErrClosed
		}
		flags := byte(0)
		if own {
			e.Tap, e.Seq, e.Dropped = s.tap, s.next, s.dropped
			flags = flagOwn
		}
		if e.Kind == event.Heartbeat {
			flags |= flagHeartbeat
		}
		if own || e.ID.IsZero() {
			e.ID = event.NewID(e.Tap, e.Seq)
		}
		err := s.encode(e, flags)
		if err == nil {
			if own {
				s.next++
			}
			return nil
		}
		if own {
			e.Tap, e.Seq, e.ID = "", 0, event.ID{}
			s.dropped++
		}
		if own || errors.Is(err, ErrTooLarge) {
			s.m.dropped.WithLabelValues(reason(err)).Inc()
			return err
		}
		if err := s.waitForRoom(ctx); err != nil {
			return err
		}
	}
}

func reason(err error) string {
	if errors.Is(err, ErrTooLarge) {
		return "too_large"
	}
	return "full"
}

// encode appends one frame to the forming batch, or leaves it as it was.
func (s *Spool) encode(e *event.Event, flags byte) error {
	b := s.forming
	start := len(b.buf)
	b.buf = appendFrame(b.buf, flags, e)
	size := int64(len(b.buf) - start)
	err := error(nil)
	switch {
	case size > event.MaxEncoded:
		err = ErrTooLarge
	case s.memory+size > int64(s.cfg.MaxMemory), s.onDisk+s.memory+size > int64(s.cfg.MaxSize):
		err = ErrFull
	}
	if err != nil {
		b.buf = b.buf[:start]
		return err
	}
	s.memory += size
	return nil
}

// waiter returns the channel that is closed when the forming batch is safe. Appenders of one batch share it.
func (s *Spool) waiter() chan struct{} {
	if len(s.forming.waiters) == 0 {
		s.forming.waiters = append(s.forming.waiters, make(chan struct{}))
	}
	return s.forming.waiters[len(s.forming.waiters)-1]
}

func (s *Spool) waitForRoom(ctx context.Context) error {
	if s.space == nil {
		s.space = make(chan struct{})
	}
	space := s.space
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-space:
		return nil
	case <-s.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// safe tells those who wait for the batch that it needs the process no longer, and gives its memory back.
func (s *Spool) safe(b *batch, bytes int) {
	for _, w := range b.waiters {
		close(w)
	}
	b.waiters = b.waiters[:0]
	s.memory -= int64(bytes)
	s.roomMade()
}

func (s *Spool) roomMade() {
	if s.space != nil {
		close(s.space)
		s.space = nil
	}
	s.m.disk.Set(float64(s.onDisk))
	s.m.memory.Set(float64(s.memory))
}

// Backlog returns the bytes that are not acknowledged yet.
func (s *Spool) Backlog() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.backlog()
}

// Empty waits until everything is acknowledged or ctx ends.
func (s *Spool) Empty(ctx context.Context) error {
	for {
		s.mu.Lock()
		if s.backlog() == 0 {
			s.mu.Unlock()
			return nil
		}
		if s.acked == nil {
			s.acked = make(chan struct{})
		}
		acked := s.acked
		s.mu.Unlock()
		select {
		case <-acked:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Spool) backlog() int64 {
	n := s.memory
	for _, g := range s.segments {
		switch {
		case g.id > s.read.segment:
			n += g.end - headerSize
		case g.id == s.read.segment:
			n += g.end - s.read.offset
		}
	}
	return n
}

// Dropped returns how many events this spool has lost for good under its epoch.
func (s *Spool) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// Close writes out what is pending, synchronises the disk and gives the folder free. Appenders that wait get ErrClosed. It is
// safe to call twice. Close must not run beside Next or Ack.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		<-s.done
		return nil
	}
	s.closing = true
	close(s.closed)
	if s.lent != nil {
		s.takeBack()
	}
	s.mu.Unlock()
	signal(s.wake)
	<-s.done
	err := s.seal()
	s.reader.close()
	err = errors.Join(err, s.cursor.close(), s.lock.Close())
	if err != nil {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
