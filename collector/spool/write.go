package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// disk is what the writer needs of the file system; tests put faults into it.
type disk interface {
	create(path string) (file, error)
}

type file interface {
	Write(b []byte) (int, error)
	Truncate(size int64) error
	Close() error
}

type osDisk struct{}

func (osDisk) create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// writer is the goroutine that owns the active segment's file.
type writer struct {
	s      *Spool
	f      file     // nil: the next write begins a segment
	active *segment // the newest segment
}

// run writes batches until the spool closes and nothing is left that can be written.
func (w *writer) run() {
	s := w.s
	defer close(s.done)
	defer w.closeFile()
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	stall := time.AfterFunc(time.Hour, s.stalled)
	defer stall.Stop()
	for {
		closing := s.isClosing() // asked before the last flush, so that nothing is left behind
		for w.flush(stall) {
		}
		if closing {
			return
		}
		s.mu.Lock()
		failing, wait := s.failing, time.Until(s.retryAt)
		s.mu.Unlock()
		if failing {
			signal(s.ready) // the reader may go on from memory
			retry.Reset(max(wait, 0))
		}
		select {
		case <-s.wake:
		case <-retry.C:
		}
	}
}

// flush writes the forming batch and tells whether there may be another one.
func (w *writer) flush(stall *time.Timer) bool {
	s := w.s
	s.mu.Lock()
	b := s.forming
	if len(b.buf) == 0 || s.lent != nil || (s.failing && !s.closing && time.Now().Before(s.retryAt)) {
		s.mu.Unlock()
		return false
	}
	s.forming, s.writing = s.spare(), b
	s.mu.Unlock()

	stall.Reset(s.cfg.Stall.Std())
	rest, err := w.write(b.buf)
	if err == nil {
		w.own()
	}
	stall.Stop()

	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = nil
	if err != nil {
		w.failed(b, rest, err)
		return false
	}
	s.safe(b, 0)
	s.recycle(b)
	if s.failing {
		s.failing = false
		s.release = make(chan struct{})
		s.log.Info("spool disk works again")
	}
	return true
}

// own puts the identity back that disown took away: the header of a new segment holds every number that was used.
func (w *writer) own() {
	s := w.s
	s.mu.Lock()
	disowned := s.disowned
	s.mu.Unlock()
	if !disowned {
		return
	}
	err := w.roll()
	if err == nil {
		err = s.identity.save(s.cfg.Dir)
	}
	if err != nil {
		s.m.writeErrors.Inc()
		s.log.Warn("spool cannot write its identity, will try again", "dir", s.cfg.Dir, "error", err)
		return
	}
	s.mu.Lock()
	s.disowned = false
	s.mu.Unlock()
}

// spare returns an empty batch for the appenders while another is written; recycle keeps a written one for that.
func (s *Spool) spare() *batch {
	b := s.free
	s.free = nil
	if b == nil {
		b = &batch{}
	}
	return b
}

func (s *Spool) recycle(b *batch) {
	if cap(b.buf) <= maxFrame {
		b.buf = b.buf[:0]
		s.free = b
	}
}

// failed puts what could not be written back in front of what came since.
func (w *writer) failed(b *batch, rest []byte, err error) {
	s := w.s
	s.m.writeErrors.Inc()
	b.buf = rest
	s.join(b)
	s.retryAt = time.Now().Add(s.retry)
	if !s.failing {
		s.log.Error("spool cannot write, holding events in memory", "dir", s.cfg.Dir, "error", err)
	}
	s.stall()
	signal(s.ready)
}

// join puts b in front of the forming batch.
func (s *Spool) join(b *batch) {
	f := s.forming
	b.buf = append(b.buf[:len(b.buf):len(b.buf)], f.buf...)
	b.waiters = append(b.waiters, f.waiters...)
	s.forming = b
}

// stalled is called when a write takes longer than the bound.
func (s *Spool) stalled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing == nil {
		return // it ended in the meantime
	}
	if !s.failing {
		s.log.Warn("spool disk hangs, holding events in memory", "dir", s.cfg.Dir)
	}
	s.stall()
}

