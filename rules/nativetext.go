package rules

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// textRef is a text of the event, perhaps in lower case.
type textRef struct {
	key     textKey
	slot    int
	fold    bool // lowerAscii() of it
	partial bool // CEL fails when it is not there: no native form is exact
}

// textOf recognises request.path, request.headers["x"], decode() and lowerAscii() of them.
func (c *compiler) textOf(e celast.Expr) (textRef, bool) {
	t, ok := c.textRef(e)
	if !ok || c.aggregates != nil {
		return textRef{}, false
	}
	t.slot, ok = c.index.slot(t.key)
	return t, ok
}

func (c *compiler) textRef(e celast.Expr) (textRef, bool) {
	switch e.Kind() {
	case celast.IdentKind:
		if b, ok := c.bound[e.AsIdent()]; ok {
			return b.text, b.isText
		}
		f := c.index.fields[e.AsIdent()]
		return textRef{key: textKey{field: e.AsIdent()}}, f != nil && (f.text != nil || f.addr != nil)
	case celast.CallKind:
		return c.textCall(e.AsCall())
	}
	return textRef{}, false
}

func (c *compiler) textCall(call celast.CallExpr) (textRef, bool) {
	switch fn := call.FunctionName(); {
	case fn == operators.Index:
		f := c.field(call.Args()[0])
		entry, ok := c.literalText(call.Args()[1])
		if f == nil || f.tab == nil || !ok || entry == "" {
			return textRef{}, false
		}
		return textRef{key: textKey{field: f.name, entry: entry}, partial: true}, true
	case fn == "decode" && len(call.Args()) == 1:
		t, ok := c.textRef(call.Args()[0])
		if t.fold || t.key.decoded {
			return textRef{}, false
		}
		t.key.decoded = true
		return t, ok
	case fn == "lowerAscii" && call.IsMemberFunction():
		t, ok := c.textRef(call.Target())
		t.fold = true
		return t, ok
	}
	return textRef{}, false
}

// field returns the event field that an expression names, nil for others. CEL's checker has made one name of a dotted one.
func (c *compiler) field(e celast.Expr) *field {
	name, ok := fieldName(e)
	if _, hidden := c.bound[name]; !ok || hidden || c.aggregates != nil {
		return nil
	}
	return c.index.fields[name]
}

func (c *compiler) literalText(e celast.Expr) (string, bool) {
	s, ok := c.literal(e).(types.String)
	return string(s), ok
}

// literal returns the value of a literal or of a variable that stands for one, nil for others.
func (c *compiler) literal(e celast.Expr) ref.Val {
	switch e.Kind() {
	case celast.LiteralKind:
		return e.AsLiteral()
	case celast.IdentKind:
		return c.bound[e.AsIdent()].literal
	}
	return nil
}

// size recognises size(text) and text.size(), which count characters.
func (c *compiler) size(call celast.CallExpr) (func(*input) int64, bool) {
	arg := call.Target()
	if !call.IsMemberFunction() {
		if len(call.Args()) != 1 {
			return nil, false
		}
		arg = call.Args()[0]
	}
	if call.FunctionName() != "size" {
		return nil, false
	}
	t, ok := c.textOf(arg)
	if !ok || t.partial {
		return nil, false
	}
	return func(in *input) int64 { return int64(utf8.RuneCountInString(in.slot(t.slot))) }, true
}

func (c *compiler) equal(a, b celast.Expr) test {
	if _, ok := c.textOf(a); !ok {
		a, b = b, a
	}
	if t, ok := c.textOf(a); ok {
		if s, ok := c.literalText(b); ok {
			return t.test(costPlain, equals(t, s))
		}
		if u, ok := c.textOf(b); ok && !t.fold && !u.fold && !t.partial && !u.partial {
			return t.test(costPlain, func(in *input) bool { return in.slot(t.slot) == in.slot(u.slot) })
		}
		return test{}
	}
	return c.order(operators.Equals, a, b)
}

// test makes a test on the text.
func (t textRef) test(cost int, fn func(*input) bool) test {
	return test{fn: fn, exact: !t.partial, cost: cost}
}

func equals(t textRef, s string) func(*input) bool {
	if t.fold {
		return func(in *input) bool { v := in.slot(t.slot); return len(v) == len(s) && hasPrefixFold(v, s) }
	}
	return func(in *input) bool { return in.slot(t.slot) == s }
}

