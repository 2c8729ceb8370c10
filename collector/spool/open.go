package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/event"
)

const maxName = 128

func open(cfg Config, name string, log *slog.Logger, reg prometheus.Registerer, d disk, bootID string) (*Spool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	s := &Spool{
		cfg: cfg, log: log, m: m, disk: d, retry: time.Second,
		wake: make(chan struct{}, 1), ready: make(chan struct{}, 1), done: make(chan struct{}), closed: make(chan struct{}),
		forming: &batch{}, release: make(chan struct{}),
	}
	err = os.MkdirAll(cfg.Dir, 0o700)
	if err == nil {
		s.lock, err = lockDir(filepath.Join(cfg.Dir, lockFile))
	}
	if err != nil {
		return nil, fmt.Errorf("open spool: %w (the folder is collector.spool.dir, by default below data_dir)", err)
	}
	w, err := s.recover(name, bootID)
	if err != nil {
		_ = s.lock.Close()
		return nil, fmt.Errorf("open spool %s: %w", cfg.Dir, err)
	}
	go w.run()
	return s, nil
}

// recover reads the folder: identity, segments, cursor and the numbers to go on from.
func (s *Spool) recover(name, bootID string) (*writer, error) {
	id, err := readIdentity(s.cfg.Dir, bootID)
	if err != nil {
		return nil, err
	}
	s.identity, s.disowned = id, id.unsaved
	s.tap = name[:min(len(name), maxName)] + "@" + id.epoch
	if err := s.loadSegments(); err != nil {
		return nil, err
	}
	h, err := s.lastNumbers()
	if err != nil {
		return nil, err
	}
	s.next, s.dropped = max(h.next, 1), h.dropped
	if id.fresh {
		s.next, s.dropped = 1, 0
	}
	s.cursor = openCursor(s.cfg.Dir)
	s.read = s.cursor.read()
	if err := os.Remove(filepath.Join(s.cfg.Dir, cleanFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	w := &writer{s: s, active: &segment{id: s.read.segment}}
	if n := len(s.segments); n > 0 {
		w.active = s.segments[n-1]
	}
	for _, g := range s.segments {
		s.onDisk += g.end
	}
	// Each run begins a segment: its header holds the numbers, and a file that a crash may have left torn is never appended to.
	// A disk that is full now must not keep a gateway from starting: the writer tries again.
	if err := w.roll(); err != nil {
		s.m.writeErrors.Inc()
		s.log.Error("spool cannot begin a segment, will try again", "dir", s.cfg.Dir, "error", err)
	}
	signal(s.ready)
	return w, nil
}

// loadSegments lists the segment files, oldest first.
func (s *Spool) loadSegments() error {
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		hex, ok := strings.CutSuffix(e.Name(), segmentExt)
		if !ok {
			continue
		}
		id, err := strconv.ParseUint(hex, 16, 64)
		if err != nil {
			continue // not ours
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		s.segments = append(s.segments, &segment{id, info.Size()})
	}
	slices.SortFunc(s.segments, func(a, b *segment) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return nil
}

// lastNumbers cuts off what a crash left torn at the end of the newest segment and returns the numbers to go on from. A
// segment whose header was never finished is removed.
func (s *Spool) lastNumbers() (header, error) {
	for len(s.segments) > 0 {
		g := s.segments[len(s.segments)-1]
		path := segmentPath(s.cfg.Dir, g.id)
		b, err := os.ReadFile(path)
		if err != nil {
			return header{}, err
		}
		h, err := decodeHeader(b)
		if err == nil {
			err = s.cutTorn(path, g, b, &h)
			return h, err
		}
		if errors.Is(err, errCorrupt) {
			return header{}, fmt.Errorf("%s: segment header is damaged: move the file away to go on without its events", path)
		}
		if err := os.Remove(path); err != nil {
			return header{}, err
		}
		s.segments = s.segments[:len(s.segments)-1]
	}
	return header{}, nil
}

// cutTorn walks the frames of the newest segment, updates h from them and truncates the file behind the last whole one.
func (s *Spool) cutTorn(path string, g *segment, b []byte, h *header) error {
	at, last := headerSize, []byte(nil)
	defer func() { h.dropped = max(h.dropped, droppedIn(last)) }()
	for at < len(b) {
		r, size, err := decodeFrame(b[at:])
		if err != nil {
			s.m.torn.Inc()
			s.log.Warn("spool had a torn record at its end, removed", "segment", g.id, "bytes", len(b)-at, "reason", err)
			g.end = int64(at)
			return os.Truncate(path, g.end)
		}
		if r.Own {
			h.next, last = max(h.next, r.Seq+1), r.Value
		}
		at += size
	}
	return nil
}

func droppedIn(value []byte) uint64 {
	e, err := event.Decode(value)
	if err != nil {
		return 0
	}
	return e.Dropped
}
