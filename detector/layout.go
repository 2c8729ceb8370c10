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
	kindAvg
	kindMin
	kindMax
	kindRatio
	kindQuantile
	kindRate
	kindTop
)

func kindOf(fn string) kind {
	switch fn {
	case rules.Sum:
		return kindSum
	case rules.Distinct:
		return kindDistinct
	case rules.Avg:
		return kindAvg
	case rules.Min:
		return kindMin
	case rules.Max:
		return kindMax
	case rules.Ratio:
		return kindRatio
	case rules.Quantile:
		return kindQuantile
	case rules.Rate:
		return kindRate
	case rules.Top:
		return kindTop
	}
	return kindCount
}

// word tells whether an entry has a word for the aggregate.
func (k kind) word() bool { return k != kindCount && k != kindRate && k != kindRatio }

// additive tells whether a window's total is the sum of its entries', so that it can be taken back.
func (k kind) additive() bool {
	return k == kindCount || k == kindSum || k == kindAvg || k == kindRatio || k == kindRate
}

// An entry is one counted event, as words: time, the two halves of its id, a bit per aggregate that it counts in, and one word
// for each aggregate that needs a value: a number (math.Float64bits) or the hash of a text.
const (
	wordTime = iota
	wordID
	wordID2
	wordMask
	headWords
)

// holdBit is the first of the mask's bits that say that the event fulfils the condition of a ratio.
const holdBit = 1 << rules.MaxAggregates

// layout says what a rule's entries look like, and what its windows need to know of the rule.
type layout struct {
	kinds     []kind
	slot      []int     // the aggregate's word in an entry; 0 for none
	quantiles []float64 // of the aggregate; nil when the rule has none
	tops      bool      // the rule has a top: entries come with texts
	stride    int       // words of an entry
	size      int64     // the window's
	gap       int64     // of a session; 0 for other windows
}

func newLayout(aggs []rules.Aggregate, size, gap int64) *layout {
	l := &layout{stride: headWords, size: size, gap: gap}
	for i, a := range aggs {
		k, slot := kindOf(a.Func), 0
		if k.word() {
			slot = l.stride
			l.stride++
		}
		l.kinds = append(l.kinds, k)
		l.slot = append(l.slot, slot)
		l.tops = l.tops || k == kindTop
		if k == kindQuantile {
			if l.quantiles == nil {
				l.quantiles = make([]float64, len(aggs))
			}
			l.quantiles[i] = a.Q
		}
	}
	return l
}

// Arg is what one event contributes to one aggregate, ready for a window.
type Arg struct {
	In bool
	// Bits is a number (math.Float64bits), the hash of a text, or 1 for an event that fulfils the condition of a ratio.
	Bits uint64
	// Text is the text of a top.
	Text string
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
		case kindAvg, kindMin, kindMax, kindQuantile:
			a.Bits, a.In = number(in[i].Number)
		case kindRatio:
			a.Bits = uint64(in[i].Number)
		case kindDistinct:
			a.Bits = h.of(in[i].Text)
		case kindTop:
			a.Bits, a.Text = h.of(in[i].Text), in[i].Text
		}
		dst = append(dst, a)
	}
	return dst
}

// number bounds a number; what is none does not count.
func number(v float64) (bits uint64, ok bool) {
	if math.IsNaN(v) {
		return 0, false
	}
	v = max(-maxNumber, min(maxNumber, v))
	if v == 0 {
		v = 0 // there is a negative zero
	}
	return math.Float64bits(v), true
}

// entry writes the words of one event and tells whether it counts in anything. A rule without aggregates counts every match.
func (l *layout) entry(dst []uint64, t int64, id event.ID, args []Arg) ([]uint64, bool) {
	dst = append(dst, uint64(t), binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:]), 0)
	mask, in := uint64(0), false
	for i := range l.kinds {
		var a Arg
		if i < len(args) {
			a = args[i]
		}
		if a.In {
			mask |= 1 << i
			in = true
		}
		if l.slot[i] > 0 {
			dst = append(dst, a.Bits)
		} else if a.In && l.kinds[i] == kindRatio && a.Bits != 0 {
			mask |= holdBit << i
		}
	}
	dst[wordMask] = mask
	return dst, in || len(l.kinds) == 0
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
