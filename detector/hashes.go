package detector

import "hash/maphash"

// Bounds of the texts whose hashes are remembered.
const (
	hashesSize = 1024 // texts; a power of two
	hashesText = 256  // bytes of a text
)

// hashes is hashText with a memory: the same user agents and paths come again and again. A text has one place, and the newest one
// in a place stays. The zero value is ready.
type hashes struct {
	seed  maphash.Seed
	table []hashed // nil until the first text
}

type hashed struct {
	text []byte // a copy: the match's text is part of a longer one
	hash uint64
}

func (h *hashes) of(s string) uint64 {
	if len(s) > hashesText || s == "" {
		return hashText(s)
	}
	if h.table == nil {
		h.seed, h.table = maphash.MakeSeed(), make([]hashed, hashesSize)
	}
	e := &h.table[maphash.String(h.seed, s)%hashesSize]
	if string(e.text) != s {
		e.text = append(e.text[:0], s...)
		e.hash = hashText(s)
	}
	return e.hash
}
