package rules

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error is a fault in a rule file: where it is, what is wrong and what to do about it.
type Error struct {
	File   string
	Line   int // from 1; 0 when unknown
	Column int // from 1, in characters; 0 when unknown
	Rule   string
	Key    string // "filter", "aggregates.users"
	Msg    string
	// Source is the line of the file that Line names, without its newline; empty when unknown.
	Source string
}

// Error returns "file:line:column: rule "id": key: message", then the line with a caret below the fault.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
		if e.Column > 0 {
			fmt.Fprintf(&b, ":%d", e.Column)
		}
	}
	if e.Rule != "" {
		fmt.Fprintf(&b, ": rule %.80q", e.Rule)
	}
	if e.Key != "" {
		b.WriteString(": " + e.Key)
	}
	b.WriteString(": " + e.Msg)
	if e.Source != "" && e.Column > 0 {
		line, caret := excerpt(e.Source, e.Column)
		b.WriteString("\n    " + line + "\n    " + caret)
	}
	return b.String()
}

// excerpt cuts a long line around the column and returns it with the caret line below it.
func excerpt(line string, column int) (string, string) {
	const before, width = 60, 110
	r := []rune(line)
	at := min(max(column-1, 0), len(r))
	from := max(0, at-before)
	to := min(len(r), from+width)
	head, tail := "", ""
	if from > 0 {
		head = "…"
	}
	if to < len(r) {
		tail = "…"
	}
	shown := strings.Map(printable, head+string(r[from:to])+tail)
	pad := strings.Repeat(" ", utf8.RuneCountInString(head)+at-from)
	return shown, pad + "^"
}

// printable keeps what a terminal shows as one column: a rule file is not trusted to steer the terminal of who checks it, nor to
// turn the direction of its text.
func printable(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
		return ' '
	}
	return r
}
