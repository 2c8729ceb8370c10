package rules

import (
	"bytes"
	"strings"
)

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

// isPlain tells whether the ASCII characters are plain ones.
func isPlain(chars *[2]uint64) bool {
	const digits, letters = (1<<10 - 1) << '0', (1<<26 - 1) << ('a' - 64)
	return chars[0]&^(digits|1<<'/'|1<<'-'|1<<'.'|1<<'='|1<<'&') == 0 && chars[1]&^(letters|1<<('_'-64)) == 0
}
