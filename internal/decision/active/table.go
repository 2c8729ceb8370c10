package active

import (
	"hash/maphash"
	"sync/atomic"
)

// shardCount is chosen so that a million entries make shards of about 60: rebuilding one takes some microseconds, and its filter
// answers most misses.
const shardCount = 1 << 14

// shards is a hash map cut into immutable tables. find takes no lock; store needs the caller to be the only writer. It stands in for
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

func hashName(seed maphash.Seed) func(name) uint64 {
	return func(k name) uint64 {
		return maphash.String(seed, k.text) ^ (uint64(k.scope)<<32|uint64(k.number)+1)*0x9e3779b97f4a7c15
	}
}

func (s *shards[K, V]) index(k K) int { return int(s.hash(k) % shardCount) }

// find returns the key's value, nil when there is none. It must not be changed.
func (s *shards[K, V]) find(k K) *V {
	h := s.hash(k)
	t := s.parts[h%shardCount].Load()
	if t == nil {
		return nil
	}
	word, bits := filterBits(h)
	if t.filter[word]&bits != bits {
		return nil
	}
	for i := t.home(h); ; i = (i + 1) & (len(t.slots) - 1) {
		e := &t.slots[i]
		if e.tag == 0 {
			return nil
		}
		if e.tag == tagOf(h) && e.key == k {
			return &e.value
		}
	}
}

// each calls fn with the values of one shard until it returns false, and reports whether it never did.
func (s *shards[K, V]) each(i int, fn func(*V) bool) bool {
	t := s.parts[i].Load()
	if t == nil {
		return true
	}
	for j := range t.slots {
		if e := &t.slots[j]; e.tag != 0 && !fn(&e.value) {
			return false
		}
	}
	return true
}

// edit returns the shard as a map, for the caller to change and store.
func (s *shards[K, V]) edit(i int) map[K]V {
	t := s.parts[i].Load()
	if t == nil {
		return map[K]V{}
	}
	m := make(map[K]V, len(t.slots))
	for j := range t.slots {
		if e := &t.slots[j]; e.tag != 0 {
			m[e.key] = e.value
		}
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

// edits collects changes of a map, for the only writer.
type edits[K comparable, V any] struct {
	in    *shards[K, V]
	parts map[int]map[K]V
}

// find returns the key's value as it will be, nil when there is none. It must not be changed.
func (e *edits[K, V]) find(k K) *V {
	m, ok := e.parts[e.in.index(k)]
	if !ok {
		return e.in.find(k)
	}
	if v, ok := m[k]; ok {
		return &v
	}
	return nil
}

// put sets the key's value; nil removes it.
func (e *edits[K, V]) put(k K, v *V) {
	i := e.in.index(k)
	m, ok := e.parts[i]
	if !ok {
		m = e.in.edit(i)
		if e.parts == nil {
			e.parts = map[int]map[K]V{}
		}
		e.parts[i] = m
	}
	if v == nil {
		delete(m, k)
	} else {
		m[k] = *v
	}
}

// commit publishes the changes, shard by shard.
func (e *edits[K, V]) commit() {
	for i, m := range e.parts {
		e.in.store(i, m)
	}
}

// table is one shard: open addressing with linear probing, behind a Bloom filter in the same cache line, three bits of one of its words
// per key. It never changes once it is published.
type table[K comparable, V any] struct {
	filter [5]uint64     // with slots exactly a cache line
	slots  []entry[K, V] // a power of two
}

type entry[K comparable, V any] struct {
	tag   uint32 // the upper half of the hash, never 0; 0: empty
	key   K
	value V
}

// The hash's bits: 0-13 shard, 17-34 three bits of the filter, 35-39 its word, 32-63 tag, 40-63 place.
func filterBits(h uint64) (word int, bits uint64) {
	return int(h>>35&31) * 5 >> 5, 1<<(h>>17&63) | 1<<(h>>23&63) | 1<<(h>>29&63)
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
