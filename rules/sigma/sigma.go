// Package sigma imports Sigma rules (https://sigmahq.io) for web servers and proxies as Warder rules.
//
// The meaning is that of the Sigma specification 2.1, see docs/sigma.md: comparison without case, wildcards, modifiers,
// conditions, correlations. What cannot be converted without changing its meaning is refused, with the reason and the line.
// Conversion is pure and deterministic; rule files are not trusted, so everything is bounded.
package sigma

import (
	"errors"
	"fmt"
	"strings"
)

// Options changes how rules are converted. The zero value is useful.
type Options struct {
	// License is written into rules that do not name their own.
	License string
}

// File is one file of Sigma rules.
type File struct {
	Name string
	Text []byte
}

// Outcome says what became of one Sigma rule.
type Outcome struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // where the rule begins; of a refusal, the place of what is refused
	// ID is Sigma's own, Title the rule's; either may be empty.
	ID        string `json:"id,omitempty"`
	Title     string `json:"title,omitempty"`
	Converted bool   `json:"converted"`
	// Reason says why a rule is refused, or why it is not written by itself although it could be.
	Reason string `json:"reason,omitempty"`
	// Rule is the id of the Warder rule; empty when there is none.
	Rule string `json:"rule,omitempty"`
}

// Rule is a converted rule.
type Rule struct {
	ID   string
	File string // the Sigma file that it comes from
	YAML string // one YAML document
}

// Result is what became of the files. Both lists are in the order of the files and of the rules in them.
type Result struct {
	Outcomes []Outcome
	Rules    []Rule
}

// Refused counts the rules that were not converted.
func (r *Result) Refused() int {
	n := 0
	for i := range r.Outcomes {
		if !r.Outcomes[i].Converted {
			n++
		}
	}
	return n
}

// Convert converts the rules in the files. Correlations may refer to rules of any of the files. Every rule of the result has
// been loaded by this program's own rule loader.
func Convert(opt Options, files ...File) *Result {
	c := &converter{opt: opt, ids: map[string]bool{}, used: map[*source]*source{}}
	for _, f := range files {
		c.read(f)
	}
	for _, s := range c.sources {
		if s.err == nil {
			s.read()
		}
	}
	for _, s := range c.inOrder() {
		s.err = c.correlate(s)
	}
	for _, s := range c.sources {
		if s.correlation == nil && s.err == nil && !c.hidden(s) {
			s.made, s.err = c.alone(s)
		}
	}
	c.name()
	c.verify()
	return c.result()
}

// inOrder lists the correlations; those that others are built on come first.
func (c *converter) inOrder() []*source {
	var counts, others []*source
	for _, s := range c.sources {
		switch {
		case s.correlation == nil || s.err != nil:
		case s.correlation.get("type").str() == "event_count":
			counts = append(counts, s)
		default:
			others = append(others, s)
		}
	}
	return append(counts, others...)
}

// converter converts one set of files.
type converter struct {
	opt     Options
	sources []*source
	ids     map[string]bool
	used    map[*source]*source // rules that only serve a correlation
}

// maxSources bounds the rules of one import.
const maxSources = 20_000

// read takes a file apart. A file that cannot be read is one refused source.
func (c *converter) read(f File) {
	docs, err := parseYAML(f.Text)
	if err == nil {
		docs, err = collect(docs)
	}
	if err == nil && len(docs) == 0 {
		err = refuse(nil, "there is no rule in the file")
	}
	if err == nil && len(c.sources)+len(docs) > maxSources {
		err = refuse(nil, "more than %d rules in all", maxSources)
	}
	if err != nil {
		c.sources = append(c.sources, &source{file: f.Name, at: &node{line: 1}, err: err})
		return
	}
	for _, d := range docs {
		c.sources = append(c.sources, newSource(f.Name, d))
	}
}

// alone makes a rule of its own of a source.
func (c *converter) alone(s *source) (*output, error) {
	o := s.output(c.opt)
	o.filter = s.filter.String()
	o.groupBy = []string{"source.address"}
	if s.agg != nil {
		return o, s.agg.apply(o)
	}
	return o, nil
}

// name gives every output its id: of the title, and where that is taken, of Sigma's id or a number as well.
func (c *converter) name() {
	for _, s := range c.sources {
		if s.made == nil || s.err != nil || c.used[s] != nil {
			continue
		}
		base := "sigma-" + slug(s.title)
		if base == "sigma-" {
			base += slug(s.id + " rule")
		}
		id := base
		if c.ids[id] && len(s.id) >= 8 {
			id = base + "-" + slug(s.id[:8])
		}
		for n := 2; c.ids[id]; n++ {
			id = fmt.Sprintf("%s-%d", base, n)
		}
		c.ids[id] = true
		s.made.id = id
	}
}

func (c *converter) result() *Result {
	r := &Result{}
	for _, s := range c.sources {
		out := Outcome{File: s.file, Line: s.at.line, ID: printable(s.id, 100), Title: printable(s.title, 200)}
		var why *refusal
		switch {
		case s.err != nil:
			out.Reason = printable(s.err.Error(), 400)
			if errors.As(s.err, &why) && why.line > 0 {
				out.Line = why.line
			}
		case c.used[s] != nil:
			by := c.used[s]
			for c.used[by] != nil {
				by = c.used[by]
			}
			out.Converted, out.Rule = true, by.made.id
			out.Reason = fmt.Sprintf("part of the correlation %q", printable(by.title, 100))
		default:
			out.Converted, out.Rule = true, s.made.id
			r.Rules = append(r.Rules, Rule{ID: s.made.id, File: s.file, YAML: s.made.yaml()})
		}
		r.Outcomes = append(r.Outcomes, out)
	}
	return r
}

// String is the rules of the result as one YAML text.
func (r *Result) String() string {
	var docs []string
	for _, x := range r.Rules {
		docs = append(docs, x.YAML)
	}
	return strings.Join(docs, "---\n")
}
