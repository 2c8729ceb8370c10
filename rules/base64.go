package rules

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// minBase64 is how many characters a piece of base64 must have to be decoded: 12 bytes. Of random tokens of that length fewer than one in
// a hundred thousand decodes to printable text by chance, and of words hardly any.
const minBase64 = 16

// sextets has for each character of ASCII its value in base64 plus one, in the standard and in the URL alphabet; 0 for the others.
const sextets = "" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x3f\x00\x3f\x00\x40" +
	"\x35\x36\x37\x38\x39\x3a\x3b\x3c\x3d\x3e\x00\x00\x00\x00\x00\x00" +
	"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f" +
	"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x00\x00\x00\x00\x40" +
	"\x00\x1b\x1c\x1d\x1e\x1f\x20\x21\x22\x23\x24\x25\x26\x27\x28\x29" +
	"\x2a\x2b\x2c\x2d\x2e\x2f\x30\x31\x32\x33\x34\x00\x00\x00\x00\x00"

// sextet is the value of a character of base64 plus one; 0 for other characters.
func sextet(c byte) byte {
	if c >= utf8.RuneSelf {
		return 0
	}
	return sextets[c]
}

// nextRun returns the bounds of the next run of at least minBase64 characters of base64 at or after from; false when there is none.
// It looks at every sixteenth byte of a text without runs.
func nextRun(s string, from int) (start, end int, ok bool) {
	for start = from; start+minBase64 <= len(s); {
		at := start + minBase64 - 1
		for at >= start && sextet(s[at]) > 0 {
			at--
		}
		if at >= start {
			start = at + 1
			continue
		}
		for end = start + minBase64; end < len(s) && sextet(s[end]) > 0; end++ {
		}
		return start, end, true
	}
	return 0, 0, false
}

// unbase64 replaces each piece of base64 that decodes to printable text by that text. It returns s itself when there is none.
func unbase64(s string) string {
	var b []byte
	done := 0
	for from := 0; ; {
		start, end, ok := nextRun(s, from)
		if !ok {
			break
		}
		from = end
		for start < end {
			stop, text := piece(s[start:end])
			if text != nil {
				b = append(append(b, s[done:start]...), text...)
				if done = start + stop; done == end {
					done += padding(s[end:])
				}
			}
			start += stop
		}
	}
	if b == nil {
		return s
	}
	return string(append(b, s[done:]...))
}

// piece decodes the beginning of a run: all of it, or what comes before its first "/", which parts a path and is a character of
// base64 as well. It returns how much of the run it is about, and nil when that is no text.
func piece(run string) (int, []byte) {
	if text := printableBase64(run); text != nil {
		return len(run), text
	}
	cut := strings.IndexByte(run, '/')
	if cut < 0 {
		return len(run), nil
	}
	if text := printableBase64(run[:cut]); text != nil {
		return cut, text
	}
	return cut + 1, nil
}

// padding is how many "=" at the beginning of s are the end of base64.
func padding(s string) int {
	n := 0
	for n < len(s) && n < 2 && s[n] == '=' {
		n++
	}
	return n
}

// printableBase64 decodes s when it has the length of base64 and comes out as printable text: UTF-8, or UTF-16 of ASCII
// characters, as PowerShell takes its commands; nil otherwise. It gives up at the first byte that is neither, mostly one of the first.
func printableBase64(s string) []byte {
	n := len(s) * 6 / 8
	if len(s) < minBase64 || len(s)%4 == 1 {
		return nil
	}
	step := 1
	if unpacked(s, 1) == 0 {
		step = 2
	}
	for i := range n {
		c := unpacked(s, i)
		switch {
		case step == 2 && i%2 == 1:
			if c != 0 {
				return nil
			}
		case c < ' ' && c != '\t' && c != '\n' && c != '\r', c == 0x7f, step == 2 && c >= utf8.RuneSelf:
			return nil
		}
	}
	var short [96]byte // most that comes so far is no text after all
	out := short[:0]
	for i := 0; i < n; i += step {
		if out = append(out, unpacked(s, i)); i == 12 && !utf8.Valid(out[:len(out)-3]) && !utf8.Valid(out[:len(out)-2]) &&
			!utf8.Valid(out[:len(out)-1]) && !utf8.Valid(out) {
			return nil
		}
	}
	if !utf8.Valid(out) {
		return nil
	}
	return bytes.Clone(out)
}

// unpacked is byte i of what s decodes to.
func unpacked(s string, i int) byte {
	at := i / 3 * 4
	six := func(k int) byte { return sextet(s[at+k]) - 1 }
	switch i % 3 {
	case 0:
		return six(0)<<2 | six(1)>>4
	case 1:
		return six(1)<<4 | six(2)>>2
	}
	return six(2)<<6 | six(3)
}
