package rules

import (
	"html"
	"strings"
	"unicode/utf8"
)

// Bounds of Decode.
const (
	decodeRounds = 3
	maxDecoded   = 16 << 10 // bytes looked at; the rest is cut off
)

// Decode undoes what attackers wrap payloads in, up to three times over: URL encoding (%2e, and IIS's %u002e), "+" for a
// space, HTML entities (&lt; &#60; &#x3c;) and \u003c and \x3c escapes. Overlong UTF-8 (%c0%ae) becomes the character that a
// lax server reads. A piece of base64 of 16 characters or more is replaced by the printable text that it stands for, and left alone
// when it stands for anything else. What is not well-formed stays as it is. It is pure; it looks at the first 16 KiB. Text
// without any of these is returned as it is, without allocating. The result is valid UTF-8.
//
//	Decode("%253Cscript%253E") == "<script>"
//	Decode("q=PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==") == "q=<script>alert(1)</script>"
func Decode(s string) string {
	if len(s) > maxDecoded {
		s = s[:maxDecoded]
	}
	for round := range decodeRounds {
		next := s
		if strings.ContainsAny(s, "%+&\\") {
			next = decodeOnce(s, round == 0)
		}
		if next = unbase64(next); next == s {
			break
		}
		s = next
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}

// decodeOnce undoes one layer. A plus is a space only in the outermost layer, where it was written as one.
func decodeOnce(s string, plus bool) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		c := s[i]
		n := 0
		switch {
		case c == '+' && plus:
			b, n = append(b, ' '), 1
		case c == '%':
			b, n = percent(b, s[i:])
		case c == '\\':
			b, n = backslash(b, s[i:])
		case c == '&':
			b, n = entity(b, s[i:])
		}
		if n == 0 {
			b, n = append(b, c), 1
		}
		i += n
	}
	return string(b)
}

// percent decodes %XX and %uXXXX at the start of s; it returns how many bytes it used, 0 for none.
func percent(b []byte, s string) ([]byte, int) {
	if len(s) >= 6 && (s[1] == 'u' || s[1] == 'U') {
		if v, ok := hexes(s[2:6]); ok {
			return utf8.AppendRune(b, narrow(rune(v))), 6
		}
	}
	if len(s) < 3 {
		return b, 0
	}
	v, ok := hexes(s[1:3])
	if !ok {
		return b, 0
	}
	// Overlong two-byte form of an ASCII character: c0 and c1 never begin a valid sequence.
	if (v == 0xc0 || v == 0xc1) && len(s) >= 6 && s[3] == '%' {
		if low, ok := hexes(s[4:6]); ok && low >= 0x80 && low <= 0xbf {
			return append(b, byte(v<<6|low&0x3f)), 6
		}
	}
	return append(b, byte(v)), 3
}

// backslash decodes \uXXXX and \xXX.
func backslash(b []byte, s string) ([]byte, int) {
	if len(s) >= 6 && s[1] == 'u' {
		if v, ok := hexes(s[2:6]); ok {
			return utf8.AppendRune(b, narrow(rune(v))), 6
		}
	}
	if len(s) >= 4 && s[1] == 'x' {
		if v, ok := hexes(s[2:4]); ok {
			return utf8.AppendRune(b, rune(v)), 4
		}
	}
	return b, 0
}

// maxEntity is the longest HTML entity that is decoded, in bytes.
const maxEntity = 32

// entity decodes an HTML entity that ends with a semicolon; without one, "&lt=1" is a parameter and not an entity.
func entity(b []byte, s string) ([]byte, int) {
	end := strings.IndexByte(s[:min(len(s), maxEntity)], ';')
	if end < 2 {
		return b, 0
	}
	raw := s[:end+1]
	text := html.UnescapeString(raw)
	if text == raw {
		return b, 0
	}
	return append(b, text...), len(raw)
}

// narrow maps the full-width forms of ASCII to ASCII, as IIS and many libraries do.
func narrow(r rune) rune {
	if r >= 0xff01 && r <= 0xff5e {
		return r - 0xff01 + '!'
	}
	return r
}

// hexes reads hexadecimal digits.
func hexes(s string) (v uint32, ok bool) {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint32(c)
	}
	return v, true
}
