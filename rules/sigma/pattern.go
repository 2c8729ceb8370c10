package sigma

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// The wildcards of a pattern: any number of characters, and exactly one.
const (
	anything = '*'
	anyOne   = '?'
)

// piece is a literal text, or a wildcard when wild is not 0.
type piece struct {
	lit  string
	wild byte
}

// pattern is a Sigma string: literal texts and wildcards by turns. The empty pattern is the empty text.
type pattern []piece

// parsePattern reads a Sigma string. A backslash makes a wildcard or another backslash literal; before anything else it stands
// for itself.
func parsePattern(s string) pattern {
	var p pattern
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`*?\`, s[i+1]) >= 0:
			i++
			p = p.add(piece{lit: s[i : i+1]})
		case s[i] == anything || s[i] == anyOne:
			p = p.add(piece{wild: s[i]})
		default:
			p = p.add(piece{lit: s[i : i+1]})
		}
	}
	return p
}

// add appends a piece, joined with the last one where they are of a kind.
func (p pattern) add(x piece) pattern {
	if n := len(p); n > 0 {
		last := &p[n-1]
		switch {
		case x.wild == 0 && last.wild == 0:
			last.lit += x.lit
			return p
		case x.wild == anything && last.wild == anything:
			return p
		}
	}
	return append(p, x)
}

func (p pattern) open(left, right bool) pattern {
	var out pattern
	if left {
		out = out.add(piece{wild: anything})
	}
	for _, x := range p {
		out = out.add(x)
	}
	if right {
		out = out.add(piece{wild: anything})
	}
	return out
}

// literal returns the text when there are no wildcards.
func (p pattern) literal() (string, bool) {
	switch {
	case len(p) == 0:
		return "", true
	case len(p) == 1 && p[0].wild == 0:
		return p[0].lit, true
	}
	return "", false
}

// inner takes the * at both ends away and tells whether they were there.
func (p pattern) inner() (core pattern, left, right bool) {
	if len(p) > 0 && p[0].wild == anything {
		p, left = p[1:], true
	}
	if len(p) > 0 && p[len(p)-1].wild == anything {
		p, right = p[:len(p)-1], true
	}
	return p, left, right
}

// any tells whether every text matches.
func (p pattern) any() bool { return len(p) == 1 && p[0].wild == anything }

// has tells whether a literal part contains one of the characters.
func (p pattern) has(chars string) bool {
	for _, x := range p {
		if strings.ContainsAny(x.lit, chars) {
			return true
		}
	}
	return false
}

// mapped is the pattern with its literals changed.
func (p pattern) mapped(f func(string) string) pattern {
	out := make(pattern, len(p))
	for i, x := range p {
		out[i] = x
		if x.wild == 0 {
			out[i].lit = f(x.lit)
		}
	}
	return out
}

// regex is the pattern as a regular expression, anchored where it does not begin or end with *. all and one are what the
// wildcards become.
func (p pattern) regex(all, one string) string {
	core, left, right := p.inner()
	var b strings.Builder
	if !left {
		b.WriteByte('^')
	}
	for _, x := range core {
		switch x.wild {
		case anything:
			b.WriteString(all)
		case anyOne:
			b.WriteString(one)
		default:
			b.WriteString(regexp.QuoteMeta(x.lit))
		}
	}
	if !right {
		b.WriteByte('$')
	}
	return b.String()
}

// valid tells whether the literals are UTF-8: only such a text can be written in CEL.
func (p pattern) valid() bool {
	for _, x := range p {
		if !utf8.ValidString(x.lit) {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// lower lowers ASCII letters only, as CEL's lowerAscii() does.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func hasLetter(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
}
