package rules

import "unsafe"

// search finds which of many literals occur in a text. Each literal has three characters in a row that are rarest, and a bit set says
// which three mean something: ordinary text passes at about a nanosecond a byte, and memory grows with the literals' number
// only, unlike that of an automaton's table. Letters are compared without regard to ASCII case, and any white space is a space.
// Two characters outside ASCII fold to ASCII letters in regular expressions without regard to case, U+017F to s and U+212A to k;
// they count as those letters here. It is immutable.
type search struct {
	class *[256]uint8             // byte → one of 64 classes; 0 stands for what is before the text
	three *[1 << (3*6 - 6)]uint64 // bit set over three classes
	table []literalEnd            // open addressing by key; its size is a power of two
	shift uint32
	ones  uint64     // the classes of literals of one character
	twos  [64]uint64 // bit sets of the last class of literals of two, by the first
	size  int        // of the literals
}

// literalEnd is a literal in the table.
type literalEnd struct {
	key     uint32 // the classes of its rarest characters and how many they are; 0: no literal
	id      uint32
	end     int // where in the literal those characters end
	literal string
}

// foreign is the class of bytes outside ASCII.
const foreign = 63

// classes returns the classes of bytes: letters whatever their case, digits together, each other printable character, the rest.
func classes() *[256]uint8 {
	out := new([256]uint8)
	next := uint8(3)
	for c := range 256 {
		switch b := byte(c); {
		case b >= 'a' && b <= 'z', b > ' ' && b < 0x7f && (b < '0' || b > '9') && (b < 'A' || b > 'Z'):
			out[c] = next
			next++
		case b >= '0' && b <= '9':
			out[c] = 2
		case b >= 0x80:
			out[c] = foreign
		default:
			out[c] = 1
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		out[c] = out[c-'A'+'a']
	}
	return out
}

// newSearch makes the search for literals in folded form; their numbers are their places in the slice. It is nil for none.
func newSearch(class *[256]uint8, literals []string) *search {
	if len(literals) == 0 {
		return nil
	}
	s := &search{class: class, three: new([1 << 12]uint64), size: len(literals)}
	size := 16
	for s.shift = 28; size < 3*len(literals); s.shift-- {
		size *= 2
	}
	s.table = make([]literalEnd, size)
	for before := range uint32(64 * 64) {
		s.set(before<<6 | foreign)
	}
	for id, l := range literals {
		s.add(uint32(id), l)
	}
	return s
}

func (s *search) set(three uint32) { s.three[three>>6] |= 1 << (three & 63) }

// add enters a literal: by its rarest three characters, or when it is shorter, by itself whatever stands before it.
func (s *search) add(id uint32, literal string) {
	n := min(3, len(literal))
	end := n
	for i := n + 1; i <= len(literal); i++ {
		if likelihood(literal[i-n:i]) < likelihood(literal[end-n:end]) {
			end = i
		}
	}
	code := uint32(0)
	for _, b := range []byte(literal[end-n : end]) {
		code = code<<6 | uint32(s.class[b])
	}
	for before := range uint32(1) << (6 * (3 - n)) {
		s.set(before<<(6*n) | code)
	}
	switch n {
	case 1:
		s.ones |= 1 << code
	case 2:
		s.twos[code>>6] |= 1 << (code & 63)
	}
	key := code | uint32(n)<<18
	at := s.place(key)
	for s.table[at].key != 0 {
		at = (at + 1) % uint32(len(s.table))
	}
	s.table[at] = literalEnd{key, id, end, literal}
}

func (s *search) place(key uint32) uint32 { return key * 0x9e3779b1 >> s.shift }

// finds is what a search found, and its scratch memory. Numbers are found once each.
type finds struct {
	ids     []uint32
	seen    []uint32 // by number: the round in which it was found
	round   uint32
	folded  []byte // the text in folded form; valid while chars are
	chars   [2]uint64
	filled  bool
	foreign bool // the text has other characters than ASCII
}

// begin makes room for the numbers below n.
func (f *finds) begin(n int) {
	f.ids = f.ids[:0]
	if len(f.seen) < n {
		f.seen = make([]uint32, n)
		f.round = 0
	}
	if f.round++; f.round == 0 {
		clear(f.seen)
		f.round = 1
	}
}

// fold writes down the text in folded form and which characters it has.
func (f *finds) fold(text string) []byte {
	if !f.filled {
		f.filled, f.chars = true, [2]uint64{}
		f.folded = appendFolded(f.folded[:0], text, &f.chars)
	}
	return f.folded
}

// find finds the literals that occur in the text.
func (s *search) find(text string, f *finds) {
	f.begin(s.size)
	if f.foreign = !s.scan(text, f, true); !f.foreign {
		return
	}
	f.begin(s.size)
	s.scan(view(f.fold(text)), f, false)
}

// scan is find; it returns false at once when the text has other characters than ASCII and those are not expected.
func (s *search) scan(text string, f *finds, ascii bool) bool {
	x, ones := uint32(0), s.ones // which of them are still to be found
	class, three := s.class, s.three
	for i := range len(text) {
		x = (x<<6 | uint32(class[text[i]])) & (1<<18 - 1)
		if three[x>>6]&(1<<(x&63)) == 0 {
			continue
		}
		if x&63 == foreign {
			if ascii {
				return false
			}
			continue
		}
		s.look(x|3<<18, text, i+1, f)
		if s.twos[x>>6&63]&(1<<(x&63)) != 0 {
			s.look(x&(1<<12-1)|2<<18, text, i+1, f)
		}
		if ones&(1<<(x&63)) != 0 {
			if x&63 > 2 { // all its characters are the same one
				ones &^= 1 << (x & 63)
			}
			s.look(x&63|1<<18, text, i+1, f)
		}
	}
	return true
}

// look checks the literals whose rarest characters end before text[at].
func (s *search) look(key uint32, text string, at int, f *finds) {
	for i := s.place(key); s.table[i].key != 0; i = (i + 1) & uint32(len(s.table)-1) {
		p := &s.table[i]
		if p.key != key || f.seen[p.id] == f.round {
			continue
		}
		from := at - p.end
		if from < 0 || !hasPrefixFolded(text[from:], p.literal) {
			continue
		}
		f.seen[p.id] = f.round
		f.ids = append(f.ids, p.id)
	}
}

// view is the text that the bytes are, for as long as they do not change.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// hasPrefixFolded tells whether the text, folded, begins with the literal.
func hasPrefixFolded(text, literal string) bool {
	if len(text) < len(literal) {
		return false
	}
	for i := range len(literal) {
		if fold(text[i]) != literal[i] {
			return false
		}
	}
	return true
}

// appendFolded appends a text in folded form to dst and adds its ASCII characters to chars.
func appendFolded(dst []byte, text string, chars *[2]uint64) []byte {
	for i := 0; i < len(text); i++ {
		b := text[i]
		switch {
		case b < 0x80:
			b = fold(b)
		case b == 0xc5 && i+1 < len(text) && text[i+1] == 0xbf:
			b, i = 's', i+1
		case b == 0xe2 && i+2 < len(text) && text[i+1] == 0x84 && text[i+2] == 0xaa:
			b, i = 'k', i+2
		default:
			dst = append(dst, b)
			continue
		}
		chars[b>>6] |= 1 << (b & 63)
		dst = append(dst, b)
	}
	return dst
}
