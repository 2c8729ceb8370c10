package rules

import (
	"bytes"
	"strings"
)

// prefilter finds which patterns' telling literals occur in a text: each pattern has a set of them, of which one must occur. A
// literal has three characters in a row that are rarest, and a bit set says which three mean something: ordinary text passes at
// about a nanosecond a byte. It is immutable; letters are compared without regard to ASCII case.
type prefilter struct {
	class [256]uint8             // byte → one of 64 classes; 0 stands for what is before the text
	three [1 << (3*6 - 6)]uint64 // bit set over three classes
	table []telling              // open addressing by key; its size is a power of two
}

// telling is a literal and the patterns that it is telling for.
type telling struct {
	key      uint32 // the classes of its rarest characters and how many they are; 0: no literal
	literal  string
	end      int // where in the literal those characters end
	patterns []uint64
}

// foreign is the class of bytes outside ASCII. Some of them count as letters, see automaton.scan: a text with such bytes is left
// to the automaton.
const foreign = 63

// newPrefilter returns nil when no pattern has telling literals. The literals of a pattern's first set are.
func newPrefilter(t *textSource) *prefilter {
	found := map[string][]uint64{}
	for i, p := range t.patterns {
		if len(p.sets) == 0 {
			continue
		}
		for id, l := range t.literals {
			if w := id >> 6; w < len(p.sets[0]) && p.sets[0][w]&(1<<(id&63)) != 0 {
				if found[l] == nil {
					found[l] = make([]uint64, t.masks)
				}
				found[l][i>>6] |= 1 << (i & 63)
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	f := &prefilter{table: make([]telling, 16)}
	f.classes()
	for len(f.table) < 4*len(found) {
		f.table = make([]telling, 2*len(f.table))
	}
	for l, patterns := range found {
		f.add(l, patterns)
	}
	return f
}

func (f *prefilter) classes() {
	next := uint8(3)
	for c := range 256 {
		switch b := byte(c); {
		case b >= 'a' && b <= 'z', b > ' ' && b < 0x7f && (b < '0' || b > '9') && (b < 'A' || b > 'Z'):
			f.class[c] = next
			next++
		case b >= '0' && b <= '9':
			f.class[c] = 2
		case b >= 0x80:
			f.class[c] = foreign
		default:
			f.class[c] = 1
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		f.class[c] = f.class[c-'A'+'a']
	}
	for before := range uint32(64 * 64) {
		f.set(before<<6 | foreign)
	}
}

func (f *prefilter) set(three uint32) { f.three[three>>6] |= 1 << (three & 63) }

// add enters a literal: by its rarest three characters, or when it is shorter, by itself whatever stands before it.
func (f *prefilter) add(literal string, patterns []uint64) {
	n := min(3, len(literal))
	end := n
	for i := n + 1; i <= len(literal); i++ {
		if likelihood(literal[i-n:i]) < likelihood(literal[end-n:end]) {
			end = i
		}
	}
	code := uint32(0)
	for _, b := range []byte(literal[end-n : end]) {
		code = code<<6 | uint32(f.class[b])
	}
	for before := range uint32(1) << (6 * (3 - n)) {
		f.set(before<<(6*n) | code)
	}
	key := code | uint32(n)<<18
	at := f.place(key)
	for f.table[at].key != 0 {
		at = (at + 1) % uint32(len(f.table))
	}
	f.table[at] = telling{key, literal, end, patterns}
}

func (f *prefilter) place(key uint32) uint32 {
	return key * 0x9e3779b1 >> 8 % uint32(len(f.table))
}

// find sets the bits of the patterns that may hold on the text, as far as their telling literals say, and tells whether there are any.
func (f *prefilter) find(text string, patterns []uint64) bool {
	clear(patterns)
	x, some := uint32(0), false
	for i := range len(text) {
		x = (x<<6 | uint32(f.class[text[i]])) & (1<<18 - 1)
		if f.three[x>>6]&(1<<(x&63)) == 0 {
			continue
		}
		if x&63 == foreign {
			for w := range patterns {
				patterns[w] = ^uint64(0)
			}
			return true
		}
		for n := uint32(1); n <= 3; n++ {
			some = f.look(x&(1<<(6*n)-1)|n<<18, text, i+1, patterns) || some
		}
	}
	return some
}

// look checks the literals whose rarest characters end before text[at].
func (f *prefilter) look(key uint32, text string, at int, patterns []uint64) (some bool) {
	for p := f.place(key); f.table[p].key != 0; p = (p + 1) % uint32(len(f.table)) {
		t := &f.table[p]
		from := at - t.end
		if t.key != key || from < 0 || !hasPrefixFolded(text[from:], t.literal) {
			continue
		}
		some = true
		for w, bits := range t.patterns {
			patterns[w] |= bits
		}
	}
	return some
}

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

// maxQuick is how many literals a set may have that is looked up one by one.
const maxQuick = 16

// quick is a small set of literals of a pattern that is looked up before the automaton runs.
type quick struct {
	chars [2]uint64 // those of one character, as a bit set
	words [][]byte
}

// newQuick returns false for a set that is not small.
func newQuick(literals []string) (q quick, ok bool) {
	for _, l := range literals {
		switch {
		case l == "" || len(literals) > maxQuick:
			return q, false
		case len(l) == 1:
			q.chars[l[0]>>6] |= 1 << (l[0] & 63)
		default:
			q.words = append(q.words, []byte(l))
		}
	}
	return q, true
}

// hit tells whether one of them occurs in a folded text with the given characters.
func (q *quick) hit(text []byte, chars *[2]uint64) bool {
	if q.chars[0]&chars[0]|q.chars[1]&chars[1] != 0 {
		return true
	}
	for _, w := range q.words {
		if chars[w[0]>>6]&(1<<(w[0]&63)) != 0 && bytes.Contains(text, w) {
			return true
		}
	}
	return false
}

// plainChars are letters, digits and what stands between them in the paths and parameters of every site. Most attacks need another
// character.
const plainChars = "abcdefghijklmnopqrstuvwxyz0123456789/-_.=&"

func plainText(s string) bool { return strings.Trim(s, plainChars) == "" }

// isPlain tells whether the characters are plain ones.
func isPlain(chars *[2]uint64) bool {
	const digits, letters = (1<<10 - 1) << '0', (1<<26 - 1) << ('a' - 64)
	return chars[0]&^(digits|1<<'/'|1<<'-'|1<<'.'|1<<'='|1<<'&') == 0 && chars[1]&^(letters|1<<('_'-64)) == 0
}

// appendFolded appends an ASCII text in folded form to dst and adds its characters to chars; false when it is none.
func appendFolded(dst []byte, text string, chars *[2]uint64) ([]byte, bool) {
	for i := range len(text) {
		b := text[i]
		if b >= 0x80 {
			return dst, false
		}
		b = fold(b)
		chars[b>>6] |= 1 << (b & 63)
		dst = append(dst, b)
	}
	return dst, true
}