// hasPrefixFold tells whether v in lower case begins with s.
func hasPrefixFold(v, s string) bool {
	if len(v) < len(s) {
		return false
	}
	for i := range len(s) {
		b := v[i]
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != s[i] {
			return false
		}
	}
	return true
}

func (c *compiler) textual(fn string, a, b celast.Expr) test {
	t, ok := c.textOf(a)
	s, isText := c.literalText(b)
	if !ok || !isText {
		return test{}
	}
	switch fn {
	case "startsWith":
		if t.fold {
			return t.test(costPlain, func(in *input) bool { return hasPrefixFold(in.slot(t.slot), s) })
		}
		return t.test(costPlain, func(in *input) bool { return strings.HasPrefix(in.slot(t.slot), s) })
	case "endsWith":
		return t.test(costPlain, endsWith(t, s))
	case "contains":
		return c.contains(t, s)
	}
	return c.matches(t, s)
}

func endsWith(t textRef, s string) func(*input) bool {
	if !t.fold {
		return func(in *input) bool { return strings.HasSuffix(in.slot(t.slot), s) }
	}
	return func(in *input) bool {
		v := in.slot(t.slot)
		return len(v) >= len(s) && hasPrefixFold(v[len(v)-len(s):], s)
	}
}

func (c *compiler) contains(t textRef, s string) test {
	if !isASCII(s) || s == "" {
		if t.fold {
			return test{}
		}
		return t.test(costScan, func(in *input) bool { return strings.Contains(in.slot(t.slot), s) })
	}
	out := c.index.pattern(t.slot, patternKey{"contains", s, t.fold}, func() *pattern {
		p := &pattern{}
		p.require(c.index, t.slot, []string{s})
		if !t.fold {
			p.run = func(text string) bool { return strings.Contains(text, s) }
		}
		return p
	})
	out.exact = !t.fold && !t.partial
	return out
}

// matches looks for what the regular expression cannot do without, and only then runs it.
func (c *compiler) matches(t textRef, expr string) test {
	re, err := regexp.Compile(expr)
	if err != nil {
		return test{}
	}
	out := c.index.pattern(t.slot, patternKey{"matches", expr, t.fold}, func() *pattern { return c.regexPattern(t, expr, re) })
	if t.fold && out.need == nil {
		return test{}
	}
	out.exact = !t.fold && !t.partial
	return out
}

func (c *compiler) regexPattern(t textRef, expr string, re *regexp.Regexp) *pattern {
	if s := newSuffixes(expr, re); s != nil && !t.fold { // faster than to look for the endings everywhere
		return &pattern{run: s.match}
	}
	p := c.needs(t.slot, expr)
	if !t.fold {
		p.run, p.slow = re.MatchString, len(p.sets) == 0
	}
	return p
}

// needs is the pattern's demand for the literals that a match of the expression contains.
func (c *compiler) needs(slot int, expr string) *pattern {
	p := &pattern{}
	for _, literals := range required(expr) {
		p.require(c.index, slot, literals)
	}
	if f := requirement(expr); len(p.sets) > 0 && f.nested() {
		p.formula = c.formula(slot, f)
	}
	return p
}

// require makes the pattern need one of the literals.
func (p *pattern) require(x *index, slot int, literals []string) {
	literals = slices.Clone(literals)
	for i, l := range literals {
		literals[i] = folded(l)
	}
	if q, ok := newQuick(literals); ok {
		p.small = append(p.small, q)
	}
	p.sets = append(p.sets, x.literals(slot, literals))
	p.special = p.special || !slices.ContainsFunc(literals, plainText)
}

// formula is the test for a formula of literals.
func (c *compiler) formula(slot int, f formula) func(hits []uint64) bool {
	if len(f.literals) > 0 {
		return c.index.literals(slot, f.literals).hit
	}
	parts := make([]func([]uint64) bool, len(f.parts))
	for i, p := range f.parts {
		parts[i] = c.formula(slot, p)
	}
	if f.all {
		return func(hits []uint64) bool {
			for _, p := range parts {
				if !p(hits) {
					return false
				}
			}
			return true
		}
	}
	return func(hits []uint64) bool {
		for _, p := range parts {
			if p(hits) {
				return true
			}
		}
		return false
	}
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
