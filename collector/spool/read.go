package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// readChunk is how much Next reads at once; above maxFrame, so that a chunk holds a frame.
const readChunk = 1 << 20

// Batch is what Next hands out. It may be used again and again, by one goroutine.
type Batch struct {
	Records []Record
	next    position
	memory  bool
}

// reader is the state of the one goroutine that calls Next and Ack.
type reader struct {
	f   *os.File // of segment id
	id  uint64
	buf []byte
}

func (r *reader) close() {
	if r.f != nil {
		_ = r.f.Close()
		r.f = nil
	}
}

// Next waits for records and fills b with the oldest ones that were not acknowledged, in order. It returns ctx's error,
// ErrClosed, or an error of the disk, after which it may be tried again. Called again without Ack it hands out the same records again, possibly with more behind them.
func (s *Spool) Next(ctx context.Context, b *Batch) error {
	for {
		ok, err := s.tryNext(b)
		if ok || err != nil {
			return err
		}
		select {
		case <-s.ready:
		case <-s.closed:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Spool) tryNext(b *Batch) (ok bool, err error) {
	b.Records, b.memory = b.Records[:0], false
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return false, ErrClosed
	}
	at, end, found := s.locate()
	if !found {
		lent := s.borrow()
		if lent != nil {
			s.disown()
		}
		s.mu.Unlock()
		if lent == nil {
			return false, nil
		}
		b.memory = true
		_, _ = b.parse(lent.buf)
		return true, nil
	}
	s.mu.Unlock()
	return s.readDisk(b, at, end)
}

// locate returns the place of the next record on disk, moving on to the next segment where one is finished.
func (s *Spool) locate() (at position, end int64, found bool) {
	for i, g := range s.segments {
		if g.id < s.read.segment {
			continue
		}
		if g.id > s.read.segment {
			s.read = position{g.id, headerSize}
		}
		if s.read.offset < g.end {
			return s.read, g.end, true
		}
		if i == len(s.segments)-1 {
			break
		}
	}
	return position{}, 0, false
}

// borrow takes the memory queue for the reader while the disk fails; the writer leaves it alone until Ack.
func (s *Spool) borrow() *batch {
	if s.lent != nil {
		return s.lent
	}
	if !s.failing || s.writing != nil || len(s.forming.buf) == 0 {
		return nil
	}
	if !time.Now().Before(s.retryAt) { // the writer's turn to try the disk
		signal(s.wake)
		return nil
	}
	s.lent = s.forming
	s.forming = &batch{}
	return s.lent
}

// disown removes the identity, before records leave whose numbers only the memory knows: should the process die now, its successor
// would give the numbers that the disk does not know to other events, and every consumer would take these for repeats. The
// writer puts it back when the disk knows them. The lock is held.
func (s *Spool) disown() {
	if s.disowned {
		return
	}
	s.disowned = true
	if err := os.Remove(filepath.Join(s.cfg.Dir, identityFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.m.writeErrors.Inc()
		s.disowned = false // tried again with the next records
		s.log.Error("spool cannot give up its identity: should Warder be killed before the disk works again, events may be lost", "error", err)
	}
}

// takeBack undoes borrow.
func (s *Spool) takeBack() {
	lent := s.lent
	s.lent = nil
	s.join(lent)
}

func (s *Spool) readDisk(b *Batch, at position, end int64) (bool, error) {
	r := &s.reader
	if r.f == nil || r.id != at.segment {
		r.close()
		f, err := os.Open(segmentPath(s.cfg.Dir, at.segment))
		if errors.Is(err, os.ErrNotExist) {
			return s.skip(at, end, err)
		}
		if err != nil {
			return false, fmt.Errorf("read spool: %w", err)
		}
		r.f, r.id = f, at.segment
	}
	if r.buf == nil {
		r.buf = make([]byte, readChunk)
	}
	buf := r.buf[:min(int64(len(r.buf)), end-at.offset)]
	if _, err := r.f.ReadAt(buf, at.offset); errors.Is(err, io.EOF) {
		return s.skip(at, end, err)
	} else if err != nil {
		return false, fmt.Errorf("read spool: %w", err)
	}
	n, err := b.parse(buf)
	if n == 0 {
		_, size, _ := decodeFrame(buf)
		if size > 0 && at.offset+int64(size) < end {
			end = at.offset + int64(size) // only this one
		}
		return s.skip(at, end, err)
	}
	b.next = position{at.segment, at.offset + int64(n)}
	return true, nil
}

// parse reads whole frames and returns how many bytes they are; the error is why it ended before the end of buf.
func (b *Batch) parse(buf []byte) (n int, err error) {
	for n < len(buf) {
		r, size, err := decodeFrame(buf[n:])
		if err != nil {
			return n, err
		}
		b.Records = append(b.Records, r)
		n += size
	}
	return n, nil
}

// skip gives up the bytes up to end, counted: one damaged record, or the rest of a segment.
func (s *Spool) skip(at position, end int64, err error) (bool, error) {
	s.log.Error("spool segment is damaged, skipping", "segment", at.segment, "offset", at.offset,
		"bytes", end-at.offset, "error", err)
	s.m.corrupt.Add(float64(end - at.offset))
	s.mu.Lock()
	s.read = position{at.segment, end}
	s.mu.Unlock()
	signal(s.ready)
	return false, nil
}

// Ack tells that the records of b, the latest batch of Next, are with the broker: the cursor moves behind them and segments
// that are finished are deleted. A cursor that cannot be written only means that records are shipped again after a crash.
func (s *Spool) Ack(b *Batch) {
	s.mu.Lock()
	if s.acked != nil {
		close(s.acked)
		s.acked = nil
	}
	if b.memory {
		if lent := s.lent; lent != nil {
			s.lent = nil
			s.safe(lent, len(lent.buf))
		}
		s.mu.Unlock()
		signal(s.wake)
		return
	}
	s.read = b.next
	var finished []uint64
	for len(s.segments) > 1 && (s.segments[0].id < s.read.segment || (s.segments[0].id == s.read.segment && s.read.offset >= s.segments[0].end)) {
		g := s.segments[0]
		finished = append(finished, g.id)
		s.segments = s.segments[1:]
		s.onDisk -= g.end
	}
	if len(finished) > 0 {
		s.roomMade()
	}
	s.mu.Unlock()
	if err := s.cursor.write(b.next); err != nil {
		s.m.writeErrors.Inc()
		s.log.Warn("spool cursor cannot be written", "error", err)
	}
	for _, id := range finished {
		if err := os.Remove(segmentPath(s.cfg.Dir, id)); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.m.writeErrors.Inc()
			s.log.Warn("spool segment cannot be removed", "segment", id, "error", err)
		}
	}
}
