package rules

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// suffixes decides a regular expression that asks for one of some endings, such as `(?i)\.(?:css|js|png)$`, without running it
// for most texts.
type suffixes struct {
	re     *regexp.Regexp
	byLast [256][]string // the endings in lower case, by their last byte
	length int           // of the longest
}

// newSuffixes returns nil for an expression of another form.
func newSuffixes(expr string, re *regexp.Regexp) *suffixes {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil || tree.Op != syntax.OpConcat || tree.Sub[len(tree.Sub)-1].Op != syntax.OpEndText {
		return nil
	}
	rest := tree.Sub[:len(tree.Sub)-1]
	for _, sub := range rest {
		if !plain(sub) {
			return nil
		}
	}
	s := conjunction(rest)
	if !s.exact || len(literals(s.heads)) == 0 {
		return nil
	}
	out := &suffixes{re: re}
	for _, h := range s.heads {
		if !re.MatchString(h) { // it asks for capitals
			return nil
		}
		last := h[len(h)-1]
		out.byLast[last] = append(out.byLast[last], h)
		out.length = max(out.length, len(h))
	}
	return out
}

// plain tells whether what the part matches does not depend on what stands around it.
func plain(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return false
	}
	for _, sub := range re.Sub {
		if !plain(sub) {
			return false
		}
	}
	return true
}

// match is re.MatchString. The endings are all that the expression matches, in lower case: a text that ends in none of them
// whatever the case does not match, and one that ends in lower case as an ending does match. The rest is left to the expression.
func (s *suffixes) match(text string) bool {
	if text == "" {
		return false
	}
	last := text[len(text)-1]
	if last >= utf8.RuneSelf {
		return s.re.MatchString(text)
	}
	for _, h := range s.byLast[lower(last)] {
		if strings.HasSuffix(text, h) {
			return true
		}
	}
	tail := text[max(0, len(text)-s.length):]
	for i := range len(tail) {
		if tail[i] >= 'A' && tail[i] <= 'Z' || tail[i] >= utf8.RuneSelf {
			return s.re.MatchString(text)
		}
	}
	return false
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}
