// Package active holds the decisions that a gateway acts on right now: an in-memory set that answers for one request in well
// under a microsecond, follows the decisions topic in place, and survives restarts through a snapshot file.
//
// Readers ([Set.Check]) take no lock: everything lives in hash tables cut into many small immutable shards. A change replaces one
// shard of some dozen entries, never the set. A decision with several terms stands under its first one, the most selective, and
// the others are compared; many combinations with the same first term are walked one by one.
package active

import (
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"log/slog"
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

	addresses  *shards[[16]byte, slot]
	principals *shards[string, slot]
	names      *shards[name, slot] // all other scopes but CIDR
	prefixes   *prefixes
	buckets    *shards[string, *bucket] // by the decision's id
	anchored   [scopeCount]atomic.Int64 // decisions whose first term has the scope
	used       [scopeCount]atomic.Int64 // terms of the scope
	count      atomic.Int64
	refused    atomic.Uint64

	write     sync.Mutex // serialises Apply, Sync, Throw, Follow and sweep; guards followers and endings
	followers []*follower
	endings   endings
	observing atomic.Bool
	position  atomic.Int64

	dirty  chan struct{} // capacity 1
	saving sync.Mutex    // one snapshot at a time
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once
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
		addresses:  newShards[[16]byte, slot](hashAddress(seed)),
		principals: newShards[string, slot](hashText(seed)),
		names:      newShards[name, slot](hashName(seed)),
		prefixes:   newPrefixes(),
		buckets:    newShards[string, *bucket](hashText(seed)),
		dirty:      make(chan struct{}, 1),
		stop:       make(chan struct{}),
		done:       make(chan struct{}),
	}
	s.position.Store(-1)
	kept, err := load(path, s.now())
	switch {
	case errors.Is(err, errCorrupt):
		if err := s.setAside(err); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("open decision snapshot: %w", err)
	}
	s.observing.Store(kept.observing)
	s.apply(kept.decisions)
	go s.keep()
	return s, nil
}

// Apply takes decisions in the order of the topic: the newest state of an entity and action wins; one that is not active or has
// expired removes what was there, except that the expiry of another decision than the one in force says nothing about that one.
// It returns when every later Check sees the change; the snapshot follows within about a second. Invalid decisions are logged
// and counted in [Set.Refused].
func (s *Set) Apply(ds ...*decision.Decision) {
	if s.apply(ds) {
		s.markDirty()
	}
}

// Sync makes the set exactly ds: what ds does not name is removed. For the end of a full replay of the topic, so that states
// that were overtaken long ago are never applied, not even for a moment.
func (s *Set) Sync(ds ...*decision.Decision) {
	if s.sync(ds) {
		s.markDirty()
	}
}

// apply reports whether anything changed.
func (s *Set) apply(ds []*decision.Decision) bool {
	s.write.Lock()
	defer s.write.Unlock()
	now, b := s.now(), newBatch(s)
	for _, d := range ds {
		if e, ok := s.entity(d); ok {
			b.add(&e, d, now)
		}
	}
	return s.publish(b)
}

// sync is apply, and removes what ds does not name. That goes first, to make room.
func (s *Set) sync(ds []*decision.Decision) bool {
	s.write.Lock()
	defer s.write.Unlock()
	now, b := s.now(), newBatch(s)
	entities, named := make([]entity, len(ds)), make(map[entity]struct{}, len(ds))
	valid := ds[:0:0]
	for _, d := range ds {
		if e, ok := s.entity(d); ok {
			entities[len(valid)], valid = e, append(valid, d)
			named[e] = struct{}{}
		}
	}
	for d := range s.All() {
		e, err := entityOf(d)
		if _, ok := named[e]; err == nil && !ok {
			b.remove(&e, d)
		}
	}
	for i, d := range valid {
		b.add(&entities[i], d, now)
	}
	return s.publish(b)
}

// entity finds the decision's entity; it logs and counts an invalid one.
func (s *Set) entity(d *decision.Decision) (e entity, ok bool) {
	e, err := entityOf(d)
	if err != nil {
		s.refused.Add(1)
		s.log.Warn("decision ignored: it is not valid", "decision", d.ID, "reason", err)
	}
	return e, err == nil
}

// publish commits and tells the followers. The caller holds s.write.
func (s *Set) publish(b *batch) bool {
	changed := b.commit()
	s.tell(b.changes)
	return changed
}

// Len returns the number of decisions held, including ones that expired since the last sweep, a second ago.
func (s *Set) Len() int { return int(s.count.Load()) }

// Refused returns how many decisions were not taken since Open, because they were invalid or the set was full.
func (s *Set) Refused() uint64 { return s.refused.Load() }

// All yields every decision held, in no order, including ones that expired since the last sweep. It sees each entity at one moment,
// not all of them at the same one.
func (s *Set) All() iter.Seq[*decision.Decision] {
	return func(yield func(*decision.Decision) bool) {
		chain := func(sl *slot) bool {
			for ; sl != nil; sl = sl.next {
				if !yield(sl.d) {
					return false
				}
			}
			return true
		}
		nodes := func(n *node) bool {
			for i := range n.more {
				if !chain(&n.more[i]) {
					return false
				}
			}
			return chain(&n.first)
		}
		for i := range shardCount {
			if !s.addresses.each(i, chain) || !s.principals.each(i, chain) || !s.names.each(i, chain) || !s.prefixes.nodes.each(i, nodes) {
				return
			}
		}
	}
}
