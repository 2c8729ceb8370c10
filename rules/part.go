package rules

import (
	"slices"
	"strings"
)

// Part is one CEL expression of a rule.
type Part struct {
	Name string // "filter", "condition", "aggregates.users.of", "aggregates.users.where"
	Text string

	src   source
	whole scalar // that the text is part of
	at    int    // where the text begins in it, in bytes
	line  int    // of the rule
}

// Place returns the line and column in the rule's file, both from 1, of the byte offset in the part's text. The column is 0 when
// only the rule's own line is known.
func (p Part) Place(offset int) (line, column int) {
	if !strings.HasPrefix(p.whole.Value[min(p.at, len(p.whole.Value)):], p.Text) {
		return p.line, 0
	}
	if line, column = p.src.locate(p.whole, p.at+offset); line == 0 {
		return p.line, 0
	}
	return line, column
}

// Parts returns the rule's expressions in the order of filter, aggregates and condition. Those that are not written are left out.
func (r *Rule) Parts() []Part {
	raw, src, err := r.reread()
	if err != nil { // the rule was loaded from this text; without it only its line is known
		raw = new(ruleYAML)
	}
	var out []Part
	add := func(name string, x *expression, whole scalar, at int) {
		if x != nil {
			out = append(out, Part{Name: name, Text: x.text, src: src, whole: whole, at: at, line: r.Line})
		}
	}
	add("filter", r.filter, raw.Filter, 0)
	for i := range r.Aggregates {
		a := &r.Aggregates[i]
		var written aggregateYAML
		if at := slices.IndexFunc(raw.Aggregates, func(w aggregateYAML) bool { return w.Name.Value == a.Name }); at >= 0 {
			written = raw.Aggregates[at]
		}
		of, where, at := written.Of, written.Where, 0
		if written.Text.set() {
			of, where, at = written.Text, written.Text, strings.IndexByte(written.Text.Value, '(')+1
		}
		add("aggregates."+a.Name+".of", a.of, of, at)
		add("aggregates."+a.Name+".where", a.where, where, at)
	}
	add("condition", r.condition, raw.Condition, 0)
	return out
}
