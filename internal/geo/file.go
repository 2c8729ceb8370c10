package geo

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync/atomic"

	"github.com/oschwald/maxminddb-golang/v2"
)

// MaxFile bounds a database, in bytes. The largest that MaxMind offers has about 150 MB.
const MaxFile = 1 << 30

// probes is how many addresses a database must answer for without a fault before it is used.
const probes = 512

// FileError says which of the databases cannot be used, and why.
type FileError struct {
	Index int // in the list that Open was given
	Path  string
	Err   error
}

// Error implements error.
func (e *FileError) Error() string { return fmt.Sprintf("geo database %s: %v", e.Path, e.Err) }

// Unwrap returns what is wrong.
func (e *FileError) Unwrap() error { return e.Err }

// file is one database as it was when it was read.
type file struct {
	path string
	stat os.FileInfo
	db   *maxminddb.Reader
	// records has the records that were decoded last, by their offset: many networks share one.
	records [slots]atomic.Pointer[part]
}

// part is a decoded record.
type part struct {
	offset    uintptr
	place     Place
	anonymity Anonymity
}

// lookup returns what this database alone knows; nil when that is nothing.
func (f *file) lookup(a netip.Addr) (*part, error) {
	if a.Is6() && f.db.Metadata.IPVersion == 4 {
		return nil, nil
	}
	found := f.db.Lookup(a)
	if !found.Found() {
		return nil, found.Err()
	}
	offset := found.Offset()
	slot := &f.records[hash(offset)]
	if hit := slot.Load(); hit != nil && hit.offset == offset {
		return hit, nil
	}
	var r record
	if err := found.Decode(&r); err != nil {
		return nil, err
	}
	p := &part{offset: offset, place: r.place(), anonymity: r.anonymity()}
	slot.Store(p)
	return p, nil
}

// hash spreads offsets over the slots (Fibonacci hashing).
func hash(offset uintptr) uint64 { return uint64(offset) * 0x9e3779b97f4a7c15 >> (64 - slotBits) }

// errChanging: the file was written to while it was read.
var errChanging = errors.New("it changed while it was read")

// load reads the database into memory: a mapping would crash the process when somebody truncates the file.
func load(path string) (_ *file, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, explain(err)
	}
	defer f.Close()
	before, err := f.Stat()
	switch {
	case err != nil:
		return nil, explain(err)
	case !before.Mode().IsRegular():
		return nil, errors.New("it is not a regular file; name a .mmdb file")
	case before.Size() > MaxFile:
		return nil, fmt.Errorf("it has %d bytes, limit is %d", before.Size(), MaxFile)
	}
	text := make([]byte, before.Size())
	if _, err := io.ReadFull(f, text); err != nil {
		return nil, explain(err)
	}
	if after, err := f.Stat(); err != nil || !same(before, after) {
		return nil, errChanging
	}
	db, err := read(text)
	if err != nil {
		return nil, err
	}
	return &file{path: path, stat: before, db: db}, nil
}

// read takes a database's content, which must not change afterwards.
func read(text []byte) (*maxminddb.Reader, error) {
	db, err := maxminddb.OpenBytes(text)
	if err != nil {
		return nil, fmt.Errorf("it is no MaxMind database (%w); download it again", err)
	}
	return db, probe(db)
}

// explain leaves the path out, which FileError names.
func explain(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("there is no such file; download it, or correct the path")
	}
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// same tells whether two looks at a path saw the same content, as far as the file system tells.
func same(a, b os.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

// probe looks up addresses all over the space, so that a damaged database, or one of another layout, is refused when it is read and
// not once for each event.
func probe(db *maxminddb.Reader) error {
	seed := uint64(1)
	next := func() byte { // a fixed sequence: the same file is always judged alike
		seed = seed*6364136223846793005 + 1442695040888963407
		return byte(seed >> 56)
	}
	for i := range probes {
		a := netip.AddrFrom4([4]byte{byte(i), next(), next(), next()})
		if i%4 == 3 && db.Metadata.IPVersion == 6 {
			a = netip.AddrFrom16([16]byte{0x20 | byte(i>>2)&0x1f, next(), next(), next(), next(), next(), next(), next()})
		}
		var r record
		if err := db.Lookup(a).Decode(&r); err != nil {
			return fmt.Errorf("type %.80q: %w; it is damaged, or of a layout that is not MaxMind's", db.Metadata.DatabaseType, err)
		}
	}
	return nil
}
