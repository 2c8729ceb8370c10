package rules

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
)

// MinGap is the least gap that parts two sessions.
const MinGap = time.Second

// session reads the gap and the greatest length of a session.
func (b *builder) session(w *windowYAML) {
	win := &b.rule.Window
	if !w.Gap.set() {
		b.fail("window.gap", b.raw.ID, "is missing: a session ends after a gap without events; write for example gap: 5m")
	}
	if !w.Size.set() {
		win.Size = DefaultLength
	}
	win.Gap = b.duration("window.gap", w.Gap, MinGap, MaxWindow)
	if win.Gap > win.Size && win.Size > 0 {
		b.fail("window.gap", w.Gap, "is longer than size, the session's greatest length (%s)", win.Size)
	}
}

func (b *builder) aggregates() {
	if len(b.raw.Aggregates) > 0 && b.raw.Window == nil {
		b.fail("aggregates", b.raw.Aggregates[0].Name, "aggregates need a window: {size: 60s, type: sliding}")
	}
	if n := len(b.raw.Aggregates); n > MaxAggregates {
		b.fail("aggregates", b.raw.Aggregates[MaxAggregates].Name, "has %d, limit is %d", n, MaxAggregates)
	}
	for _, a := range b.raw.Aggregates {
		if b.aggregateName(a.Name) {
			b.aggregate(a)
		}
	}
}

// aggregateName checks the name of one aggregate.
func (b *builder) aggregateName(name scalar) bool {
	switch {
	case !nameRE.MatchString(name.Value):
		b.fail("aggregates", name, "want a name of lower-case letters, digits and '_'")
	case slices.Contains(celReserved(), name.Value):
		b.fail("aggregates", name, "%s is a word of CEL: choose another name, such as %[1]s_all", name.Value)
	case slices.ContainsFunc(b.rule.Aggregates, func(a Aggregate) bool { return a.Name == name.Value }):
		b.fail("aggregates", name, "%s is there twice", name.Value)
	default:
		return true
	}
	return false
}

// A call is an aggregate in either form, taken apart.
type call struct {
	key   string
	fn    string
	whole scalar // where faults of the whole are shown
	of    scalar // the function's argument
	at    int    // where it begins in whole; 0 in the mapping form
	short bool   // of is a part of whole
	where scalar
	q     scalar
}

// signature is what a function takes.
type signature struct {
	value   bool // an argument in brackets that is not the where
	example string
}

func signatures() map[string]signature {
	return map[string]signature{
		Count: {false, "count() or count(response.code == 404)"}, Rate: {false, "rate() or rate(response.code == 404)"},
		Sum: {true, "sum(request.size)"}, Avg: {true, "avg(response.size)"}, Min: {true, "min(response.size)"}, Max: {true, "max(response.size)"},
		Distinct: {true, "distinct(principal.id)"}, Top: {true, "top(request.path)"},
		Ratio: {true, "ratio(response.code >= 500)"}, Quantile: {true, "quantile(request.duration, 0.95)"},
	}
}

// aggregate reads one aggregate in either form.
func (b *builder) aggregate(raw aggregateYAML) {
	c, ok := b.takeApart(raw)
	if !ok {
		return
	}
	form, ok := signatures()[c.fn]
	if !ok {
		b.fail(c.key, c.whole, "unknown function %.30q: want count, sum, avg, min, max, distinct, ratio, quantile, rate or top", c.fn)
		return
	}
	a := Aggregate{Name: raw.Name.Value, Func: c.fn}
	if c.fn != Quantile && c.q.set() {
		b.fail(c.key, c.q, "only quantile has a q")
	}
	switch empty := strings.TrimSpace(c.of.Value) == ""; {
	case !form.value && !c.short && c.of.set():
		b.fail(c.key, c.of, "%s takes no of: it counts events; use where or distinct", c.fn)
	case !form.value && c.short && !empty:
		b.where(c, &a, c.of, c.at)
	case form.value && empty:
		b.fail(c.key, c.whole, "%s needs a value: %s", c.fn, form.example)
		return
	case form.value:
		if c.fn == Quantile && !b.quantile(&c, &a) {
			return
		}
		a.of, a.Of = b.expression(c.key, c.of, c.at, c.inside(), b.env.events), strings.TrimSpace(c.of.Value)
		b.operand(c.key, c.whole, &a)
	}
	if c.where.set() {
		b.where(c, &a, c.where, 0)
	}
	a.integer = a.whole()
	b.rule.Aggregates = append(b.rule.Aggregates, a)
}

