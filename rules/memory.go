package rules

import (
	"encoding/binary"
	"net/netip"
)

// Memory is where matches keep their groups and arguments, so that a caller who is done with many matches at once can have the
// memory used again, see [Set.MatchIn]. The zero value is ready. It belongs to one goroutine at a time.
type Memory struct {
	args  block[Arg]
	texts block[string]

	failures  []Failure
	suspended map[*Rule]bool
}

// Reset makes all the memory free again: the matches made with it are no longer valid.
func (m *Memory) Reset() {
	m.args.reset()
	m.texts.reset()
	m.failures = m.failures[:0]
}

// Bounds of a block of memory, in elements.
const (
	minBlock = 256
	maxBlock = 64 << 10
)

// block hands out pieces of one piece of memory. When it is full it takes a new one: who holds a piece keeps the old one alive.
type block[T any] struct {
	free []T
	used int // since the last reset
}

// take returns n zero elements.
func (b *block[T]) take(n int) []T {
	if b.free == nil || len(b.free)+n > cap(b.free) {
		b.free = make([]T, 0, max(n, minBlock))
	}
	at := len(b.free)
	b.free = b.free[:at+n]
	b.used += n
	return b.free[at : at+n : at+n]
}

func (b *block[T]) reset() {
	if b.used > cap(b.free) { // next time it may be as much
		b.free = make([]T, 0, min(b.used+b.used/4, maxBlock))
	}
	clear(b.free)
	b.free, b.used = b.free[:0], 0
}

// addrSize is how many addresses' texts an input remembers; a power of two.
const addrSize = 4096

// addrTexts remembers the texts of addresses: writing one allocates, and clients send many requests.
type addrTexts struct{ table []addrEntry } // nil until the first one

type addrEntry struct {
	addr netip.Addr
	text string
}

// text is addrText.
func (t *addrTexts) text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	if t.table == nil {
		t.table = make([]addrEntry, addrSize)
	}
	b := a.As16()
	mixed := (binary.LittleEndian.Uint64(b[:8])*31 + binary.LittleEndian.Uint64(b[8:])) * 0x9e3779b97f4a7c15
	e := &t.table[mixed>>32%addrSize]
	if e.addr != a {
		*e = addrEntry{a, addrText(a)}
	}
	return e.text
}
