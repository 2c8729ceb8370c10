package active

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
)

// prefixes holds the decisions on CIDRs: a hash table of nodes, each with the prefixes that are up to 7 bits longer than the node's
// own whole bytes. A look-up asks for the node of every level that is in use, at most 17, and no answer is needed for the next question,
// so that a processor asks them at the same time; a trie would wait for one cache miss after the other.
type prefixes struct {
	nodes  *shards[place, node]
	levels atomic.Uint64 // bit l: a node of the level l exists
	count  [64]int       // nodes of each level; the writer's
}

// place is where a node stands: the first bytes of its addresses and how many. IPv4 stands in the upper half of hi.
type place struct {
	hi, lo uint64
	level  uint8 // whole bytes, for IPv4 plus level4
}

// level4 separates the levels of IPv4 from those of IPv6.
const level4 = 32

// node holds the prefixes below a place. Bit i stands for one of the 255 that a byte's leading bits can name: a 1 and these bits. The
// chains of those that exist stand in their order: the first within the node, for most nodes have one, and a look-up saves a cache miss.
type node struct {
	bits  [4]uint64
	first slot
	more  []slot
}

func newPrefixes() *prefixes { return &prefixes{nodes: newShards[place, node](hashPlace())} }

// hashPlace returns a hash function that nobody outside can predict: multiplications with folded results, as in wyhash.
func hashPlace() func(place) uint64 {
	a, b, c := rand.Uint64(), rand.Uint64(), rand.Uint64()|1
	return func(p place) uint64 {
		h, l := bits.Mul64(p.hi^a, p.lo^b)
		h, l = bits.Mul64(h^l^uint64(p.level)^b, c)
		return h ^ l
	}
}

// words returns the address's bits as they stand in a place, and what its family adds to a level.
func words(a netip.Addr) (hi, lo uint64, family uint8) {
	if a.Is4() {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:])) << 32, 0, level4
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), 0
}

// at returns the place of the level, whole bytes, that holds the address, and the byte that follows it, 0 after the last.
func at(hi, lo uint64, family, level uint8) (place, uint8) {
	if level < 8 {
		shift := 64 - 8*level
		return place{hi & (^uint64(0) << shift), 0, level + family}, uint8(hi >> (shift - 8))
	}
	shift := 128 - 8*level
	return place{hi, lo & (^uint64(0) << shift), level + family}, uint8(lo << (8*level - 64) >> 56)
}

// placeOf returns the node that holds the prefix, and its bit there.
func placeOf(p netip.Prefix) (place, uint8) {
	hi, lo, family := words(p.Addr())
	level, more := uint8(p.Bits()/8), p.Bits()%8
	pl, b := at(hi, lo, family, level)
	return pl, uint8((256 | int(b)) >> (8 - more))
}

// has tells whether bit i's chain is there.
func (n *node) has(i uint8) bool { return n.bits[i/64]>>(i%64)&1 != 0 }

// index returns where bit i's chain stands in slots, or would.
func (n *node) index(i uint8) (at int) {
	for _, w := range n.bits[:i/64] {
		at += bits.OnesCount64(w)
	}
	return at + bits.OnesCount64(n.bits[i/64]&(1<<(i%64)-1))
}

// chain returns bit i's chain, nil when there is none.
func (n *node) chain(i uint8) *slot {
	if !n.has(i) {
		return nil
	}
	if at := n.index(i); at > 0 {
		return &n.more[at-1]
	}
	return &n.first
}

// slots returns a copy of all chains.
func (n *node) slots() []slot {
	if n.empty() {
		return nil
	}
	return append([]slot{n.first}, n.more...)
}

func (n *node) empty() bool { return n.bits == [4]uint64{} }

// with returns the node with another chain at bit i; nil takes it away.
func (n node) with(i uint8, head *slot) node {
	at, all := n.index(i), n.slots()
	switch {
	case n.has(i) && head != nil:
		all[at] = *head
	case n.has(i):
		all = slices.Delete(all, at, at+1)
		n.bits[i/64] &^= 1 << (i % 64)
	case head != nil:
		all = slices.Insert(all, at, *head)
		n.bits[i/64] |= 1 << (i % 64)
	}
	n.first, n.more = slot{}, nil
	if len(all) > 0 {
		n.first = all[0]
	}
	if len(all) > 1 {
		n.more = all[1:]
	}
	return n
}
