package chhttp

import "bytes"

// tokenKind is what a token is, as far as this package needs to know.
type tokenKind uint8

const (
	wordToken  tokenKind = iota // a keyword, an unquoted name or a number
	otherToken                  // a string, a quoted name, an operator
	openToken                   // ( [ {
	closeToken                  // ) ] }
)

// token is a piece of a statement: its text is sql[start:end].
type token struct {
	kind       tokenKind
	start, end int
}

// lexer cuts a statement into tokens the way ClickHouse's Lexer does, leaving out space and comments. It never fails: an
// unfinished string or comment reaches to the end.
type lexer struct {
	sql []byte
	pos int
}

// next returns the next token; ok is false at the end.
func (l *lexer) next() (t token, ok bool) {
	l.skip()
	if l.pos >= len(l.sql) {
		return token{}, false
	}
	t.start = l.pos
	switch c := l.sql[l.pos]; {
	case c == '\'' || c == '"' || c == '`':
		t.kind = otherToken
		l.quoted(c)
	case c == '$' && l.heredoc():
		t.kind = otherToken
	case isWord(c):
		for l.pos < len(l.sql) && isWord(l.sql[l.pos]) {
			l.pos++
		}
	default:
		t.kind = otherToken
		switch c {
		case '(', '[', '{':
			t.kind = openToken
		case ')', ']', '}':
			t.kind = closeToken
		}
		l.pos++
	}
	t.end = l.pos
	return t, true
}

// skip passes over space and comments.
func (l *lexer) skip() {
	for l.pos < len(l.sql) {
		rest := l.sql[l.pos:]
		switch {
		case rest[0] <= ' ':
			l.pos++
		case bytes.HasPrefix(rest, []byte("--")), bytes.HasPrefix(rest, []byte("# ")), bytes.HasPrefix(rest, []byte("#!")):
			l.to(bytes.IndexByte(rest, '\n'), 1)
		case bytes.HasPrefix(rest, []byte("/*")):
			if i := bytes.Index(rest[2:], []byte("*/")); i >= 0 {
				l.to(i+2, 2)
			} else {
				l.pos = len(l.sql)
			}
		default:
			return
		}
	}
}

// to moves to just behind what was found at offset i, which is size bytes long; to the end when i is negative.
func (l *lexer) to(i, size int) {
	if i < 0 {
		l.pos = len(l.sql)
		return
	}
	l.pos += i + size
}

// quoted passes over a quoted string, in which a backslash or the quote itself escapes.
func (l *lexer) quoted(quote byte) {
	for l.pos++; l.pos < len(l.sql); l.pos++ {
		switch l.sql[l.pos] {
		case '\\':
			l.pos++
		case quote:
			if l.pos+1 < len(l.sql) && l.sql[l.pos+1] == quote {
				l.pos++
				continue
			}
			l.pos++
			return
		}
	}
	l.pos = len(l.sql)
}

// heredoc passes over $tag$...$tag$ and tells whether there was one.
func (l *lexer) heredoc() bool {
	rest := l.sql[l.pos:]
	n := bytes.IndexByte(rest[1:], '$')
	if n < 0 {
		return false
	}
	tag := rest[:n+2]
	for _, c := range tag[1 : n+1] {
		if !isWord(c) {
			return false
		}
	}
	end := bytes.Index(rest[len(tag):], tag)
	if end < 0 {
		return false
	}
	l.pos += end + 2*len(tag)
	return true
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
