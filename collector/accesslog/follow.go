package accesslog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/warder/warder/internal/event"
)

const (
	firstLine  = 1 << 10   // bytes of the first line that a fingerprint is made of
	chunkSize  = 256 << 10 // read at once; above MaxLine
	maxSources = 16        // rotated files that are finished side by side
	maxFiles   = 2000      // looked at in search of a rotated file
)

// source is one file of the log: the current one or one that was rotated away. It is known by its first line, because names
// and inodes change hands.
type source struct {
	f        *os.File
	tap      string // "" until the first line is complete
	first    []byte
	offset   int64 // of the next line
	skipping bool  // within a line that is too long
	rotated  time.Time
}

// identify names the source after its first line.
func (s *source) identify(name, path string, first []byte) {
	s.first = bytes.Clone(first[:min(len(first), firstLine)])
	s.tap = fingerprint(name, path, s.first)
}

func fingerprint(name, path string, first []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s%d:%s", len(name), name, len(path), path)
	h.Write(first)
	return "file:" + hex.EncodeToString(h.Sum(nil)[:12])
}

// follower holds the files of one log. It belongs to one goroutine.
type follower struct {
	t       *Tap
	emit    Emit
	current *source
	old     []*source
	saved   string // the checkpoint as it is on disk
	state   string // its path, "" without one
	buf     []byte
}

func newFollower(t *Tap, emit Emit) *follower {
	f := &follower{t: t, emit: emit, buf: make([]byte, chunkSize)}
	if t.cfg.State != "" {
		h := fingerprint(t.cfg.Name, t.cfg.Path, nil)
		f.state = filepath.Join(t.cfg.State, "accesslog-"+strings.TrimPrefix(h, "file:")+".json")
	}
	return f
}

func (f *follower) close() {
	for _, s := range append(f.old, f.current) {
		if s != nil {
			_ = s.f.Close()
		}
	}
}

// start opens the file and goes on where the checkpoint says; files that were rotated away in the meantime are finished.
func (f *follower) start() error {
	offsets, err := f.load()
	if err != nil {
		return err
	}
	if err := f.open(); err != nil && !(f.t.cfg.Follow && errors.Is(err, fs.ErrNotExist)) {
		return fmt.Errorf("access log: %w", err)
	}
	if s := f.current; s != nil {
		if err := f.know(s, !f.t.cfg.Follow); err != nil {
			return err
		}
		if at, ok := offsets[s.tap]; ok {
			s.offset = at
			delete(offsets, s.tap)
		} else if len(offsets) == 0 && f.saved == "" && f.t.cfg.From == "end" {
			if err := s.toEnd(f.buf); err != nil {
				return err
			}
		}
	}
	for tap, at := range offsets {
		f.resume(tap, at)
	}
	return f.save()
}

func (f *follower) open() error {
	file, err := os.Open(f.t.cfg.Path)
	if err != nil {
		return err
	}
	f.current = &source{f: file}
	return nil
}

// toEnd moves behind the last complete line.
func (s *source) toEnd(buf []byte) error {
	st, err := s.f.Stat()
	if err != nil {
		return err
	}
	for end := st.Size(); end > 0; {
		start := max(0, end-int64(len(buf)))
		n, err := s.f.ReadAt(buf[:end-start], start)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			s.offset = start + int64(i) + 1
			return nil
		}
		end = start
	}
	return nil
}

// know reads the first line when it is complete; at the end of a file that does not grow any more it may lack its end.
func (f *follower) know(s *source, final bool) error {
	if s.tap != "" {
		return nil
	}
	buf := make([]byte, firstLine)
	n, err := s.f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read access log: %w", err)
	}
	buf = buf[:n]
	if i := bytes.IndexByte(buf, '\n'); i >= 0 {
		buf = buf[:i+1]
	} else if n < firstLine && !(final && n > 0) {
		return nil
	}
	s.identify(f.t.cfg.Name, f.t.cfg.Path, buf)
	return nil
}

// finish reads what is there and returns.
func (f *follower) finish(ctx context.Context) error {
	for _, s := range append(f.old, f.current) {
		if err := f.read(ctx, s, true); err != nil {
			return err
		}
	}
	return f.save()
}

// scan notices rotation and reads all files to their ends.
func (f *follower) scan(ctx context.Context) error {
	for {
		// First what is there, then rotation: what was written before a rename is read under the old name.
		if err := f.readAll(ctx); err != nil {
			return err
		}
		moved, err := f.rotation()
		if err != nil {
			return err
		}
		if err := f.save(); err != nil {
			return err
		}
		if !moved {
			return nil
		}
	}
}

func (f *follower) readAll(ctx context.Context) error {
	keep := f.old[:0]
	for _, s := range f.old {
		done := time.Since(s.rotated) > f.t.grace
		if err := f.read(ctx, s, done); err != nil {
			return err
		}
		if done {
			_ = s.f.Close()
			continue
		}
		keep = append(keep, s)
	}
	f.old = keep
	return f.read(ctx, f.current, false)
}

