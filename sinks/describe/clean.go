// Package describe puts an alert into words: the parts that a message to a person is made of. What came from a request is
// attacker-controlled; it leaves this package bounded, printable, and without live links.
package describe

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns s in one line of at most limit runes: control, invisible and direction-changing characters become \n, \x1b or
// \u202e, bytes that are not UTF-8 become \xff, and a cut is marked with an ellipsis.
func Printable(s string, limit int) string {
	var b strings.Builder
	n := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if n >= limit {
			b.WriteRune('…')
			break
		}
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			fmt.Fprintf(&b, `\x%02x`, r)
		case !unicode.IsPrint(r) && r != ' ' && r != utf8.RuneError:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		n++
		i += size
	}
	return b.String()
}

// Defang breaks what a program could turn into a link: "://" becomes "[:]//", a dot between a word and a letter becomes "[.]",
// and "mailto:" and the like lose their colon. Addresses and numbers stay as they are.
func Defang(s string) string {
	s = strings.ReplaceAll(s, "://", "[:]//")
	var b strings.Builder
	prev := rune(0)
	for i, r := range s {
		next, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):])
		switch {
		case r == '.' && word(prev) && unicode.IsLetter(next):
			b.WriteString("[.]")
		case r == ':' && unicode.IsLetter(prev) && unicode.IsLetter(next) && scheme(s[:i]):
			b.WriteString("[:]")
		default:
			b.WriteRune(r)
		}
		prev = r
	}
	return b.String()
}

func word(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' }

// scheme tells whether s ends with a scheme that programs link without slashes.
func scheme(s string) bool {
	for _, p := range []string{"mailto", "tel", "sms", "javascript", "data"} {
		if len(s) >= len(p) && strings.EqualFold(s[len(s)-len(p):], p) {
			return true
		}
	}
	return false
}

// Shown is Printable and then Defang: for text from a request in a message to a person.
func Shown(s string, limit int) string { return Defang(Printable(s, limit)) }
