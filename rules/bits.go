package rules

import (
	"math/bits"
	"slices"
)

// sparse is a set of small numbers that knows its members only: 64 neighbours take one entry. It is immutable once in use.
type sparse []wordBits

// wordBits are members of a set: bit b of word w is the number 64w+b.
type wordBits struct {
	word uint32
	bits uint64
}

// with returns the set with a number added.
func (s sparse) with(n int) sparse {
	word, bit := uint32(n>>6), uint64(1)<<(n&63)
	i, ok := slices.BinarySearchFunc(s, word, func(m wordBits, w uint32) int { return int(m.word) - int(w) })
	if ok {
		s[i].bits |= bit
		return s
	}
	return slices.Insert(s, i, wordBits{word, bit})
}

// meets tells whether one of its members is among those of a plain bit set.
func (s sparse) meets(set []uint64) bool {
	for _, m := range s {
		if set[m.word]&m.bits != 0 {
			return true
		}
	}
	return false
}

// bitSet is a set of numbers below a bound that is emptied and filled again for each event: which of its words have members is
// written down beside them, so that going through it costs what is in it, not its size.
type bitSet struct {
	words []uint64
	used  []uint64 // a bit for each word that is not 0
}

func newBitSet(n int) bitSet {
	words := (n + 63) / 64
	return bitSet{make([]uint64, words), make([]uint64, (words+63)/64)}
}

func (b *bitSet) or(s sparse) {
	for _, m := range s {
		b.words[m.word] |= m.bits
		b.used[m.word>>6] |= 1 << (m.word & 63)
	}
}

func (b *bitSet) clear() {
	for i, used := range b.used {
		for ; used != 0; used &= used - 1 {
			b.words[i<<6+bits.TrailingZeros64(used)] = 0
		}
		b.used[i] = 0
	}
}
