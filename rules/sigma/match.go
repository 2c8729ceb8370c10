package sigma

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// subject is a text of the event as CEL names it. guard must hold before it can be read; it is true for a field.
type subject struct {
	cel   string
	guard expr
}

func plain(cel string) subject { return subject{cel, truth(true)} }

// header is a request header, which CEL can only read where it is.
func header(name string) subject {
	return subject{fmt.Sprintf("request.headers[%s]", quote(name)), test("%s in request.headers", quote(name))}
}

// present is true when the text is there and not empty: Warder's events do not tell the two apart.
func (s subject) present() expr { return and(s.guard, test(`%s != ""`, s.cel)) }

// absent is the contrary.
func (s subject) absent() expr { return or(not(s.guard), equal(s.cel, `""`)) }

// match is true when the text is there and the pattern matches all of it.
func (s subject) match(p pattern, cased bool) expr {
	if p.any() {
		return s.present()
	}
	core, left, right := p.inner()
	lit, ok := core.literal()
	if !ok || !cased && !foldsInASCII(lit) {
		return and(s.guard, s.search(flags(p, cased)+p.regex(".*", ".")))
	}
	if lit == "" {
		return s.absent()
	}
	cel := s.cel
	if !cased && hasLetter(lit) {
		cel, lit = cel+".lowerAscii()", lower(lit)
	}
	switch {
	case left && right:
		return and(s.guard, test("%s.contains(%s)", cel, quote(lit)))
	case left:
		return and(s.guard, test("%s.endsWith(%s)", cel, quote(lit)))
	case right:
		return and(s.guard, test("%s.startsWith(%s)", cel, quote(lit)))
	}
	return and(s.guard, equal(cel, quote(lit)))
}

// regex is true when the text is there and the expression matches somewhere in it.
func (s subject) regex(re *regexp.Regexp) expr {
	if re.MatchString("") {
		return and(s.present(), s.search(re.String()))
	}
	return and(s.guard, s.search(re.String()))
}

func (s subject) search(re string) expr { return test("%s.matches(%s)", s.cel, quote(re)) }

// flags begin the regular expression of a pattern.
func flags(p pattern, cased bool) string {
	for _, x := range p {
		if !cased && (hasLetter(x.lit) || !isASCII(x.lit)) {
			return "(?is)"
		}
	}
	return "(?s)"
}

// foldsInASCII tells whether lowering ASCII letters is all that comparing without case needs.
func foldsInASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII && unicode.SimpleFold(r) != r })
}

// quote writes a CEL string: a raw one where that is easier to read.
func quote(s string) string {
	if strings.Contains(s, `\`) && !strings.ContainsFunc(s, unprintable) {
		switch {
		case !strings.Contains(s, `"`):
			return `r"` + s + `"`
		case !strings.Contains(s, "'"):
			return `r'` + s + `'`
		}
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r > 0xffff && unprintable(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		case unprintable(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func unprintable(r rune) bool { return r != ' ' && !unicode.IsPrint(r) || r == unicode.ReplacementChar }
