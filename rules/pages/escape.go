package pages

import "strings"

// escape makes text plain in Markdown: no character of it means anything, and it stays on one line.
func escape(s string) string {
	var b strings.Builder
	for _, r := range strings.Join(strings.Fields(s), " ") {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '&':
			b.WriteString("&amp;")
		case strings.ContainsRune("\\`*_{}[]#!|~>", r), b.Len() == 0 && (r == '+' || r == '-'):
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '@': // which makes a mention or an address
			b.WriteString("&#64;")
		case r < ' ', r == 0x7f, r == '\u2028', r == '\u2029', r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			b.WriteRune('\uFFFD') // what steers a terminal or turns the writing direction
		default:
			b.WriteRune(r)
		}
	}
	return strings.ReplaceAll(b.String(), "://", ":&#47;/")
}

// code is the text as code within a line or a table's cell; "" stays "".
func code(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if s == "" {
		return ""
	}
	// An HTML element, because a cell ends at a bar even inside of backticks.
	return "<code>" + strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "&#124;", "`", "&#96;", "*", "&#42;", "_", "&#95;",
		"[", "&#91;", "]", "&#93;", "\\", "&#92;", "~", "&#126;", "@", "&#64;", "://", ":&#47;/").Replace(s) + "</code>"
}

// fence is the text as a block of code. The fence is longer than any run of backticks in it.
func fence(s, language string) string {
	longest, run := 2, 0
	for _, r := range s {
		if run++; r != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	ticks := strings.Repeat("`", longest+1)
	return ticks + language + "\n" + strings.TrimRight(s, "\n \t") + "\n" + ticks + "\n"
}