// rotation compares the path with the open file. A new file under the path: the open one was renamed, it is read on for a while,
// because its writer may still have it open. The same file cut or begun anew: its old content was copied away; what of it was
// not read yet is in the copy.
func (f *follower) rotation() (moved bool, err error) {
	st, err := os.Stat(f.t.cfg.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // between rename and create
	}
	if err != nil {
		return false, fmt.Errorf("access log: %w", err)
	}
	if f.current == nil {
		err = f.open()
		return err == nil, ignoreGone(err)
	}
	now, err := f.current.f.Stat()
	if err != nil {
		return false, fmt.Errorf("access log: %w", err)
	}
	if !os.SameFile(st, now) {
		old := f.current
		if err := f.open(); err != nil {
			return false, ignoreGone(err)
		}
		f.retire(old)
		return true, nil
	}
	cut, err := f.truncated(f.current)
	if !cut || err != nil {
		return false, err
	}
	old := *f.current
	*f.current = source{f: old.f}
	if old.tap != "" {
		f.resume(old.tap, old.offset)
	}
	return true, nil
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (f *follower) retire(s *source) {
	s.rotated = time.Now()
	f.old = append(f.old, s)
	if len(f.old) > maxSources {
		_ = f.old[0].f.Close()
		f.old = f.old[1:]
	}
}

// truncated tells whether the file is shorter than what was read of it, or has another first line.
func (f *follower) truncated(s *source) (bool, error) {
	if s.tap == "" {
		return false, nil
	}
	st, err := s.f.Stat()
	if err != nil {
		return false, fmt.Errorf("access log: %w", err)
	}
	if st.Size() < s.offset {
		return true, nil
	}
	buf := make([]byte, len(s.first))
	if _, err := s.f.ReadAt(buf, 0); err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("access log: %w", err)
	}
	return !bytes.Equal(buf, s.first), nil
}

// resume looks in the log's folder for the file with this first line and has it finished from the offset on.
func (f *follower) resume(tap string, offset int64) {
	dir := filepath.Dir(f.t.cfg.Path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		f.t.log.Warn("folder of the access log cannot be read", "error", err)
		return
	}
	for i, e := range entries {
		path := filepath.Join(dir, e.Name())
		if i == maxFiles {
			break
		}
		if path == f.t.cfg.Path || !e.Type().IsRegular() {
			continue
		}
		file, err := os.Open(path)
		if err != nil {
			continue
		}
		s := &source{f: file, offset: offset}
		if f.know(s, true) == nil && s.tap == tap {
			f.retire(s)
			return
		}
		_ = file.Close()
	}
	f.t.m.lost.Inc()
	f.t.log.Warn("rotated access log was not found, lines that were not read of it are lost", "path", f.t.cfg.Path, "offset", offset)
}

// read emits the complete lines from the source's offset on, and with final the last one without an end too.
func (f *follower) read(ctx context.Context, s *source, final bool) error {
	if s == nil {
		return nil
	}
	if err := f.know(s, final); err != nil || s.tap == "" {
		return err
	}
	for ctx.Err() == nil {
		n, err := s.f.ReadAt(f.buf, s.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read access log: %w", err)
		}
		// Asked after the read: what was read is the file's old content, even if it is being truncated right now.
		if cut, err := f.truncated(s); cut || err != nil {
			return err // rotation begins it anew
		}
		used, err := f.lines(ctx, s, f.buf[:n], final && n < len(f.buf))
		if err != nil {
			return err
		}
		if used == 0 {
			return nil
		}
		if n == len(f.buf) { // a long way to go: keep the checkpoint fresh
			if err := f.save(); err != nil {
				return err
			}
		}
	}
	return nil
}

// lines emits the lines in buf and moves the offset behind them.
func (f *follower) lines(ctx context.Context, s *source, buf []byte, final bool) (used int, err error) {
	for used < len(buf) && ctx.Err() == nil {
		rest := buf[used:]
		end := bytes.IndexByte(rest, '\n') + 1
		switch {
		case end > 0:
		case final:
			end = len(rest)
		case s.skipping || len(rest) > MaxLine+1:
			// A line without an end in sight: it is refused once, when it ends.
			s.skipping = true
			s.offset += int64(len(rest))
			return used + len(rest), nil
		default:
			return used, nil
		}
		if s.skipping {
			s.skipping = false
			f.t.m.lines.Inc()
			f.t.refused(refuse(TooLong, "line is longer than %d bytes", MaxLine), s.offset)
		} else if err := f.t.emitLine(ctx, f.emit, s, s.offset, rest[:end]); err != nil {
			return used, err
		}
		used += end
		s.offset += int64(end)
	}
	return used, nil
}

// beat emits a heartbeat of the current file: all lines up to now minus the lag are read.
func (f *follower) beat(ctx context.Context, now time.Time) error {
	s := f.current
	if s == nil || s.tap == "" {
		return nil
	}
	e := &event.Event{Kind: event.Heartbeat, Tap: s.tap, Seq: uint64(s.offset), Time: now.Add(-f.t.cfg.Lag.Std()).UTC()}
	e.ID = event.NewID(e.Tap, e.Seq)
	return f.emit(ctx, e)
}
