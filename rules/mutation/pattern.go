package mutation

import (
	"regexp"
	"strings"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// alternatives splits a regular expression at its outermost bars; flags are what stands before the first, such as (?i).
func alternatives(pattern string) (flags string, parts []string) {
	flags = regexp.MustCompile(`^\(\?[a-zA-Z]+\)`).FindString(pattern)
	rest := pattern[len(flags):]
	depth, class, from := 0, false, 0
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case strings.HasPrefix(rest[i:], `\Q`):
			if end := strings.Index(rest[i:], `\E`); end >= 0 {
				i += end + 1
			} else {
				i = len(rest)
			}
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
			if i+1 < len(rest) && rest[i+1] == '^' {
				i++
			}
			if i+1 < len(rest) && rest[i+1] == ']' {
				i++
			}
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth == 0:
			parts = append(parts, rest[from:i])
			from = i + 1
		}
	}
	return flags, append(parts, rest[from:])
}

// withoutAlternatives lists the patterns that lack one of the outermost alternatives; none when there is but one.
func withoutAlternatives(pattern string) []string {
	flags, parts := alternatives(pattern)
	if len(parts) < 2 {
		return nil
	}
	var out []string
	for i := range parts {
		rest := append(append([]string{}, parts[:i]...), parts[i+1:]...)
		out = append(out, flags+strings.Join(rest, "|"))
	}
	return out
}

// nameAlternative makes the report show the alternative that is missing, not two long patterns.
func (ed *editor) nameAlternative(m *Mutant, e celast.Expr, changed ref.Val) {
	was, ok := stringOf(e)
	now, isText := changed.(types.String)
	if m.Kind != Pattern || !ok || !isText {
		return
	}
	flags, parts := alternatives(was)
	for i, p := range parts {
		rest := append(append([]string{}, parts[:i]...), parts[i+1:]...)
		if flags+strings.Join(rest, "|") == string(now) {
			m.Change = "without alternative " + short(p)
			return
		}
	}
}
