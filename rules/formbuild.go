package rules

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
)

// Defaults of the forms.
const (
	defaultLearn  = 7 * 24 * time.Hour
	defaultForget = 90 * 24 * time.Hour
	defaultLeast  = 50
	defaultRare   = 24 * time.Hour
)

// form reads what kind of rule it is, and its filter.
func (b *builder) form() {
	raw := b.raw
	var forms []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"window", raw.Window != nil}, {FormSequence, raw.Sequence != nil}, {FormAbsence, raw.Absence != nil},
		{FormFirstSeen, raw.FirstSeen != nil}, {FormRare, raw.Rare != nil}} {
		if f.set {
			forms = append(forms, f.name)
		}
	}
	if len(forms) > 1 {
		b.fail(forms[1], raw.ID, "a rule has one form, this one has %s", strings.Join(forms, " and "))
		return
	}
	if raw.Sequence != nil {
		b.sequence()
		return
	}
	b.eventFilter()
	switch {
	case raw.Absence != nil:
		b.absence()
	case raw.FirstSeen != nil:
		b.firstSeen()
	case raw.Rare != nil:
		b.rare()
	}
}

func (b *builder) absence() {
	raw := b.raw.Absence
	a := &Absence{Span: b.span("absence.span", raw.Span), After: 1}
	if raw.After.set() {
		a.After = b.number("absence.after", raw.After, 1, MaxAfter)
	}
	b.rule.Form, b.rule.Absence = FormAbsence, a
}

func (b *builder) firstSeen() {
	raw := b.raw.FirstSeen
	f := &FirstSeen{Value: strings.TrimSpace(raw.Value.Value), Learn: defaultLearn, Forget: defaultForget}
	if raw.Learn.set() {
		f.Learn = b.duration("first_seen.learn", raw.Learn, 0, MaxRemember)
	}
	if raw.Forget.set() {
		f.Forget = b.duration("first_seen.forget", raw.Forget, time.Second, MaxRemember)
	}
	if f.Forget <= f.Learn && f.Learn > 0 {
		b.fail("first_seen.forget", raw.Forget, "must be longer than learn")
	}
	f.value = b.told("first_seen.value", raw.Value)
	b.rule.Form, b.rule.FirstSeen, b.rule.formArgs = FormFirstSeen, f, 1
}

func (b *builder) rare() {
	raw := b.raw.Rare
	f := &Rare{Value: strings.TrimSpace(raw.Value.Value), Share: 0.01, Least: defaultLeast, Span: defaultRare}
	if raw.Span.set() {
		f.Span = b.duration("rare.span", raw.Span, time.Minute, MaxSpan)
	}
	if raw.Least.set() {
		f.Least = b.number("rare.least", raw.Least, 2, MaxAfter)
	}
	if raw.Share.set() {
		var err error
		if f.Share, err = strconv.ParseFloat(raw.Share.Value, 64); err != nil || !(f.Share > 0 && f.Share < 1) {
			b.fail("rare.share", raw.Share, "want a number between 0 and 1, such as 0.01 for one in a hundred")
		}
	}
	if len(b.rule.Seen) > 0 {
		b.fail("filter", b.raw.Filter, "rare and seenBefore() remember by different keys: use one of them")
	}
	if len(b.raw.GroupBy) == 0 {
		b.fail("rare", raw.Value, "needs group_by: the entity whose peers are looked at")
	}
	f.value = b.told("rare.value", raw.Value)
	for i, p := range raw.Peers {
		field := b.env.fields[p.Value]
		switch {
		case field == nil:
			b.fail("rare.peers", p, "%s", b.env.unknown(p.Value, b.groupable()))
		case !field.groupable():
			b.fail("rare.peers", p, "%s has no single value; name a text or a number", p.Value)
		case i >= MaxGroupBy:
			b.fail("rare.peers", p, "limit is %d fields", MaxGroupBy)
		default:
			f.Peers, f.peers = append(f.Peers, p.Value), append(f.peers, field)
		}
	}
	b.rule.Form, b.rule.Rare, b.rule.formArgs = FormRare, f, 1+len(f.Peers)
}

// told compiles an expression whose values are told apart.
func (b *builder) told(key string, v scalar) *expression {
	if !v.set() {
		b.fail(key, b.raw.ID, "is missing: write a field or an expression, such as source.country")
		return nil
	}
	x := b.expression(key, v, 0, scalar{}, b.env.events)
	if x == nil {
		return nil
	}
	for _, ok := range []*cel.Type{cel.StringType, cel.IntType, cel.BoolType} {
		if x.typ.IsExactType(ok) {
			return x
		}
	}
	b.fail(key, v, "must be a string, an int or a bool, this is %s", x.typ)
	return nil
}
