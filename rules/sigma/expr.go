package sigma

import (
	"fmt"
	"slices"
	"strings"

	"github.com/warder/warder/rules"
)

// expr is a CEL expression that is true or false, as a tree, so that it can be simplified and written with one condition a line.
type expr struct {
	op   byte // 't' a test, '&', '|', '!', 'e' a macro over args[0], 'T' true, 'F' false
	text string
	args []expr
	note string // a comment above it
	// subject and literal are set for "subject == literal": several of them become "subject in [literals]".
	subject, literal string
}

func truth(b bool) expr {
	if b {
		return expr{op: 'T'}
	}
	return expr{op: 'F'}
}

// test is one condition; args are formatted into it.
func test(format string, args ...any) expr { return expr{op: 't', text: fmt.Sprintf(format, args...)} }

func equal(subject, literal string) expr {
	e := test("%s == %s", subject, literal)
	e.subject, e.literal = subject, literal
	return e
}

func not(e expr) expr {
	switch e.op {
	case 'T', 'F':
		return truth(e.op == 'F')
	case '!':
		return e.args[0]
	}
	return expr{op: '!', args: []expr{e}}
}

func and(args ...expr) expr { return join('&', 'T', 'F', args) }

func or(args ...expr) expr { return join('|', 'F', 'T', merge(args)) }

// join leaves out what does not matter: neutral is the value that changes nothing, final the one that decides.
func join(op, neutral, final byte, args []expr) expr {
	var kept []expr
	for _, a := range args {
		switch {
		case a.op == final:
			return expr{op: final}
		case a.op == neutral:
		case a.op == op && a.note == "":
			kept = append(kept, a.args...)
		case a.op == 't' && slices.ContainsFunc(kept, func(k expr) bool { return k.op == 't' && k.text == a.text }):
		default:
			kept = append(kept, a)
		}
	}
	switch len(kept) {
	case 0:
		return expr{op: neutral}
	case 1:
		return kept[0]
	}
	return expr{op: op, args: kept}
}

// merge makes one "in" of the equalities of one subject, in the place of the first.
func merge(args []expr) []expr {
	values := map[string][]string{}
	var flat, out []expr
	for _, a := range args {
		if a.op == '|' && a.note == "" {
			flat = append(flat, a.args...)
		} else {
			flat = append(flat, a)
		}
	}
	for _, a := range flat {
		if a.subject != "" && a.note == "" && !slices.Contains(values[a.subject], a.literal) {
			values[a.subject] = append(values[a.subject], a.literal)
		}
	}
	for _, a := range flat {
		switch list := values[a.subject]; {
		case a.subject == "" || a.note != "":
			out = append(out, a)
		case len(list) == 1:
			out = append(out, a)
			values[a.subject] = nil
		case len(list) > 1:
			out = append(out, test("%s in %s", a.subject, listOf(list)))
			values[a.subject] = nil
		}
	}
	return out
}

// wide is about how long a line of an expression may become before it is broken.
const wide = 110

// listOf writes a list of literals, in lines when there are many.
func listOf(items []string) string {
	var b strings.Builder
	b.WriteByte('[')
	line := 0
	for i, s := range items {
		if i > 0 {
			b.WriteString(",")
			if line+len(s) > wide {
				b.WriteString("\n    ")
				line = 0
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteString(s)
		line += len(s) + 2
	}
	b.WriteByte(']')
	return b.String()
}

// String writes the expression, one condition a line; in few long lines without comments where it would be too long for a rule.
func (e expr) String() string {
	lines := e.lines()
	text := strings.Join(lines, "\n")
	if len(text) <= rules.MaxExpr {
		return text
	}
	var b strings.Builder
	width := 0
	for _, l := range lines {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, "//") {
			continue
		}
		if width += len(l); width > 4*wide {
			b.WriteByte('\n')
			width = len(l)
		} else if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(l)
	}
	return b.String()
}

func (e expr) lines() []string {
	out := e.plain()
	if e.note != "" {
		out = append([]string{"// " + e.note}, out...)
	}
	return out
}

// plain is lines without the expression's own note.
func (e expr) plain() []string {
	switch e.op {
	case 'T':
		return []string{"true"}
	case 'F':
		return []string{"false"}
	case 't':
		return strings.Split(e.text, "\n")
	case '!':
		return e.negated()
	case 'e':
		return within(e.text, e.args[0].lines(), ")")
	}
	var out []string
	for i, a := range e.args {
		lines := a.inside(e.op)
		if i < len(e.args)-1 {
			last := &lines[len(lines)-1]
			*last += " " + strings.Repeat(string(e.op), 2)
		}
		out = append(out, lines...)
	}
	return out
}

// inside writes the expression as an operand of an operator.
func (e expr) inside(op byte) []string {
	if e.op != '&' && e.op != '|' || e.op == op {
		return e.lines()
	}
	if one, ok := e.short(); ok {
		return []string{"(" + one + ")"}
	}
	out := within("(", e.plain(), ")")
	if e.note != "" {
		out = append([]string{"// " + e.note}, out...)
	}
	return out
}

// short is the expression in one line, when it has no notes and fits.
func (e expr) short() (string, bool) {
	lines := e.lines()
	one := strings.Join(lines, " ")
	return one, len(one) <= wide && !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), "//") })
}

func (e expr) negated() []string {
	a := e.args[0]
	if one, ok := a.short(); ok {
		if a.op == 't' && strings.HasSuffix(one, ")") && !strings.Contains(one, " ") {
			return []string{"!" + one}
		}
		return []string{"!(" + one + ")"}
	}
	return within("!(", a.lines(), ")")
}

func within(open string, lines []string, end string) []string {
	out := []string{open}
	for _, l := range lines {
		out = append(out, "  "+l)
	}
	return append(out, end)
}
