package nesting

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml/lexer"
)

func TestTooDeep(t *testing.T) {
	cases := []struct {
		name, text string
		line       int // of the token; 0: none
	}{
		{"nothing", "", 0},
		{"flat", strings.Repeat("- a\n", 100), 0},
		{"side by side", strings.Repeat("- [a, {b: c}]\n", 100), 0},
		{"as deep as may be", strings.Repeat("[", 10) + strings.Repeat("]", 10), 0},
		{"brackets", "a:\n  " + strings.Repeat("[", 11), 2},
		{"braces", "a: " + strings.Repeat("{a: ", 11), 1},
		{"dashes", "\n" + strings.Repeat("- ", 11) + "a", 2},
		{"question marks", strings.Repeat("? ", 11) + "a", 1},
		{"dashes and brackets", strings.Repeat("- ", 6) + strings.Repeat("[", 5), 1},
		{"a new document", strings.Repeat("- ", 6) + "a\n---\n" + strings.Repeat("- ", 6) + "a", 0},
		{"ends without beginnings", strings.Repeat("]", 50) + strings.Repeat("[", 10), 0},
		{"in a text", "a: \"" + strings.Repeat("[", 50) + "\"", 0},
	}
	for _, c := range cases {
		line := 0
		if tok := TooDeep(lexer.Tokenize(c.text), 10); tok != nil {
			line = tok.Position.Line
		}
		if line != c.line {
			t.Errorf("%s: line %d, want %d", c.name, line, c.line)
		}
	}
}
