// Package active holds the decisions that a gateway acts on right now: an in-memory set that answers for one request in well
// under a microsecond, follows the decisions topic in place, and survives restarts through a snapshot file.
//
// Readers ([Set.Lookup], [Set.Allow]) take no lock: addresses, principals and rate buckets live in hash tables cut into many
// small immutable shards, prefixes in persistent tries. A change replaces one shard of some dozen entries, never the set.
package active

import (
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/warder/warder/internal/decision"
)

// MaxEntries bounds the set. A decision for a further entity is refused, logged and counted in [Set.Refused]; one for an
// entity that the set already has is always taken.
const MaxEntries = 4 << 20

// Set is the set of active decisions. Every method is safe for concurrent use.
type Set struct {
	path string
	log  *slog.Logger
	now  func() time.Time

	addresses *shards[[16]byte, slot]
	names     *shards[string, slot]
	buckets   *shards[string, *bucket]
	prefixes  [ranks]trie
	count     atomic.Int64
	refused   atomic.Uint64

	write     sync.Mutex // serialises Apply, Sync, Throw, Follow and sweep; guards followers
	followers []*follower
	observing atomic.Bool
	position  atomic.Int64

	dirty  chan struct{} // capacity 1
	saving sync.Mutex    // one snapshot at a time
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once
}

// slot is what one entity has: at most one decision of each action.
type slot struct{ block, limit held }

// held is a decision with what Lookup needs of it, so that a lookup does not touch the decision itself. Without a decision it is
// empty.
type held struct {
	d     *decision.Decision
	until int64 // Unix nanoseconds
	rank  int8
}

func hold(d *decision.Decision) held {
	until := int64(math.MaxInt64)
	if d.Expires.Year() < 2200 { // the nanoseconds fit
		until = d.Expires.UnixNano()
	}
	return held{d: d, until: until, rank: rank(d)}
}

// The precedence of decisions that meet in one request: what refuses goes before what only observes, a block before a limit.
const (
	enforceBlock = iota
	enforceLimit
	observeBlock
	observeLimit
	ranks
)

func rank(d *decision.Decision) int8 {
	switch {
	case d.Mode == decision.Enforce && d.Action == decision.Block:
		return enforceBlock
	case d.Mode == decision.Enforce:
		return enforceLimit
	case d.Action == decision.Block:
		return observeBlock
	}
	return observeLimit
}

// Open returns the set with the decisions that the snapshot file at path has and that have not expired. A missing file is an
// empty set. A file that cannot be trusted is renamed to path+".corrupt", logged, and the set starts empty: the topic brings
// the decisions back. The only error is a file or folder that cannot be read or written. Close the set.
func Open(path string, log *slog.Logger) (*Set, error) { return openAt(path, log, time.Now) }

func openAt(path string, log *slog.Logger, now func() time.Time) (*Set, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open decision snapshot: %w (the folder is gateway.data_dir, by default below data_dir)", err)
	}
	seed := maphash.MakeSeed()
	s := &Set{
		path: path, log: log, now: now,
		addresses: newShards[[16]byte, slot](hashAddress(seed)),
		names:     newShards[string, slot](hashText(seed)),
		buckets:   newShards[string, *bucket](hashText(seed)),
		dirty:     make(chan struct{}, 1),
		stop:      make(chan struct{}),
		done:      make(chan struct{}),
	}
	s.position.Store(-1)
	ds, err := load(path, s.now())
	switch {
	case errors.Is(err, errCorrupt):
		if err := s.setAside(err); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("open decision snapshot: %w", err)
	}
	s.apply(ds)
	go s.keep()
	return s, nil
}

// Apply takes decisions in the order of the topic: the newest state of an entity and action wins; one that is not active or has
// expired removes what was there, except that the expiry of another decision than the one in force says nothing about that one.
// It returns when every later Lookup sees the change; the snapshot follows within about a second. Invalid decisions are logged
// and counted in [Set.Refused].
func (s *Set) Apply(ds ...*decision.Decision) {
	if s.apply(ds) {
		s.markDirty()
	}
}