// takeApart reads "name(argument)" or the mapping.
func (b *builder) takeApart(raw aggregateYAML) (call, bool) {
	c := call{key: "aggregates." + raw.Name.Value, fn: raw.Func.Value, whole: raw.Func, of: raw.Of, where: raw.Where, q: raw.Q}
	if !raw.Text.set() {
		return c, true
	}
	c.whole, c.short = raw.Text, true
	open := strings.IndexByte(raw.Text.Value, '(')
	text := strings.TrimRight(raw.Text.Value, " \n")
	if open < 0 || !strings.HasSuffix(text, ")") {
		hint := ""
		if open >= 0 {
			hint = `; within braces, what has a comma needs quotes: q: "quantile(request.duration, 0.95)"`
		}
		b.fail(c.key, c.whole, "want a function such as count(), sum(number), distinct(value) or ratio(condition)%s", hint)
		return c, false
	}
	c.fn, c.at = strings.TrimSpace(text[:open]), open+1
	c.of = scalar{Value: text[open+1 : len(text)-1], node: raw.Text.node}
	return c, true
}

// inside is the scalar that the argument is a part of, if it is one.
func (c *call) inside() scalar {
	if c.short {
		return c.whole
	}
	return scalar{}
}

// quantile reads which one: the number after the last comma, or the key q.
func (b *builder) quantile(c *call, a *Aggregate) bool {
	text, at := c.q.Value, c.q
	if c.short {
		comma := strings.LastIndexByte(c.of.Value, ',')
		if comma < 0 {
			comma = len(c.of.Value)
		}
		text, at = strings.TrimPrefix(c.of.Value[comma:], ","), c.whole
		c.of.Value = c.of.Value[:comma]
	} else if !c.q.set() {
		at = c.whole
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(q >= 0 && q <= 1) {
		b.fail(c.key, at, "quantile needs which one, from 0 to 1: quantile(request.duration, 0.95) or {func: quantile, of: request.duration, q: 0.95}")
		return false
	}
	a.Q = q
	return true
}

// where compiles the aggregate's own condition on events.
func (b *builder) where(c call, a *Aggregate, where scalar, at int) {
	inside := scalar{}
	if at > 0 {
		inside = c.inside()
	}
	a.where, a.Where = b.expression(c.key, where, at, inside, b.env.events), strings.TrimSpace(where.Value)
	if a.where != nil && !a.where.typ.IsExactType(cel.BoolType) {
		b.fail(c.key, where, "where must be true or false, this is %s", a.where.typ)
	}
}

// operand checks the type of what the function is applied to.
func (b *builder) operand(key string, at scalar, a *Aggregate) {
	if a.of == nil {
		return
	}
	want, text := []*cel.Type{cel.StringType, cel.IntType, cel.BoolType, cel.DoubleType}, "a string, a number or a bool"
	switch {
	case a.Func == Ratio:
		want, text = []*cel.Type{cel.BoolType}, "what is true or false"
	case a.numeric():
		want, text = []*cel.Type{cel.IntType, cel.DoubleType, cel.DurationType}, "an int, a double or a duration"
	}
	for _, ok := range want {
		if a.of.typ.IsExactType(ok) {
			return
		}
	}
	b.fail(key, at, "%s needs %s, this is %s", a.Func, text, a.of.typ)
}

// whole tells whether the aggregate is an int.
func (a *Aggregate) whole() bool {
	switch a.Func {
	case Count, Distinct:
		return true
	case Sum, Min, Max:
		return a.of == nil || a.of.typ.IsExactType(cel.IntType)
	}
	return false
}

// expectedValue reads one value that a test expects: a number, or of a top's value a text.
func (b *builder) expectedValue(key, name string, v scalar, e *Expectation) {
	if b.isText(name) {
		if e.Texts == nil {
			e.Texts = map[string]string{}
		}
		e.Texts[name] = v.Value
		return
	}
	names := b.rule.ValueNames()
	for i := range b.rule.Aggregates {
		names = append(names, b.rule.Aggregates[i].Names()...)
	}
	if !slices.Contains(names, name) {
		b.fail(key, v, "expect: values has %.60q; the rule has %s", name, cmp.Or(strings.Join(names, ", "), "no aggregates"))
		return
	}
	n, err := strconv.ParseFloat(v.Value, 64)
	if err != nil {
		b.fail(key, v, "expect: %s is a number", name)
		return
	}
	if e.Values == nil {
		e.Values = map[string]float64{}
	}
	e.Values[name] = n
}

// isText tells whether the name is a top's value.
func (b *builder) isText(name string) bool {
	return slices.ContainsFunc(b.rule.Aggregates, func(a Aggregate) bool {
		part, ok := a.named(name)
		return ok && part == TopValue
	})
}
