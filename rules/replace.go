package rules

import (
	"regexp"
	"strings"
	"unicode/utf8"

	celast "github.com/google/cel-go/common/ast"
)

// replacementPiece is text, and the group after it; -1 for none.
type replacementPiece struct {
	text  string
	group int
}

// replaceOf recognises regex.replace(text of the event, "pattern", "replacement"). CEL would compile the pattern for each event.
func (c *compiler) replaceOf(e celast.Expr) (func(*input) string, bool) {
	if e.Kind() != celast.CallKind {
		return nil, false
	}
	call := e.AsCall()
	if call.FunctionName() != "regex.replace" || len(call.Args()) != 3 {
		return nil, false
	}
	t, ok := c.textOf(call.Args()[0])
	expr, isText := c.literalText(call.Args()[1])
	by, written := c.literalText(call.Args()[2])
	if !ok || t.fold || t.partial || !isText || !written {
		return nil, false
	}
	re, err := c.index.regex(expr)
	if err != nil {
		return nil, false
	}
	pieces, ok := replacementPieces(by, re.NumSubexp())
	if !ok {
		return nil, false
	}
	return func(in *input) string { return replaced(in.kept(t.slot), re, pieces) }, true
}

// replacementPieces takes a replacement apart as CEL does: \N is a group, \\ a backslash. It returns false where CEL fails.
func replacementPieces(by string, groups int) ([]replacementPiece, bool) {
	var out []replacementPiece
	var text []byte
	for i := 0; i < len(by); i++ {
		if by[i] != '\\' {
			text = append(text, by[i])
			continue
		}
		if i++; i == len(by) {
			return nil, false
		}
		switch d := int(by[i]) - '0'; {
		case by[i] == '\\':
			text = append(text, '\\')
		case d < 0 || d > 9 || d > groups:
			return nil, false
		default:
			out = append(out, replacementPiece{string(text), d})
			text = text[:0]
		}
	}
	return append(out, replacementPiece{string(text), -1}), utf8.ValidString(by)
}

// replaced is the text with each match of the expression replaced; the text itself when there is none.
func replaced(text string, re *regexp.Regexp, pieces []replacementPiece) string {
	matches := re.FindAllStringSubmatchIndex(text, -1)
	if len(matches) == 0 {
		return text
	}
	var b strings.Builder
	done := 0
	for _, m := range matches {
		b.WriteString(text[done:m[0]])
		for _, p := range pieces {
			b.WriteString(p.text)
			if p.group >= 0 && m[2*p.group] >= 0 {
				b.WriteString(text[m[2*p.group]:m[2*p.group+1]])
			}
		}
		done = m[1]
	}
	b.WriteString(text[done:])
	return b.String()
}
