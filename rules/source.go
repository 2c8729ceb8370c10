package rules

import (
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// source is the text of a rule file, to find places in it.
type source struct {
	file   string
	text   string
	starts []int // of the lines, so that a file of 10,000 rules is not read through again for each of them
}

func newSource(file, text string) source {
	starts := make([]int, 1, strings.Count(text, "\n")+1)
	for i := range len(text) {
		if text[i] == '\n' {
			starts = append(starts, i+1)
		}
	}
	return source{file, text, starts}
}

// line returns line n, from 1, without its end.
func (s source) line(n int) string {
	if n < 1 || n > len(s.starts) {
		return ""
	}
	l, _, _ := strings.Cut(s.text[s.starts[n-1]:], "\n")
	return strings.TrimSuffix(l, "\r")
}

// offset is the byte offset of a line and column, both from 1; the column counts characters.
func (s source) offset(line, column int) int {
	if line > len(s.starts) {
		return len(s.text)
	}
	at := 0
	if line > 1 {
		at = s.starts[line-1]
	}
	for i := 1; i < column && at < len(s.text) && s.text[at] != '\n'; i++ {
		_, n := utf8.DecodeRuneInString(s.text[at:])
		at += n
	}
	return at
}

// place is the line and column, from 1, of a byte offset.
func (s source) place(offset int) (line, column int) {
	offset = min(max(offset, 0), len(s.text))
	line = max(sort.SearchInts(s.starts, offset+1), 1)
	start := 0
	if len(s.starts) > 0 {
		start = s.starts[line-1]
	}
	return line, utf8.RuneCountInString(s.text[start:offset]) + 1
}

// scalar is a YAML scalar with its place in the file, so that a fault inside its text can be shown where it was written.
type scalar struct {
	Value string
	node  ast.Node
}

// set tells whether the key was written at all.
func (s scalar) set() bool { return s.node != nil }

// UnmarshalYAML implements goccy/go-yaml's NodeUnmarshaler.
func (s *scalar) UnmarshalYAML(n ast.Node) error {
	s.node = n
	switch v := n.(type) {
	case *ast.LiteralNode:
		s.Value = v.Value.Value
	case *ast.StringNode:
		s.Value = v.Value
	case *ast.NullNode:
	case ast.ScalarNode:
		s.Value = n.GetToken().Value
	default:
		msg := "want one value, not a list or a mapping"
		if isMapping(n) {
			msg += "; put a text with a colon, such as an IPv6 address, into quotes"
		}
		return &placed{n, msg}
	}
	return nil
}

// placed is an error that knows its node.
type placed struct {
	node ast.Node
	msg  string
}

func (e *placed) Error() string { return e.msg }

// locate returns the place in the file of the byte offset within the scalar's value. It walks the written text beside the
// value, past what YAML takes away: indentation, folded line ends, quotes and escapes.
func (s source) locate(v scalar, at int) (line, column int) {
	if v.node == nil {
		return 0, 0
	}
	tok := v.node.GetToken()
	if tok == nil || tok.Position == nil {
		return 0, 0
	}
	raw := s.offset(tok.Position.Line, tok.Position.Column)
	if _, ok := v.node.(*ast.LiteralNode); ok {
		raw = s.offset(tok.Position.Line+1, 1)
	}
	quoted := tok.Type == token.DoubleQuoteType || tok.Type == token.SingleQuoteType
	if quoted {
		raw++
	}
	return s.place(s.align(v.Value, at, raw, tok.Type))
}

// align returns the offset in the file of value[at], where the written form of value begins at raw.
func (s source) align(value string, at, raw int, typ token.Type) int {
	for i, want := range value {
		raw = s.skip(raw, want, typ)
		if i >= at || raw >= len(s.text) {
			break
		}
		raw += s.width(raw, want, typ)
	}
	return raw
}

// skip moves over written white space that is not part of the value.
func (s source) skip(raw int, want rune, typ token.Type) int {
	for raw < len(s.text) && isSpace(s.text[raw]) && !isSpaceRune(want) {
		raw++
	}
	if typ == token.DoubleQuoteType && strings.HasPrefix(s.text[raw:], "\\\n") {
		for raw++; raw < len(s.text) && isSpace(s.text[raw]); raw++ {
		}
	}
	return raw
}

// width is how many written bytes make up the character.
func (s source) width(raw int, want rune, typ token.Type) int {
	got, n := utf8.DecodeRuneInString(s.text[raw:])
	switch {
	case typ == token.SingleQuoteType && strings.HasPrefix(s.text[raw:], "''"):
		return 2
	case typ == token.DoubleQuoteType && got == '\\' && raw+1 < len(s.text):
		switch s.text[raw+1] {
		case 'x':
			return 4
		case 'u':
			return 6
		case 'U':
			return 10
		}
		return 2
	case got != want && isSpaceRune(want) && isSpaceRune(got):
		end := raw
		for end < len(s.text) && isSpace(s.text[end]) {
			end++
		}
		return end - raw
	}
	return n
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\r' }

func isSpaceRune(r rune) bool { return r < utf8.RuneSelf && isSpace(byte(r)) }