// Sync makes the set exactly ds: what ds does not name is removed. For the end of a full replay of the topic, so that states
// that were overtaken long ago are never applied, not even for a moment.
func (s *Set) Sync(ds ...*decision.Decision) {
	want := make(map[entity]bool, len(ds))
	for _, d := range ds {
		if e, err := entityOf(d); err == nil {
			want[e] = true
		}
	}
	gone := make([]*decision.Decision, 0)
	for d := range s.All() {
		if e, err := entityOf(d); err == nil && !want[e] {
			end := *d
			end.State = decision.Revoked
			gone = append(gone, &end)
		}
	}
	s.apply(gone)
	s.apply(ds)
	s.markDirty()
}

// apply reports whether anything changed.
func (s *Set) apply(ds []*decision.Decision) bool {
	s.write.Lock()
	defer s.write.Unlock()
	now := s.now()
	var b batch
	for _, d := range ds {
		e, err := entityOf(d)
		if err != nil {
			s.refused.Add(1)
			s.log.Warn("decision ignored: it is not valid", "decision", d.ID, "reason", err)
			continue
		}
		b.add(s, e, d, now)
	}
	changed := b.commit(s)
	s.tell(b.changes)
	return changed
}

// Lookup returns the decision that governs a request from addr by the principal, nil when there is none. An empty principal or
// an invalid address matches nothing. When several apply, enforced ones go before observed ones, blocks before limits, and
// of several limits the one with the lowest rate. It neither locks nor allocates. The decision is shared: do not change it.
func (s *Set) Lookup(addr netip.Addr, principal string, now time.Time) *decision.Decision {
	if s.count.Load() == 0 {
		return nil
	}
	at := now.UnixNano()
	var best held
	if addr.IsValid() {
		addr = addr.Unmap().WithZone("")
		if sl, ok := s.addresses.get(addr.As16()); ok {
			best = better(better(best, sl.block, at), sl.limit, at)
		}
	}
	if principal != "" && !best.blocks() {
		if sl, ok := s.names.get(principal); ok {
			best = better(better(best, sl.block, at), sl.limit, at)
		}
	}
	if addr.IsValid() && !best.blocks() {
		for r := range s.prefixes {
			if best.d != nil && r > int(best.rank) {
				break
			}
			best = better(best, s.prefixes[r].lookup(addr, at), at)
		}
	}
	return best.d
}

func (h held) blocks() bool { return h.d != nil && h.rank == enforceBlock }

// better returns the one of a and b that takes precedence; a is known to apply, b is checked here.
func better(a, b held, now int64) held {
	if b.d == nil || now >= b.until {
		return a
	}
	if a.d == nil || b.rank < a.rank ||
		b.rank == a.rank && b.d.Action == decision.Limit && perSecond(b.d.Rate) < perSecond(a.d.Rate) {
		return b
	}
	return a
}

func perSecond(r *decision.Rate) float64 { return float64(r.Requests) / float64(r.Per) }

// Len returns the number of decisions held, including ones that expired since the last sweep (at most a minute ago).
func (s *Set) Len() int { return int(s.count.Load()) }

// Refused returns how many decisions were not taken since Open, because they were invalid or the set was full.
func (s *Set) Refused() uint64 { return s.refused.Load() }

// All yields every decision held, in no order, including ones that expired since the last sweep. It sees each entity at one moment,
// not all of them at the same one.
func (s *Set) All() iter.Seq[*decision.Decision] {
	return func(yield func(*decision.Decision) bool) {
		both := func(sl slot) bool {
			return (sl.block.d == nil || yield(sl.block.d)) && (sl.limit.d == nil || yield(sl.limit.d))
		}
		for i := range shardCount {
			for _, sl := range s.addresses.shard(i) {
				if !both(sl) {
					return
				}
			}
			for _, sl := range s.names.shard(i) {
				if !both(sl) {
					return
				}
			}
		}
		for r := range s.prefixes {
			for _, h := range s.prefixes[r].table().All() {
				if !yield(h.d) {
					return
				}
			}
		}
	}
}
