package active

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/warder/warder/internal/decision"
)

// The snapshot file: the line magic, one decision in its JSON form per line, then "end " and the xxHash64 of all bytes before
// that line in 16 hexadecimal digits. Without a right last line the file is corrupt.
const (
	magic   = "warder-active-decisions 1\n"
	trailer = "end "
)

// Pauses of the keeper.
const (
	saveDelay  = 200 * time.Millisecond // collects changes; a crash in between costs nothing, the topic has them
	saveRest   = 9                      // rests this many times as long as the last save took: at most a tenth of one core
	sweepEvery = time.Second
	sweepParts = 64 // a sweep visits one part of the set: all of it in about a minute
)

var errCorrupt = errors.New("decision snapshot is corrupt")

// load reads the decisions that still apply. A missing file has none.
func load(path string, now time.Time) ([]*decision.Decision, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return read(f, now)
}

func read(from io.Reader, now time.Time) ([]*decision.Decision, error) {
	r := bufio.NewReaderSize(from, decision.MaxEncoded+2)
	sum := xxhash.New()
	var out []*decision.Decision
	for n := 0; ; n++ {
		line, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("%w: line %d is cut off or too long", errCorrupt, n+1)
		case err != nil:
			return nil, err
		case n == 0 && string(line) != magic:
			return nil, fmt.Errorf("%w: it does not begin with %q", errCorrupt, magic)
		case n > 0 && string(line[:min(len(line), len(trailer))]) == trailer:
			if err := checkTrailer(line, sum.Sum64(), r); err != nil {
				return nil, err
			}
			return out, nil
		case n > MaxEntries:
			return nil, fmt.Errorf("%w: more than %d decisions", errCorrupt, MaxEntries)
		}
		_, _ = sum.Write(line) // never fails
		if n == 0 {
			continue
		}
		d, err := decision.Decode(line)
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", errCorrupt, n+1, err)
		}
		if d.Applies(now) {
			out = append(out, d)
		}
	}
}

func checkTrailer(line []byte, want uint64, rest io.ByteReader) error {
	if string(line) != string(endLine(want)) {
		return fmt.Errorf("%w: the checksum is wrong", errCorrupt)
	}
	if _, err := rest.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the end", errCorrupt)
	}
	return nil
}

func endLine(sum uint64) []byte {
	return append(hex.AppendEncode([]byte(trailer), binary.BigEndian.AppendUint64(nil, sum)), '\n')
}

// setAside renames a corrupt snapshot, so that a person can look at it and the next start is not stopped by it.
func (s *Set) setAside(cause error) error {
	to := s.path + ".corrupt"
	if err := os.Rename(s.path, to); err != nil {
		return fmt.Errorf("set the corrupt decision snapshot aside: %w", err)
	}
	s.log.Error("decision snapshot set aside; starting without decisions until the topic has been read", "file", to, "reason", cause)
	return nil
}

// Flush writes the snapshot and returns when it is durable.
func (s *Set) Flush() error {
	s.saving.Lock()
	defer s.saving.Unlock()
	if err := s.save(); err != nil {
		return fmt.Errorf("write decision snapshot: %w", err)
	}
	return nil
}

// save writes to a temporary file in the same folder and renames it: a reader finds the old or the new snapshot, whole.
func (s *Set) save() (err error) {
	// A fixed name: what a crash left behind is written over.
	f, err := os.OpenFile(s.path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := s.dump(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.path)
}

func (s *Set) dump(to io.Writer) error {
	w := bufio.NewWriterSize(to, 64<<10)
	sum := xxhash.New()
	both := io.MultiWriter(w, sum)
	if _, err := io.WriteString(both, magic); err != nil {
		return err
	}
	for d := range s.All() {
		b, err := d.Encode()
		if err != nil {
			return err
		}
		if _, err := both.Write(append(b, '\n')); err != nil {
			return err
		}
	}
	if _, err := w.Write(endLine(sum.Sum64())); err != nil {
		return err
	}
	return w.Flush()
}

// Close stops the background work and writes the snapshot a last time. Lookups still answer.
func (s *Set) Close() error {
	s.once.Do(func() { close(s.stop) })
	<-s.done
	return s.Flush()
}

func (s *Set) markDirty() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// keep saves after changes and sweeps, until Close.
func (s *Set) keep() {
	defer close(s.done)
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	var due <-chan time.Time
	var rest time.Duration
	for part := 0; ; {
		dirty := s.dirty
		if due != nil {
			dirty = nil // already waiting to save
		}
		select {
		case <-s.stop:
			return
		case <-dirty:
			due = time.After(max(saveDelay, rest))
		case <-due:
			due = nil
			began := time.Now()
			if err := s.Flush(); err != nil {
				s.log.Error("decisions are not kept across a restart", "error", err)
			}
			rest = saveRest * time.Since(began)
		case <-sweep.C:
			s.sweep(part, s.now())
			part = (part + 1) % sweepParts
		}
	}
}

// sweep removes what has expired from one part of the set. Lookup does not depend on it.
func (s *Set) sweep(part int, now time.Time) {
	var expired []*decision.Decision
	check := func(h held) {
		if h.d != nil && now.UnixNano() >= h.until {
			expired = append(expired, h.d)
		}
	}
	for i := part; i < shardCount; i += sweepParts {
		for _, sl := range s.addresses.shard(i) {
			check(sl.block)
			check(sl.limit)
		}
		for _, sl := range s.names.shard(i) {
			check(sl.block)
			check(sl.limit)
		}
	}
	if part == 0 {
		for r := range s.prefixes {
			for _, h := range s.prefixes[r].table().All() {
				check(h)
			}
		}
	}
	s.removeExpired(expired, now)
}

// removeExpired removes the decisions, except where a newer one has taken the place since.
func (s *Set) removeExpired(ds []*decision.Decision, now time.Time) {
	if len(ds) == 0 {
		return
	}
	s.write.Lock()
	defer s.write.Unlock()
	var b batch
	for _, d := range ds {
		if e, err := entityOf(d); err == nil && s.holds(e, d) {
			b.add(s, e, d, now)
		}
	}
	b.commit(s)
	s.tell(b.changes)
}

func (s *Set) holds(e entity, d *decision.Decision) bool {
	var sl slot
	switch e.scope {
	case decision.Address:
		sl, _ = s.addresses.get(e.addr.As16())
	case decision.Principal:
		sl, _ = s.names.get(e.name)
	case decision.CIDR:
		return s.prefixes[rank(d)].get(e.prefix).d == d
	}
	return sl.block.d == d || sl.limit.d == d
}
