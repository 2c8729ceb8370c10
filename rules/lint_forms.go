package rules

import (
	"slices"
	"strings"
	"time"
)

// longSpan is from which span on a sequence is said to hold much memory.
const longSpan = 24 * time.Hour

// forms looks at what a rule of another form can never find, and at what it keeps for nothing.
func (l *linter) forms() {
	r := l.rule
	switch r.Form {
	case FormSequence:
		l.sequence()
	case FormAbsence:
		if len(r.GroupBy) == 0 {
			l.warn("missing-group", "waits for all of its events together to stop; name the entity that falls silent in group_by")
		}
	case FormFirstSeen:
		if slices.Contains(r.GroupBy, r.FirstSeen.value.canonical) {
			l.warn("unreachable", "first_seen: %s is in group_by: a group never has another value", r.FirstSeen.Value)
		}
	case FormRare:
		if !slices.ContainsFunc(r.GroupBy, func(g string) bool { return !slices.Contains(r.Rare.Peers, g) }) {
			l.warn("unreachable", "rare: peers has all of group_by: an entity has no peers but itself, and least is %d", r.Rare.Least)
		}
		if slices.Contains(r.Rare.Peers, r.Rare.value.canonical) {
			l.warn("unreachable", "rare: all peers have the same %s: it is in peers", r.Rare.Value)
		}
	}
}

// sequence looks at the steps.
func (l *linter) sequence() {
	seq := l.rule.Sequence
	if seq.Span > longSpan {
		l.warn("long-span", "the span of %s keeps every attempt in memory for so long: %s or less is usual", Span(seq.Span), Span(longSpan))
	}
	read := map[int]bool{}
	for i := range seq.Steps {
		s := &seq.Steps[i]
		for j, c := range s.Compare {
			read[c.Slot] = true
			for _, o := range s.Compare[:j] {
				if o.Slot == c.Slot && o.Not != c.Not && o.of.canonical == c.of.canonical {
					l.warnAt(l.part("sequence."+s.Name+".filter", nil), 0, "unreachable", "step %s can never follow: %s is to be %s and not to be", s.Name, c.of.text, seq.keptName(c.Slot))
				}
			}
		}
		if s.Absent && i > 0 && seq.Steps[i-1].Absent && s.same(&seq.Steps[i-1]) {
			l.warnAt(l.part("sequence."+s.Name+".filter", nil), 0, "duplicate", "step %s must not happen like step %s, which says the same", s.Name, seq.Steps[i-1].Name)
		}
	}
	for i := range seq.Steps {
		for _, k := range seq.Steps[i].Keep {
			if !read[k.Slot] {
				l.warnAt(l.part("sequence."+seq.Steps[i].Name+".keep."+k.Name, nil), 0, "unused-keep", "no later step compares with %s.%s", seq.Steps[i].Name, k.Name)
			}
		}
	}
}

// same tells whether two steps let in the same events.
func (s *Step) same(o *Step) bool {
	return s.filter.canonical == o.filter.canonical && slices.EqualFunc(s.Compare, o.Compare, func(a, b Compare) bool {
		return a.Slot == b.Slot && a.Not == b.Not && a.of.canonical == b.of.canonical
	})
}

// part is the part of that name, where x is what was compiled of it. A part of which only a part was compiled, as of a filter with
// seenBefore, has no places in it.
func (l *linter) part(name string, x *expression) Part {
	if l.parts == nil {
		l.parts = map[string]Part{}
		for _, p := range l.rule.Parts() {
			l.parts[p.Name] = p
		}
	}
	p, ok := l.parts[name]
	if !ok || x != nil && !strings.HasPrefix(x.text, p.Text) {
		line := l.rule.Line
		if ok {
			line, _ = p.Place(0)
		}
		return Part{Name: name, file: l.rule.File, line: line}
	}
	return p
}

// looseParameters names the parameters of a macro that its text does not use.
func (m *macro) looseParameters() []string {
	if m.body == nil {
		return nil
	}
	used := freeNames(m.body.Expr())
	return slices.DeleteFunc(slices.Clone(m.params), func(p string) bool { return used[p] })
}
