package active

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/warder/warder/internal/decision"
)

// The snapshot file: the line magic, one byte for the global switch, the decisions, each as its length (uvarint, above 0) and the form of
// appendDecision, a length of 0, and the xxHash64 of all bytes before it, big-endian. Anything else is corrupt.
const (
	magicAny = "warder-active-decisions "
	magic    = magicAny + "2\n"
	enforces = 'e'
	observes = 'o'
)

// maxRecord bounds a decision's form: smaller than its JSON form, except for what JSON leaves out when it is empty.
const maxRecord = decision.MaxEncoded + 256

// Pauses of the keeper.
const (
	saveDelay  = 200 * time.Millisecond // collects changes; a crash in between costs nothing, the topic has them
	saveRest   = 9                      // rests this many times as long as the last save took: at most a tenth of one core
	sweepEvery = time.Second
)

var errCorrupt = errors.New("decision snapshot is corrupt")

// kept is what a snapshot keeps.
type kept struct {
	observing bool
	decisions []*decision.Decision // those that still apply; not validated
}

// load reads the snapshot. A missing file keeps nothing.
func load(path string, now time.Time) (kept, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return kept{}, nil
	}
	if err != nil {
		return kept{}, err
	}
	defer f.Close()
	k, err := read(f, now)
	if err != nil {
		return kept{}, err
	}
	return k, nil
}

func read(from io.Reader, now time.Time) (k kept, err error) {
	r := &summed{r: bufio.NewReaderSize(from, 256<<10), sum: xxhash.New()}
	if k.observing, err = readHead(r); err != nil {
		return k, err
	}
	for n := 1; ; n++ {
		size, err := binary.ReadUvarint(r)
		switch {
		case err != nil:
			return k, cutOff(err, n)
		case size == 0:
			return k, readEnd(r)
		case size > maxRecord:
			return k, fmt.Errorf("%w: decision %d has %d bytes, limit is %d", errCorrupt, n, size, maxRecord)
		case n > MaxEntries:
			return k, fmt.Errorf("%w: more than %d decisions", errCorrupt, MaxEntries)
		}
		record, err := r.next(int(size))
		if err != nil {
			return k, cutOff(err, n)
		}
		d, err := decode(string(record))
		if err != nil {
			return k, fmt.Errorf("%w: decision %d: %w", errCorrupt, n, err)
		}
		if d.Applies(now) {
			k.decisions = append(k.decisions, d)
		}
	}
}

// readHead reads up to the decisions and returns whether the switch observes.
func readHead(r *summed) (observing bool, err error) {
	head, err := r.next(len(magic) + 1)
	switch {
	case err != nil:
		return false, cutOff(err, 0)
	case strings.HasPrefix(string(head), magicAny) && string(head[:len(magic)]) != magic:
		return false, fmt.Errorf("%w: another version of Warder wrote it (%q, this one reads %q)", errCorrupt, head[:len(magic)], magic)
	case string(head[:len(magic)]) != magic:
		return false, fmt.Errorf("%w: it does not begin with %q", errCorrupt, magic)
	}
	switch head[len(magic)] {
	case enforces:
		return false, nil
	case observes:
		return true, nil
	}
	return false, fmt.Errorf("%w: the switch is neither on nor off", errCorrupt)
}

func readEnd(r *summed) error {
	want := binary.BigEndian.AppendUint64(nil, r.sum.Sum64())
	got, err := r.next(len(want))
	if err != nil {
		return cutOff(err, 0)
	}
	if string(got) != string(want) {
		return fmt.Errorf("%w: the checksum is wrong", errCorrupt)
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the end", errCorrupt)
	}
	return nil
}

// cutOff tells a file that ends too early, or has a number that is none, from one that cannot be read.
func cutOff(err error, n int) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return err
	}
	return fmt.Errorf("%w: it is cut off at decision %d: %w", errCorrupt, n, err)
}

// summed reads and keeps the checksum of what was read.
type summed struct {
	r    *bufio.Reader
	sum  *xxhash.Digest
	buf  []byte
	byte [1]byte
}

// ReadByte is for binary.ReadUvarint.
func (s *summed) ReadByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		s.byte[0] = b
		_, _ = s.sum.Write(s.byte[:]) // never fails
	}
	return b, err
}

// next returns the next n bytes, at most maxRecord, valid until the next call.
func (s *summed) next(n int) ([]byte, error) {
	if cap(s.buf) < n {
		s.buf = make([]byte, n, max(n, 4096))
	}
	b := s.buf[:n]
	if _, err := io.ReadFull(s.r, b); err != nil {
		return nil, err
	}
	_, _ = s.sum.Write(b) // never fails
	return b, nil
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
	w := bufio.NewWriterSize(to, 256<<10)
	sum := xxhash.New()
	both := io.MultiWriter(w, sum)
	b := append([]byte(magic), enforces)
	if s.Observing() {
		b[len(b)-1] = observes
	}
	if _, err := both.Write(b); err != nil {
		return err
	}
	var record []byte
	for d := range s.All() {
		if record = appendDecision(record[:0], d); len(record) > maxRecord {
			s.log.Error("decision is not kept across a restart: it is too long", "decision", d.ID, "limit", maxRecord)
			continue
		}
		b = append(binary.AppendUvarint(b[:0], uint64(len(record))), record...)
		if _, err := both.Write(b); err != nil {
			return err
		}
	}
	if _, err := both.Write([]byte{0}); err != nil {
		return err
	}
	if _, err := w.Write(binary.BigEndian.AppendUint64(nil, sum.Sum64())); err != nil {
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
	for {
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
			s.sweep(s.now())
		}
	}
}
