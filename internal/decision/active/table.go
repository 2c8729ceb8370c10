package active

import (
	"hash/maphash"
	"iter"
	"sync/atomic"
)

// shardCount is chosen so that a million entries make shards of about 60: rebuilding one takes some microseconds, and its filter
// answers most misses.
const shardCount = 1 << 14

// shards is a hash map cut into immutable tables. get takes no lock; store needs the caller to be the only writer. It stands in for
// Go's map because a lookup there follows six pointers, and at this size each of them is a cache miss.
type shards[K comparable, V any] struct {
	hash  func(K) uint64
	parts [shardCount]atomic.Pointer[table[K, V]]
}

func newShards[K comparable, V any](hash func(K) uint64) *shards[K, V] {
	return &shards[K, V]{hash: hash}
}

func hashAddress(seed maphash.Seed) func([16]byte) uint64 {
	return func(k [16]byte) uint64 { return maphash.Bytes(seed, k[:]) }
}

func hashText(seed maphash.Seed) func(string) uint64 {
	return func(k string) uint64 { return maphash.String(seed, k) }
}

func (s *shards[K, V]) index(k K) int { return int(s.hash(k) % shardCount) }

func (s *shards[K, V]) get(k K) (v V, ok bool) {
	h := s.hash(k)
	t := s.parts[h%shardCount].Load()
	if t == nil {
		return v, false
	}
	word, bits := filterBits(h)
	if t.filter[word]&bits != bits {
		return v, false
	}
	for i := t.home(h); ; i = (i + 1) & (len(t.slots) - 1) {
		e := &t.slots[i]
		if e.tag == 0 {
			return v, false
		}
		if e.tag == tagOf(h) && e.key == k {
			return e.value, true
		}
	}
}

// shard yields the entries of one shard.
func (s *shards[K, V]) shard(i int) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		t := s.parts[i].Load()
		if t == nil {
			return
		}
		for j := range t.slots {
			if e := &t.slots[j]; e.tag != 0 && !yield(e.key, e.value) {
				return
			}
		}
	}
}

// edit returns the shard as a map, for the caller to change and store.
func (s *shards[K, V]) edit(i int) map[K]V {
	m := map[K]V{}
	for k, v := range s.shard(i) {
		m[k] = v
	}
	return m
}

// store publishes the map as the shard's new content.
func (s *shards[K, V]) store(i int, m map[K]V) {
	if len(m) == 0 {
		s.parts[i].Store(nil)
		return
	}
	size := 2
	for size*2 < len(m)*3 { // at most two thirds full, so that probing ends
		size *= 2
	}
	t := &table[K, V]{slots: make([]entry[K, V], size)}
	for k, v := range m {
		t.put(s.hash(k), k, v)
	}
	s.parts[i].Store(t)
}

// table is one shard: open addressing with linear probing, behind a Bloom filter of one cache line, three bits of one of its words
// per key. It never changes once it is published.
type table[K comparable, V any] struct {
	filter [8]uint64
	slots  []entry[K, V] // a power of two
}

type entry[K comparable, V any] struct {
	tag   uint32 // the upper half of the hash, never 0; 0: empty
	key   K
	value V
}

// The hash's bits: 0-13 shard, 14-16 word of the filter, 17-34 three bits in it, 32-63 tag, 40-63 place.
func filterBits(h uint64) (word int, bits uint64) {
	return int(h >> 14 & 7), 1<<(h>>17&63) | 1<<(h>>23&63) | 1<<(h>>29&63)
}

func tagOf(h uint64) uint32 { return uint32(h>>32) | 1 }

func (t *table[K, V]) home(h uint64) int { return int(h>>40) & (len(t.slots) - 1) }

func (t *table[K, V]) put(h uint64, k K, v V) {
	word, bits := filterBits(h)
	t.filter[word] |= bits
	i := t.home(h)
	for t.slots[i].tag != 0 {
		i = (i + 1) & (len(t.slots) - 1)
	}
	t.slots[i] = entry[K, V]{tag: tagOf(h), key: k, value: v}
}
