package rules

import "hash/maphash"

// Most texts come again and again: a few thousand user agents, pages and referers make up most of a log. What follows from a text
// alone (its decoded form, which patterns can hold on it, which do) is therefore remembered, for a bounded number of texts of a
// bounded length. It is a pure function of the text and the rules, so that remembering changes nothing but the time it takes.

// Bounds of what an input remembers of each source of texts: at most about 2 MB, mostly much less. Of texts outside of the lengths nothing is
// remembered: short ones are read through faster than looked up.
const (
	memoSize      = 2048 // texts of a field; a power of two
	memoEntrySize = 128  // texts of an entry of a table, of which there may be many; a power of two
	memoShort     = 40   // bytes of a text
	memoShorter   = 12   // where there are many patterns to look for
	memoMany      = 32   // patterns
	memoLong      = 256
)

// Bounds of what is remembered of one text, however many patterns there are.
const (
	memoPatterns = 64 // that can hold on it; with more nothing is remembered of them
	memoFree     = 64 // that ask for no literal
)

// memo is what is known of one text of one source. It owns all its memory.
type memo struct {
	hash uint64
	text []byte // a copy: the event's text is part of a longer line
	// decoded is decode() of the text, when known and different.
	decoded string
	known   bool // decoded and same are set
	same    bool // decode() changes nothing
	slots   []slotMemo
}

// slotMemo is what is known of the patterns on one text.
type slotMemo struct {
	scanned  bool
	list     []uint32  // the patterns whose literals occur, by number; valid when scanned
	verdicts []verdict // of each of them
	free     []verdict // of the first patterns that ask for no literal
}

// verdict is whether a pattern holds.
type verdict uint8

const (
	unknown verdict = iota
	yes
	no
)

func newMemo(x *index, src *eventText) *memo {
	m := &memo{slots: make([]slotMemo, len(src.slots))}
	for i, slot := range src.slots {
		m.slots[i].free = make([]verdict, min(len(x.texts[slot].free), memoFree))
	}
	return m
}

// reset makes it a memo of a text of which nothing is known yet.
func (m *memo) reset(hash uint64) {
	m.hash, m.text, m.decoded, m.known, m.same = hash, m.text[:0], "", false, false
	for i := range m.slots {
		s := &m.slots[i]
		s.scanned = false
		clear(s.free)
	}
}

// fill sets which patterns can hold. A copy is made.
func (s *slotMemo) fill(list []uint32) {
	s.scanned = true
	s.list = append(s.list[:0], list...)
	s.verdicts = append(s.verdicts[:0], make([]verdict, len(list))...)
}

// memos remembers texts of one source. A text has one place, and the newest one in a place stays: no list to keep, and nobody can
// choose texts that meet, because the seed is random.
type memos struct {
	seed  maphash.Seed
	size  uint64  // of the table; a power of two
	least int     // bytes of a text that is remembered
	table []*memo // nil until the first text
	empty *memo   // of the empty text
	once  *memo   // for a text that is not remembered
}

func newMemos(x *index, src *eventText) memos {
	size := uint64(memoSize)
	if src.entry != "" {
		size = memoEntrySize
	}
	patterns := 0
	for _, slot := range src.slots {
		patterns += len(x.texts[slot].patterns)
	}
	least := memoShort
	if patterns > memoMany {
		least = memoShorter
	}
	return memos{seed: maphash.MakeSeed(), size: size, least: least, empty: newMemo(x, src), once: newMemo(x, src)}
}

// of returns the memo of the text.
func (ms *memos) of(x *index, src *eventText, text string) *memo {
	if text == "" {
		return ms.empty
	}
	if len(text) < ms.least || len(text) > memoLong {
		ms.once.reset(0)
		return ms.once
	}
	if ms.table == nil {
		ms.table = make([]*memo, ms.size)
	}
	hash := maphash.String(ms.seed, text)
	m := ms.table[hash%ms.size]
	switch {
	case m == nil:
		m = newMemo(x, src)
		ms.table[hash%ms.size] = m
	case m.hash == hash && string(m.text) == text:
		return m
	}
	m.reset(hash)
	m.text = append(m.text, text...)
	return m
}
