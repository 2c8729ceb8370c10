package detector

import (
	"crypto/sha256"
	"encoding/binary"
	"math"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// kind is an aggregate's function.
type kind uint8

const (
	kindCount kind = iota
	kindSum
	kindDistinct
)

// An entry is one counted event, as words: time, the two halves of its id, a bit per aggregate that it counts in, and one word
// for each aggregate that needs a value: a sum's number or the hash of a distinct's text.
const (
	wordTime = iota
	wordID
	wordID2
	wordMask
	headWords
)

// layout says what a rule's entries look like.
type layout struct {
	kinds  []kind
	slot   []int // the aggregate's word in an entry; 0 for none
	stride int   // words of an entry
}

func newLayout(aggs []rules.Aggregate) *layout {
	l := &layout{stride: headWords}
	for _, a := range aggs {
		k, slot := kindCount, 0
		switch a.Func {
		case rules.Sum:
			k = kindSum
		case rules.Distinct:
			k = kindDistinct
		}
		if k != kindCount {
			slot = l.stride
			l.stride++
		}
		l.kinds = append(l.kinds, k)
		l.slot = append(l.slot, slot)
	}
	return l
}

// Arg is what one event contributes to one aggregate, ready for a window.
type Arg struct {
	In bool
	// Bits is a sum's number (math.Float64bits) or the hash of a distinct's text; 0 for a count.
	Bits uint64
}

// args converts what rules.Match returned.
func (l *layout) args(dst []Arg, in []rules.Arg, h *hashes) []Arg {
	for i, k := range l.kinds {
		if i >= len(in) || !in[i].In {
			dst = append(dst, Arg{})
			continue
		}
		a := Arg{In: true}
		switch k {
		case kindSum:
			a.Bits = math.Float64bits(in[i].Number)
		case kindDistinct:
			a.Bits = h.of(in[i].Text)
		}
		dst = append(dst, a)
	}
	return dst
}

// entry writes the words of one event and tells whether it counts in anything. A rule without aggregates counts every match.
func (l *layout) entry(dst []uint64, t int64, id event.ID, args []Arg) ([]uint64, bool) {
	dst = append(dst, uint64(t), binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:]), 0)
	mask := uint64(0)
	for i, a := range args {
		if i >= len(l.kinds) {
			break
		}
		if a.In {
			mask |= 1 << i
		}
		if l.slot[i] > 0 {
			dst = append(dst, a.Bits)
		}
	}
	dst[wordMask] = mask
	return dst, mask != 0 || len(l.kinds) == 0
}

func entryID(w []uint64) event.ID {
	var id event.ID
	binary.BigEndian.PutUint64(id[:8], w[wordID])
	binary.BigEndian.PutUint64(id[8:], w[wordID2])
	return id
}

// hashText is 64 bits of SHA-256: with a fast hash an attacker could choose names that all count as one.
func hashText(s string) uint64 {
	var buf [128]byte
	h := sha256.Sum256(append(buf[:0], s...))
	return binary.BigEndian.Uint64(h[:8])
}

// maxNumber bounds one number of a sum, so that sums of millions stay exact.
const maxNumber = 1 << 50

// split cuts a number into whole and millionths. Sums are kept as two integers: adding and taking away are exact in any order,
// which floating point is not.
func split(bits uint64) (whole, micro int64) {
	v := math.Float64frombits(bits)
	if math.IsNaN(v) {
		return 0, 0
	}
	v = math.Max(-maxNumber, math.Min(maxNumber, v))
	w := math.Trunc(v)
	return int64(w), int64(math.Round((v - w) * 1e6))
}

// floorDiv is t/d rounded down.
func floorDiv(t, d int64) int64 {
	q := t / d
	if t%d < 0 {
		q--
	}
	return q
}
