package celsql

import (
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// Bounds of a pattern that is pushed.
const (
	maxPattern = 4096   // bytes, written out
	maxSteps   = 2_000  // instructions
	maxRanges  = 10_000 // ranges of characters in all of them
)

// portable writes a pattern out so that RE2 in ClickHouse means by it what Go means. ClickHouse lets "." match the end of a line, and its
// Unicode may be of another year: so flags are written where they hold and classes as ranges. The text says why it cannot be done.
func portable(pattern string) (string, string) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return "", "this pattern is matched in Go"
	}
	if foldsForeign(re) {
		return "", "a pattern with letters outside ASCII in either case is matched in Go"
	}
	out := re.String()
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return "", "this pattern is matched in Go"
	}
	ranges := 0
	for _, i := range prog.Inst {
		ranges += len(i.Rune) / 2
	}
	if len(out) > maxPattern || len(prog.Inst) > maxSteps || ranges > maxRanges || strings.ContainsRune(out, 0) {
		return "", "a pattern of this size is matched in Go"
	}
	return out, ""
}

// foldsForeign tells whether a character outside ASCII counts whatever its case: which characters are one letter follows from the
// version of Unicode.
func foldsForeign(re *syntax.Regexp) bool {
	if re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase != 0 {
		for _, r := range re.Rune {
			if r >= utf8.RuneSelf {
				return true
			}
		}
	}
	for _, sub := range re.Sub {
		if foldsForeign(sub) {
			return true
		}
	}
	return false
}
