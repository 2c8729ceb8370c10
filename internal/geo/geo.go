// Package geo tells where an address is and who runs its network, from MaxMind databases: one or several .mmdb files of the layout of
// GeoLite2 City, Country and ASN, GeoIP2 ISP, Enterprise and Anonymous-IP. It is a leaf: it imports nothing of Warder.
//
// Databases are read into memory whole. [DB.Refresh] reads the ones that changed on disk; lookups never wait for that.
package geo

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// MaxFiles bounds how many databases there can be.
const MaxFiles = 16

// slots is the size of the cache of answers, and of each database's cache of decoded records: a power of two. Full, one takes about 3 MB.
const (
	slotBits = 14
	slots    = 1 << slotBits
)

// DB answers from all databases together: each part of an answer is that of the first database that knows it. Every method is safe
// for concurrent use.
type DB struct {
	current atomic.Pointer[state]
	failed  atomic.Uint64
	names   *names
	nowhere *answer // without an address or a database
	seed    maphash.Seed

	refresh sync.Mutex
	refused map[int]os.FileInfo // what was on disk when a database could last not be read; nil: nothing was
}

// state is what answers come from until a database changes. Its cache goes with it.
type state struct {
	files []*file
	cache [slots]atomic.Pointer[answer]
}

type answer struct {
	address   netip.Addr
	place     Place
	anonymity Anonymity
}

// Open reads the databases. Every one that cannot be used is in the error, as a [*FileError].
func Open(paths ...string) (*DB, error) {
	d := &DB{names: anonymityNames(), nowhere: &answer{}, seed: maphash.MakeSeed(), refused: map[int]os.FileInfo{}}
	s := &state{files: make([]*file, len(paths))}
	var errs []error
	if len(paths) > MaxFiles {
		return nil, errors.New("more than 16 geo databases")
	}
	for i, p := range paths {
		f, err := load(p)
		if err != nil {
			errs = append(errs, &FileError{i, p, err})
		}
		s.files[i] = f
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	d.current.Store(s)
	return d, nil
}

// Place returns what is known of the address. A hit in the cache allocates nothing.
func (d *DB) Place(a netip.Addr) Place { return d.lookup(a).place }

// Anonymity tells how the address hides who uses it; 0 without an Anonymous-IP database.
func (d *DB) Anonymity(a netip.Addr) Anonymity { return d.lookup(a).anonymity }

// Names returns the words for a: "anonymous", "anonymous-vpn", "hosting-provider", "public-proxy", "residential-proxy",
// "tor-exit-node". The result is shared and must not be changed.
func (d *DB) Names(a Anonymity) []string { return d.names[a&(1<<anonymities-1)] }

// Failed counts lookups that met a damaged record and were answered with what the other databases know.
func (d *DB) Failed() uint64 { return d.failed.Load() }

func (d *DB) lookup(a netip.Addr) *answer {
	a = a.Unmap().WithZone("")
	s := d.current.Load()
	if !a.IsValid() || len(s.files) == 0 {
		return d.nowhere
	}
	b := a.As16()
	slot := &s.cache[maphash.Bytes(d.seed, b[:])%slots]
	if hit := slot.Load(); hit != nil && hit.address == a {
		return hit
	}
	ans := s.ask(a, &d.failed)
	slot.Store(ans)
	return ans
}

func (s *state) ask(a netip.Addr, failed *atomic.Uint64) *answer {
	ans := &answer{address: a}
	for _, f := range s.files {
		p, err := f.lookup(a)
		if err != nil {
			failed.Add(1)
		}
		if p != nil {
			ans.place.fill(&p.place)
			ans.anonymity |= p.anonymity
		}
	}
	return ans
}

// Refresh reads the databases that changed on disk since they were read, and returns their paths. One that cannot be read stays as
// it was, and is in the error as a [*FileError]: once, not again until the file changes again. A file that is being written is looked
// at by the next Refresh.
func (d *DB) Refresh() (changed []string, err error) {
	d.refresh.Lock()
	defer d.refresh.Unlock()
	old := d.current.Load()
	next := &state{files: append([]*file(nil), old.files...)}
	var errs []error
	for i, f := range old.files {
		now, statErr := os.Stat(f.path)
		if statErr != nil {
			now = nil
		} else if same(f.stat, now) {
			delete(d.refused, i)
			continue
		}
		if before, again := d.refused[i]; again && (before == nil) == (now == nil) && (now == nil || same(before, now)) {
			continue
		}
		fresh, err := load(f.path)
		switch {
		case errors.Is(err, errChanging):
		case err != nil:
			d.refused[i] = now
			errs = append(errs, &FileError{i, f.path, err})
		default:
			delete(d.refused, i)
			next.files[i] = fresh
			changed = append(changed, f.path)
		}
	}
	if len(changed) > 0 {
		d.current.Store(next)
	}
	return changed, errors.Join(errs...)
}

// Stale is how many databases are older in memory than on disk, because what is on disk cannot be read.
func (d *DB) Stale() int {
	d.refresh.Lock()
	defer d.refresh.Unlock()
	return len(d.refused)
}

// Built returns when the oldest database was built, the zero time without databases.
func (d *DB) Built() (oldest time.Time) {
	for _, f := range d.current.Load().files {
		if t := f.db.Metadata.BuildTime().UTC(); oldest.IsZero() || t.Before(oldest) {
			oldest = t
		}
	}
	return oldest
}
