// Package intel tells on which lists an address is: threat-intelligence feeds, exit nodes, a company's own watch lists. A list is a text
// file of addresses and networks. It is a leaf: it imports nothing of Warder.
package intel

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// MaxLists bounds how many lists there can be, and MaxName a list's name in bytes.
const (
	MaxLists = 64
	MaxName  = 64
)

// Source names a list and its file.
type Source struct{ Name, Path string }

// ListError says which list cannot be used, and why.
type ListError struct {
	Index      int // in the sources that Open was given
	Name, Path string
	Err        error
}

// Error implements error.
func (e *ListError) Error() string { return fmt.Sprintf("list %s, file %s: %v", e.Name, e.Path, e.Err) }

// Unwrap returns what is wrong.
func (e *ListError) Unwrap() error { return e.Err }

// CheckName tells what is wrong with a list's name; nil when nothing is.
func CheckName(name string) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	}
	if name == "" || len(name) > MaxName || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%.80q is not a list's name: write 1 to %d letters, digits, \"-\", \"_\" and \".\"", name, MaxName)
	}
	return nil
}

// list is one list as it was when it was read. It is not changed afterwards.
type list struct {
	Source
	stat   os.FileInfo
	table  *bart.Lite
	report Report
	only   []string // its name, for an address that is on this list alone
}

// Lists holds all lists. Every method is safe for concurrent use.
type Lists struct {
	current atomic.Pointer[[]*list]

	refresh sync.Mutex
	refused map[int]os.FileInfo // what was on disk when a list could last not be read; nil: nothing was
}

// Open reads the lists. Every one that cannot be used is in the error, as a [*ListError].
func Open(sources ...Source) (*Lists, error) {
	if len(sources) > MaxLists {
		return nil, fmt.Errorf("%d lists, limit is %d", len(sources), MaxLists)
	}
	all := make([]*list, len(sources))
	var errs []error
	for i, s := range sources {
		err := CheckName(s.Name)
		if err == nil && slices.ContainsFunc(sources[:i], func(o Source) bool { return o.Name == s.Name }) {
			err = errors.New("another list has this name")
		}
		if err == nil {
			all[i], err = load(s)
		}
		if err != nil {
			errs = append(errs, &ListError{i, s.Name, s.Path, err})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	l := &Lists{refused: map[int]os.FileInfo{}}
	l.current.Store(&all)
	return l, nil
}

// Lookup returns the names of the lists that the address is on, in the order of the sources. The result may be shared: it must not be
// changed. For an address on one list at most nothing is allocated.
func (l *Lists) Lookup(a netip.Addr) []string {
	if !a.IsValid() {
		return nil
	}
	a = a.Unmap().WithZone("")
	var on []string
	for _, x := range *l.current.Load() {
		switch {
		case !x.table.Contains(a):
		case on == nil:
			on = x.only
		default:
			on = append(on, x.Name) // a copy: only has no room
		}
	}
	return on
}

// errChanging: the file was written to while it was read.
var errChanging = errors.New("it changed while it was read")

func load(s Source) (*list, error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return nil, explain(err)
	}
	defer f.Close()
	before, err := f.Stat()
	switch {
	case err != nil:
		return nil, explain(err)
	case !before.Mode().IsRegular():
		return nil, errors.New("it is not a regular file; name a text file of addresses")
	case before.Size() > MaxFile:
		return nil, fmt.Errorf("it has %d bytes, limit is %d", before.Size(), MaxFile)
	case before.Size() == 0: // what a failed download leaves behind
		return nil, errors.New("it is empty; a list that shall be empty has a comment: #")
	}
	table, rep, err := parse(io.LimitReader(f, MaxFile))
	if err != nil {
		return nil, err
	}
	if after, err := f.Stat(); err != nil || !same(before, after) {
		return nil, errChanging
	}
	return &list{Source: s, stat: before, table: table, report: rep, only: []string{s.Name}}, nil
}

// explain leaves the path out, which ListError names.
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

// Refresh reads the lists that changed on disk since they were read, and returns their names. One that cannot be read stays as it was,
// and is in the error as a [*ListError]: once, not again until the file changes again. A file that is being written is looked at by
// the next Refresh.
func (l *Lists) Refresh() (changed []string, err error) {
	l.refresh.Lock()
	defer l.refresh.Unlock()
	all := slices.Clone(*l.current.Load())
	var errs []error
	for i, x := range all {
		now, statErr := os.Stat(x.Path)
		if statErr != nil {
			now = nil
		} else if same(x.stat, now) {
			delete(l.refused, i)
			continue
		}
		if before, again := l.refused[i]; again && (before == nil) == (now == nil) && (now == nil || same(before, now)) {
			continue
		}
		fresh, err := load(x.Source)
		switch {
		case errors.Is(err, errChanging):
		case err != nil:
			l.refused[i] = now
			errs = append(errs, &ListError{i, x.Name, x.Path, err})
		default:
			delete(l.refused, i)
			all[i] = fresh
			changed = append(changed, x.Name)
		}
	}
	if len(changed) > 0 {
		l.current.Store(&all)
	}
	return changed, errors.Join(errs...)
}

// Stale is how many lists are older in memory than on disk, because what is on disk cannot be read.
func (l *Lists) Stale() int {
	l.refresh.Lock()
	defer l.refresh.Unlock()
	return len(l.refused)
}

// Reports returns what became of each list's lines, by name.
func (l *Lists) Reports() map[string]Report {
	out := map[string]Report{}
	for _, x := range *l.current.Load() {
		out[x.Name] = x.report
	}
	return out
}
