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
	source  int
	fold    bool // lowerAscii() of it
	partial bool // CEL fails when it is not there
}

// read returns the text.
func (t textRef) read(in *input) string {
	if t.fold {
		return in.lowered(t.slot)
	}
	return in.slot(t.slot)
}

// there tells whether a text is there that need not be.
func (t textRef) there(in *input) bool { return in.there(t.source) }

// textOf recognises request.path, request.headers["x"], decode() and lowerAscii() of them.
func (c *compiler) textOf(e celast.Expr) (textRef, bool) {
	t, ok := c.textRef(e)
	if !ok || c.aggregates != nil {
		return textRef{}, false
	}
	if t.slot, ok = c.index.slot(t.key); ok {
		t.source = c.index.texts[t.slot].source
	}
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
	case fn == "orValue" && call.IsMemberFunction() && len(call.Args()) == 1:
		return c.optional(call)
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

// optional recognises request.headers[?"x"].orValue("").
func (c *compiler) optional(call celast.CallExpr) (textRef, bool) {
	empty, ok := c.literalText(call.Args()[0])
	if !ok || empty != "" || call.Target().Kind() != celast.CallKind {
		return textRef{}, false
	}
	entry := call.Target().AsCall()
	if entry.FunctionName() != operators.OptIndex || len(entry.Args()) != 2 {
		return textRef{}, false
	}
	f := c.field(entry.Args()[0])
	name, ok := c.literalText(entry.Args()[1])
	if f == nil || f.tab == nil || !ok || name == "" {
		return textRef{}, false
	}
	return textRef{key: textKey{field: f.name, entry: name}}, true
}

func (c *compiler) equal(a, b celast.Expr) test {
	if _, ok := c.textOf(a); !ok {
		a, b = b, a
	}
	t, ok := c.textOf(a)
	if !ok {
		return c.order(operators.Equals, a, b)
	}
	if s, ok := c.literalText(b); ok {
		return t.equals(s)
	}
	u, ok := c.textOf(b)
	if !ok || t.partial || u.partial {
		return test{}
	}
	return sure(costPlain, func(in *input) bool { return t.read(in) == u.read(in) })
}

// test makes a test on the text; it is an error where the text is not there.
func (t textRef) test(cost int, fn func(*input) bool) test {
	if !t.partial {
		return sure(cost, fn)
	}
	return test{
		fn:    func(in *input) bool { return t.there(in) && fn(in) },
		no:    func(in *input) bool { return t.there(in) && !fn(in) },
		exact: true, cost: cost,
		must:    one(key{kind: keyEntry, field: t.key.field, text: t.key.entry}, 0.3),
		mustNot: one(key{kind: keyEntry, field: t.key.field, text: t.key.entry}, 0.3),
	}
}

// asking adds a demand to a test.
func (t test) asking(must []demand) test {
	t.must = allOf(t.must, must)
	return t
}

func (t textRef) equals(s string) test {
	out := t.test(costPlain, func(in *input) bool { return t.read(in) == s })
	if t.fold && isASCII(s) {
		out = t.test(costPlain, func(in *input) bool { v := in.slot(t.slot); return len(v) == len(s) && hasPrefixFold(v, s) })
	}
	out = out.asking(t.demands(keyEqual, s))
	if s == "" {
		out.mustNot = allOf(out.mustNot, t.filled())
	}
	return out
}

// hasPrefixFold tells whether v in lower case begins with s.
func hasPrefixFold(v, s string) bool {
	if len(v) < len(s) {
		return false
	}
	for i := range len(s) {
		if lower(v[i]) != s[i] {
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
		return t.startsWith(s).asking(t.demands(keyPrefix, s))
	case "endsWith":
		return t.endsWith(s).asking(t.demands(keySuffix, s))
	case "contains":
		return c.contains(t, s)
	}
	return c.matches(t, s)
}

func (t textRef) startsWith(s string) test {
	if t.fold && isASCII(s) {
		return t.test(costPlain, func(in *input) bool { return hasPrefixFold(in.slot(t.slot), s) })
	}
	return t.test(costPlain, func(in *input) bool { return strings.HasPrefix(t.read(in), s) })
}

func (t textRef) endsWith(s string) test {
	if !t.fold || !isASCII(s) {
		return t.test(costPlain, func(in *input) bool { return strings.HasSuffix(t.read(in), s) })
	}
	return t.test(costPlain, func(in *input) bool {
		v := in.slot(t.slot)
		return len(v) >= len(s) && hasPrefixFold(v[len(v)-len(s):], s)
	})
}

func (c *compiler) contains(t textRef, s string) test {
	if !isASCII(s) || s == "" {
		return t.test(costScan, func(in *input) bool { return strings.Contains(t.read(in), s) })
	}
	return t.holds(c.index.pattern(t.slot, patternKey{"contains", s, t.fold}, func() *pattern {
		p := &pattern{fold: t.fold, run: func(text string) bool { return strings.Contains(text, s) }}
		p.require(c.index, t.slot, []string{s})
		return p
	}))
}

// holds is the test of a pattern on the text.
func (t textRef) holds(p *pattern, out test) test {
	fn := out.fn
	exact := t.test(out.cost, fn)
	exact.must = allOf(exact.must, out.must)
	if !t.partial && p.free < 0 {
		exact.any = p.oneOf()
	}
	return exact
}

// matches looks for what the regular expression cannot do without, and only then runs it.
func (c *compiler) matches(t textRef, expr string) test {
	re, err := c.index.regex(expr)
	if err != nil {
		return test{}
	}
	return t.holds(c.index.pattern(t.slot, patternKey{"matches", expr, t.fold}, func() *pattern { return c.regexPattern(t, expr, re) }))
}

func (c *compiler) regexPattern(t textRef, expr string, re *regexp.Regexp) *pattern {
	if s := newSuffixes(expr, re); s != nil && !t.fold { // faster than to look for the endings everywhere
		return &pattern{run: s.match}
	}
	p := c.needs(t.slot, expr)
	p.machine, p.fold, p.slow = newMachine(expr, re), t.fold, len(p.sets) == 0
	return p
}

// needs is the pattern's demand for the literals that a match of the expression contains.
func (c *compiler) needs(slot int, expr string) *pattern {
	p := &pattern{}
	for _, literals := range required(expr, habitsOf(c.index.texts[slot].key)) {
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
	if len(p.sets) == 0 {
		p.telling = literals
	}
	p.sets = append(p.sets, x.literalIDs(slot, literals))
	p.special = p.special || !slices.ContainsFunc(literals, plainText)
}

// formula is the test for a formula of literals.
func (c *compiler) formula(slot int, f formula) func(hits []uint64) bool {
	if len(f.literals) > 0 {
		return c.index.literalIDs(slot, f.literals).meets
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
