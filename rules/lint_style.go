package rules

import (
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
)

func celBool() *cel.Type { return cel.BoolType }

// warnAt is warn at a place within one of the rule's expressions.
func (l *linter) warnAt(p Part, offset int, check, format string, args ...any) {
	line, column := l.rule.Line, 0
	if p.Name != "" {
		line, column = p.Place(offset)
	}
	l.add(LevelWarning, line, check, format, args...)
	l.out[len(l.out)-1].Column = column
}

// style looks at what people read.
func (l *linter) style() {
	r := l.rule
	switch first, _ := utf8.DecodeRuneInString(r.Title); {
	case strings.HasSuffix(r.Title, "."):
		l.warn("title-style", "the title ends in a full stop: it is a line in a list, not a sentence")
	case unicode.IsLower(first):
		l.warn("title-style", "the title begins with a small letter")
	case utf8.RuneCountInString(r.Title) > 80:
		l.warn("title-style", "the title has %d characters: notifications show 80", utf8.RuneCountInString(r.Title))
	}
	for _, t := range r.Tags {
		l.tag(t)
	}
}

var (
	owaspTag  = regexp.MustCompile(`^owasp\.api(\d+)`)
	attackTag = regexp.MustCompile(`^attack\.(t\d{4}(\.\d{3})?|[gs]\d{4}|[a-z]+(-[a-z]+)*)$`)
)

func (l *linter) tag(tag string) {
	low := strings.ToLower(tag)
	if now := revoked()[strings.TrimPrefix(low, "attack.")]; now != "" && strings.HasPrefix(low, "attack.") {
		l.warn("deprecated-tag", "%s was withdrawn by ATT&CK: write attack.%s", tag, now)
		return
	}
	if m := owaspTag.FindStringSubmatch(low); m != nil && (len(m[1]) > 2 || m[1] == "0" || len(m[1]) == 2 && m[1] != "10") {
		l.warn("unknown-tag", "%s: OWASP's API risks are owasp.api1 to owasp.api10", tag)
	}
	switch {
	case !strings.HasPrefix(low, "attack."):
	case strings.Contains(low, "_"):
		l.warn("deprecated-tag", "%s: tactics are written with '-': %s", tag, strings.ReplaceAll(low, "_", "-"))
	case !attackTag.MatchString(low):
		l.warn("unknown-tag", "%s is no technique such as attack.t1110.004 and no tactic such as attack.credential-access", tag)
	}
}

// revoked leads from techniques that ATT&CK withdrew to what took their place.
func revoked() map[string]string {
	return map[string]string{
		"t1100": "t1505.003", "t1086": "t1059.001", "t1064": "t1059", "t1188": "t1090.003", "t1506": "t1550.004", "t1522": "t1552.005",
		"t1527": "t1550.001", "t1081": "t1552.001", "t1502": "t1036", "t1192": "t1566.002", "t1193": "t1566.001", "t1043": "t1071",
		"t1065": "t1571", "t1094": "t1095", "t1172": "t1090.004", "t1503": "t1555.003", "t1500": "t1027.004", "t1536": "t1578.004",
	}
}

// cost looks at patterns that make an expression slow, and at expressions that are near the limit.
func (l *linter) cost() {
	if l.rule.Form != FormSequence {
		l.costOf(l.part("filter", l.rule.filter), l.rule.filter)
	} else {
		for i := range l.rule.Sequence.Steps {
			s := &l.rule.Sequence.Steps[i]
			l.costOf(l.part("sequence."+s.Name+".filter", s.filter), s.filter)
		}
	}
	for i := range l.rule.Aggregates {
		a := &l.rule.Aggregates[i]
		l.costOf(l.part("aggregates."+a.Name+".where", a.where), a.where)
		l.costOf(l.part("aggregates."+a.Name+".of", a.of), a.of)
	}
}

// nearLimit is the worst case from which on an expression is called expensive, of maxStaticCost.
const nearLimit = maxStaticCost / 2

func (l *linter) costOf(p Part, x *expression) {
	if x == nil {
		return
	}
	celast.PreOrderVisit(x.ast.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.CallKind || e.AsCall().FunctionName() != "matches" {
			return
		}
		args := e.AsCall().Args()
		lit := args[len(args)-1]
		if lit.Kind() != celast.LiteralKind {
			return
		}
		if s, ok := lit.AsLiteral().(types.String); ok {
			l.pattern(p, positionOf(x.text, x.ast, lit.ID()), string(s))
		}
	}))
	if checked, err := celast.ToProto(x.ast); err == nil {
		if est, err := l.rule.env.events.EstimateCost(cel.CheckedExprToAst(checked), sizes{l.rule.env.fields}); err == nil && est.Max > nearLimit && est.Max < math.MaxUint64/2 {
			l.warnAt(p, 0, "expensive", "%s: the worst case costs %d of %d units: look for a word before matching patterns, and loop over less", p.Name, est.Max, maxStaticCost)
		}
	}
}

var leadingAny = regexp.MustCompile(`^(?:\(\?[a-z]+\))?\^?\.[*+]`)

func (l *linter) pattern(p Part, at int, pattern string) {
	switch {
	case leadingAny.MatchString(pattern):
		l.warnAt(p, at, "leading-wildcard", "%s: the pattern %s begins with a wildcard: matches looks everywhere in the text by itself", p.Name, quoted(pattern))
	case wordless(pattern):
		l.warnAt(p, at, "no-literal", "%s: no text must occur for the pattern %s to match, so that it runs on every event: add a word that it needs", p.Name, quoted(pattern))
	}
}

// wordless tells whether none of the pattern's alternatives has a text that must occur. One such alternative beside others may be a
// narrow class ([\x00-\x08]), which costs little; a pattern that begins at the text's start ends soon, too.
func wordless(pattern string) bool {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || strings.HasPrefix(leadingFlags.ReplaceAllString(pattern, ""), "^") {
		return false
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpAlternate {
		parts = re.Sub
	}
	return !slices.ContainsFunc(parts, func(p *syntax.Regexp) bool { return !shapeOf(p).formula().nothing() })
}

var leadingFlags = regexp.MustCompile(`^\(\?[a-z]+\)`)

func quoted(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:59]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// broad looks for filters that let in nearly everything.
func (l *linter) broad() {
	e := l.rule.filter.ast.Expr()
	if e.Kind() != celast.CallKind {
		return
	}
	call := e.AsCall()
	switch call.FunctionName() {
	case "contains", "startsWith", "endsWith", "matches":
	default:
		return
	}
	lit := call.Args()[len(call.Args())-1]
	if lit.Kind() != celast.LiteralKind {
		return
	}
	if s, ok := lit.AsLiteral().(types.String); ok && utf8.RuneCountInString(string(s)) < 3 {
		l.warn("over-broad", "the filter asks for no more than %s(%q), which stands in many ordinary requests", call.FunctionName(), string(s))
	}
}

// same finds rules that detect the same under different names.
func same(rules []*Rule, warn func(r *Rule, check, format string, args ...any)) {
	seen := map[string]*Rule{}
	for _, r := range rules {
		c := *r
		c.ID, c.Suppress = "", 0
		k := c.meaning()
		if first := seen[k]; first != nil {
			warn(r, "duplicate-rule", "detects the same as rule %q (%s:%d)", first.ID, first.File, first.Line)
			continue
		}
		seen[k] = r
	}
}
