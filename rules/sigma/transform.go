package sigma

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// transform applies a modifier that makes other texts of a text.
func transform(at *node, name string, p pattern, before []string) ([]pattern, error) {
	switch name {
	case "windash":
		return windash(p), nil
	case "wide", "utf16le", "utf16be", "utf16":
		return []pattern{utf16Of(p, name)}, nil
	}
	text, ok := p.literal()
	if !ok {
		if slices.ContainsFunc(before, func(m string) bool { return m == "contains" || m == "startswith" || m == "endswith" }) {
			return nil, refuse(at, "modifier %s must come before contains, startswith and endswith", name)
		}
		return nil, refuse(at, "modifier %s cannot be applied to a text with wildcards", name)
	}
	if name == "base64" {
		return []pattern{{{lit: base64.StdEncoding.EncodeToString([]byte(text))}}}, nil
	}
	return base64Offset(text), nil
}

// base64Offset is the part of the text's encoding that does not depend on what stands before and after it, for each of the three
// places that it can have in a group of three bytes.
func base64Offset(text string) []pattern {
	first, cut := [3]int{0, 2, 3}, [3]int{0, 3, 2}
	var out []pattern
	for i := range 3 {
		enc := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", i) + text))
		end := len(enc) - cut[(len(text)+i)%3]
		if first[i] < end {
			out = append(out, pattern{{lit: enc[first[i]:end]}})
		}
	}
	return out
}

// utf16Of encodes the literals; wildcards stay. The bytes need not be UTF-8.
func utf16Of(p pattern, name string) pattern {
	out := p.mapped(func(s string) string {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			if name == "utf16be" {
				b = append(b, byte(u>>8), byte(u))
			} else {
				b = append(b, byte(u), byte(u>>8))
			}
		}
		return string(b)
	})
	if name == "utf16" {
		out = append(pattern{}.add(piece{lit: "\xff\xfe"}), out...)
		if len(out) > 1 && out[1].wild == 0 {
			out = append(pattern{{lit: out[0].lit + out[1].lit}}, out[2:]...)
		}
	}
	return out
}

// dash is a - or / that begins an option: not within or after a word, and a word follows.
var dash = regexp.MustCompile(`[-/]`)

// windash writes each dash that begins an option as each of the characters that Windows takes for one.
func windash(p pattern) []pattern {
	out := []pattern{nil}
	for _, x := range p {
		if x.wild != 0 {
			for i := range out {
				out[i] = slices.Clone(out[i]).add(x)
			}
			continue
		}
		for _, s := range splitDashes(x.lit) {
			var next []pattern
			for _, o := range out {
				for _, c := range s {
					next = append(next, slices.Clone(o).add(piece{lit: c}))
				}
			}
			if out = next; len(out) > maxPatterns {
				return out
			}
		}
	}
	return out
}

// splitDashes cuts a text into pieces; each has one form, or for a dash all of its forms.
func splitDashes(s string) [][]string {
	var out [][]string
	from := 0
	for _, m := range dash.FindAllStringIndex(s, -1) {
		at := m[0]
		before, _ := utf8.DecodeLastRuneInString(s[:at])
		after, _ := utf8.DecodeRuneInString(s[at+1:])
		if at > 0 && isWord(before) || at+1 == len(s) || !isWord(after) {
			continue
		}
		if at > from {
			out = append(out, []string{s[from:at]})
		}
		out = append(out, []string{"-", "/", "\u2013", "\u2014", "\u2015"})
		from = at + 1
	}
	if from < len(s) {
		out = append(out, []string{s[from:]})
	}
	return out
}

func isWord(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}
