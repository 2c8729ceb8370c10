package sigma

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
)

// compileRegex reads a regular expression of Sigma's (PCRE) as RE2, with the flags i, m and s. What RE2 lacks is refused: the
// meaning would change.
func compileRegex(at *node, expr, flags string) (*regexp.Regexp, error) {
	const limit = 2048
	if len(expr) > limit {
		return nil, refuse(at, "the regular expression has %d bytes, limit is %d", len(expr), limit)
	}
	text := rewritten(expr)
	if flags != "" {
		text = "(?" + flags + ")" + text
	}
	re, err := regexp.Compile(text)
	if err == nil {
		return re, nil
	}
	var s *syntax.Error
	if errors.As(err, &s) {
		return nil, refuse(at, "regular expression: %s: `%.60s`%s", s.Code, s.Expr, explainRegex(expr, s))
	}
	return nil, refuse(at, "regular expression: %s", err)
}

// rewritten replaces \Z, the end of the text or before a last line end, which RE2 has no escape for.
func rewritten(expr string) string {
	var b strings.Builder
	for i := 0; i < len(expr); i++ {
		b.WriteByte(expr[i])
		if expr[i] != '\\' || i+1 == len(expr) {
			continue
		}
		if i++; expr[i] == 'Z' {
			b.Reset()
			return rewritten(expr[:i-1]) + `\n?\z` + rewritten(expr[i+1:])
		}
		b.WriteByte(expr[i])
	}
	return b.String()
}

func explainRegex(expr string, e *syntax.Error) string {
	for _, look := range []string{"(?=", "(?!", "(?<=", "(?<!"} {
		if strings.Contains(expr, look) {
			return "; RE2 has no " + look + "…): write the condition with `and not` instead"
		}
	}
	if e.Code == syntax.ErrInvalidEscape {
		return "; RE2 does not know it (it has no back references)"
	}
	if strings.Contains(expr, "(?>") {
		return "; RE2 has no atomic groups"
	}
	return ""
}

// anchored tells whether the expression looks for the beginning of the text.
func anchored(re *regexp.Regexp) bool {
	s := re.String()
	return strings.Contains(s, "^") || strings.Contains(s, `\A`)
}

// required returns texts, in lower case, of which every match contains one; nil when there are none of three characters.
func required(re *regexp.Regexp) []string {
	t, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil {
		return nil
	}
	return literals(t)
}

func literals(t *syntax.Regexp) []string {
	switch t.Op {
	case syntax.OpLiteral:
		if s := string(t.Rune); len(s) >= 3 && isASCII(s) {
			return []string{lower(s)}
		}
	case syntax.OpCapture, syntax.OpPlus:
		return literals(t.Sub[0])
	case syntax.OpRepeat:
		if t.Min > 0 {
			return literals(t.Sub[0])
		}
	case syntax.OpConcat:
		var best []string
		for _, s := range t.Sub {
			if l := literals(s); shortest(l) > shortest(best) {
				best = l
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, s := range t.Sub {
			l := literals(s)
			if l == nil {
				return nil
			}
			all = append(all, l...)
		}
		return all
	}
	return nil
}

func shortest(l []string) int {
	n := 0
	for i, s := range l {
		if i == 0 || len(s) < n {
			n = len(s)
		}
	}
	return n
}