func (s *Spool) stall() {
	if !s.failing {
		s.failing = true
		close(s.release)
	}
}

// write writes whole frames, beginning new segments where needed, and returns what is left when an error ends it.
func (w *writer) write(buf []byte) (rest []byte, err error) {
	s := w.s
	for len(buf) > 0 {
		room := int64(s.cfg.SegmentSize) - w.active.end
		if w.f == nil || (room < int64(frameLen(buf)) && w.active.end > headerSize) {
			if err := w.roll(); err != nil {
				return buf, err
			}
			room = int64(s.cfg.SegmentSize) - w.active.end
		}
		n := frames(buf, room)
		if _, err := w.f.Write(buf[:n]); err != nil {
			w.cutBack()
			return buf, fmt.Errorf("write segment: %w", err)
		}
		buf = buf[n:]
		w.published(n)
	}
	return nil, nil
}

// cutBack removes a part of a frame that a failed write may have left. When that fails too the segment is given up at its last
// good frame: the reader stops there, and after a crash it finds the rest damaged and counts it.
func (w *writer) cutBack() {
	if err := w.f.Truncate(w.active.end); err != nil {
		w.closeFile()
	}
}

// published lets the reader see n more bytes.
func (w *writer) published(n int) {
	s := w.s
	s.mu.Lock()
	w.active.end += int64(n)
	s.onDisk += int64(n)
	s.memory -= int64(n)
	s.roomMade()
	s.mu.Unlock()
	signal(s.ready)
}

// roll begins the next segment. Its header carries the numbers as of its first frame or later, never earlier than what older
// segments hold: a number is not used twice even when every older segment is gone.
func (w *writer) roll() error {
	s := w.s
	s.mu.Lock()
	h := header{next: s.next, dropped: s.dropped}
	id := w.active.id + 1
	s.mu.Unlock()
	path := segmentPath(s.cfg.Dir, id)
	f, err := s.disk.create(path)
	if err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	if _, err := f.Write(h.append(nil)); err != nil {
		err = errors.Join(err, f.Close(), os.Remove(path))
		return fmt.Errorf("begin segment: %w", err)
	}
	if w.f != nil {
		w.closeFile()
	}
	g := &segment{id: id, end: headerSize}
	w.f, w.active = f, g
	s.mu.Lock()
	s.segments = append(s.segments, g)
	s.onDisk += headerSize
	s.mu.Unlock()
	return nil
}

func (w *writer) closeFile() {
	if w.f != nil {
		_ = w.f.Close() // nothing is buffered in the process
		w.f = nil
	}
}

func (s *Spool) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// seal marks that the spool was closed in good order, see identity. Events that no disk took are lost now: they are counted.
func (s *Spool) seal() error {
	s.mu.Lock()
	left := countFrames(s.forming.buf)
	s.mu.Unlock()
	if left > 0 {
		s.m.dropped.WithLabelValues("closed").Add(float64(left))
		return fmt.Errorf("%d events could not be written to %s and are lost", left, s.cfg.Dir)
	}
	for _, g := range s.segments {
		if err := syncFile(segmentPath(s.cfg.Dir, g.id)); err != nil {
			return err
		}
	}
	clean := filepath.Join(s.cfg.Dir, cleanFile)
	if err := os.WriteFile(clean, nil, 0o600); err != nil {
		return err
	}
	return syncFile(clean)
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func segmentPath(dir string, id uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", id, segmentExt))
}

const segmentExt = ".seg"

func frameLen(b []byte) int { return headSize + int(binary.LittleEndian.Uint32(b)) }

// frames returns the length of the whole frames at the start of b that fit into room; at least one.
func frames(b []byte, room int64) int {
	n := frameLen(b)
	for n < len(b) {
		next := frameLen(b[n:])
		if int64(n+next) > room {
			break
		}
		n += next
	}
	return n
}

func countFrames(b []byte) (n int) {
	for len(b) > 0 {
		b = b[frameLen(b):]
		n++
	}
	return n
}
