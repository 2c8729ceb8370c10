package rules

import (
	"fmt"
	"slices"
	"strings"
)

// Part is one CEL expression of a rule, as it is written: macros are not written out.
type Part struct {
	// Name is filter, condition, aggregates.users.of, aggregates.users.where, sequence.STEP.filter, sequence.STEP.keep.NAME,
	// first_seen.value, rare.value or except[0].when.
	Name string
	Text string

	spans []stretch
	file  string // the rule's
	line  int    // of the rule
}

// stretch is a stretch of a part's text that is written in one place. What was inherited is written in the document of another rule, and
// a filter that filter_and narrows in two.
type stretch struct {
	from, to int // in the part's text, in bytes
	src      source
	whole    scalar // that it is a stretch of
	at       int    // where it begins in it, in bytes
}

// Place returns the line and column in the rule's file, both from 1, of the byte offset in the part's text. The column is 0 when
// only the rule's own line is known, as for what was inherited from a rule in another file; [Part.Origin] knows that file.
func (p Part) Place(offset int) (line, column int) {
	if file, line, column := p.Origin(offset); file == p.file {
		return line, column
	}
	return p.line, 0
}

// Origin is Place in the file where the text was written, which is another one for what was inherited.
func (p Part) Origin(offset int) (file string, line, column int) {
	for _, s := range p.spans {
		if offset < s.from || offset > s.to {
			continue
		}
		if line, column := s.src.locate(s.whole, s.at+offset-s.from); line > 0 {
			return s.src.file, line, column
		}
	}
	return p.file, p.line, 0
}

// parts collects the rule's expressions with the places where they are written.
type parts struct {
	rule    *Rule
	written []written
	out     []Part
}

// Parts returns the rule's expressions in the order of filter or steps, form, aggregates, condition and exceptions. Those that are not
// written are left out.
func (r *Rule) Parts() []Part {
	p := &parts{rule: r, written: r.rereadAll()}
	if r.Form == FormSequence {
		p.steps()
	} else {
		p.filter()
	}
	w := p.of("first_seen")
	if r.FirstSeen != nil && w.raw.FirstSeen != nil {
		p.add("first_seen.value", r.FirstSeen.Value, w.src, w.raw.FirstSeen.Value, 0)
	}
	if w = p.of("rare"); r.Rare != nil && w.raw.Rare != nil {
		p.add("rare.value", r.Rare.Value, w.src, w.raw.Rare.Value, 0)
	}
	p.aggregates()
	if r.condition != nil {
		w = p.of("condition")
		p.add("condition", r.condition.text, w.src, w.raw.Condition, 0)
	}
	w = p.of("except")
	for i := range r.Except {
		var when scalar
		if i < len(w.raw.Except) {
			when = w.raw.Except[i].When
		}
		p.add(fmt.Sprintf("except[%d].when", i), r.Except[i].When, w.src, when, 0)
	}
	return p.out
}

// of is the document that has the key: the rule's own, or the nearest of those that it extends. Without one it is empty.
func (p *parts) of(key string) written {
	if i := slices.IndexFunc(p.written, func(w written) bool { return w.keys[key] }); i >= 0 {
		return p.written[i]
	}
	return written{raw: new(ruleYAML)}
}

// add adds an expression that is all or, from byte at on, a part of the scalar.
func (p *parts) add(name, text string, src source, whole scalar, at int) {
	x := Part{Name: name, Text: text, file: p.rule.File, line: p.rule.Line}
	if v := whole.Value[min(at, len(whole.Value)):]; whole.set() && strings.HasPrefix(v, text) {
		x.spans = []stretch{{0, len(text), src, whole, at}}
	} else if i := strings.Index(v, text); whole.set() && i >= 0 { // space around it was cut off
		x.spans = []stretch{{0, len(text), src, whole, at + i}}
	}
	p.out = append(p.out, x)
}

func (p *parts) filter() {
	if p.rule.filter == nil {
		return
	}
	text, spans := p.narrowed(p.written)
	if text == "" || len(p.rule.Seen) == 0 && text != p.rule.filter.text {
		text, spans = p.rule.filter.text, nil
	}
	p.out = append(p.out, Part{Name: "filter", Text: text, spans: spans, file: p.rule.File, line: p.rule.Line})
}

// narrowed is the filter of a rule that is written in these documents: a filter_and takes that of the documents after it in, as
// draft.inherit puts it.
func (p *parts) narrowed(docs []written) (string, []stretch) {
	for i, d := range docs {
		if d.keys["filter"] {
			v := d.raw.Filter
			return v.Value, []stretch{{0, len(v.Value), d.src, v, 0}}
		}
		and := d.raw.FilterAnd
		if !and.set() {
			continue
		}
		text, spans := p.narrowed(docs[i+1:])
		for j := range spans {
			spans[j].from, spans[j].to = spans[j].from+len("("), spans[j].to+len("(")
		}
		whole := narrowedBy(text, and.Value)
		from := len(whole) - len("\n)") - len(and.Value)
		return whole, append(spans, stretch{from, from + len(and.Value), d.src, and, 0})
	}
	return "", nil
}

func (p *parts) steps() {
	w := p.of(FormSequence)
	for i := range p.rule.Sequence.Steps {
		s := &p.rule.Sequence.Steps[i]
		var raw stepYAML
		if seq := w.raw.Sequence; seq != nil && i < len(seq.Steps) {
			raw = seq.Steps[i]
		}
		p.add("sequence."+s.Name+".filter", s.Filter, w.src, raw.Filter, 0)
		for _, k := range s.Keep {
			p.add("sequence."+s.Name+".keep."+k.Name, k.Of, w.src, raw.Keep[k.Name], 0)
		}
	}
}

func (p *parts) aggregates() {
	w := p.of("aggregates")
	for i := range p.rule.Aggregates {
		a := &p.rule.Aggregates[i]
		var raw aggregateYAML
		if at := slices.IndexFunc(w.raw.Aggregates, func(w aggregateYAML) bool { return w.Name.Value == a.Name }); at >= 0 {
			raw = w.raw.Aggregates[at]
		}
		of, where, at := raw.Of, raw.Where, 0
		if raw.Text.set() {
			of, where, at = raw.Text, raw.Text, strings.IndexByte(raw.Text.Value, '(')+1
		}
		if a.of != nil {
			p.add("aggregates."+a.Name+".of", a.of.text, w.src, of, at)
		}
		if a.where != nil {
			p.add("aggregates."+a.Name+".where", a.where.text, w.src, where, at)
		}
	}
}
