package rules

import (
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// maxExtends is how many rules can extend one another in a row.
const maxExtends = 4

// draft is a rule as it is written, before and after it took over what it does not say from the rule that it extends.
type draft struct {
	doc       document
	raw       *ruleYAML
	written   map[string]bool // its own keys
	inherited map[string]bool // keys that it took over
	parent    *draft
	depth     int // of the rules that it extends
	replaced  bool
	shipped   bool // only there to be extended
	merged    bool

	built bool
	rule  *Rule
	err   error
}

// extender makes rules of documents, those first that others extend.
type extender struct {
	env    *environment
	drafts []*draft // in the order of the files
	byID   map[string]*draft
	errs   []error
}

func newExtender(env *environment, docs []document) *extender {
	x := &extender{env: env, byID: map[string]*draft{}}
	for _, doc := range docs {
		d := &draft{doc: doc, raw: new(ruleYAML), written: map[string]bool{}, shipped: doc.shipped}
		if err := decodeYAML(doc.body, d.raw); err != nil {
			if !d.shipped {
				x.errs = append(x.errs, doc.src.yamlError(err))
			}
			continue
		}
		for _, v := range entries(doc.body) {
			d.written[keyText(v)] = true
		}
		if id := d.raw.ID.Value; x.byID[id] == nil {
			x.byID[id] = d
		}
		if !d.shipped {
			x.drafts = append(x.drafts, d)
		}
	}
	for _, d := range x.drafts {
		if x.link(d, nil) == nil && d.parent != nil && !d.keepsParent() {
			d.parent.replaced = true
		}
	}
	return x
}

// link finds the rule that d extends, and takes over what d does not say. The path has the ids that led to d.
func (x *extender) link(d *draft, path []string) (err error) {
	defer func() { d.err = err }()
	if d.merged || d.err != nil {
		return d.err
	}
	ext := d.raw.Extend
	id := d.raw.ID.Value
	if !ext.set() {
		d.merged = true
		return nil
	}
	if path = append(path, id); slices.Contains(path, ext.Value) {
		return d.fail("extend", "rules extend one another in a circle: "+strings.Join(append(path, ext.Value), " → "))
	}
	d.parent = x.byID[ext.Value]
	if d.parent == nil {
		return d.fail("extend", x.unknownRule(ext.Value))
	}
	if err := x.link(d.parent, path); err != nil {
		return d.fail("extend", fmt.Sprintf("the rule %.80q has errors", ext.Value))
	}
	if d.depth = d.parent.depth + 1; d.depth > maxExtends {
		return d.fail("extend", fmt.Sprintf("rules extend one another more than %d deep", maxExtends))
	}
	d.inherit()
	d.merged = true
	return nil
}

// own are the keys that a rule never takes over from another one.
const own = " id extend keep_parent filter_and tests "

// inherit takes over the keys that d does not write. Lists and mappings are taken over whole.
func (d *draft) inherit() {
	d.inherited = map[string]bool{}
	mine, theirs := reflect.ValueOf(d.raw).Elem(), reflect.ValueOf(d.parent.raw).Elem()
	for i := range mine.NumField() {
		name, _, _ := strings.Cut(mine.Type().Field(i).Tag.Get("yaml"), ",")
		if d.written[name] || strings.Contains(own, " "+name+" ") || theirs.Field(i).IsZero() {
			continue
		}
		mine.Field(i).Set(theirs.Field(i))
		d.inherited[name] = true
	}
	if and := d.raw.FilterAnd; and.set() && !d.written["filter"] {
		d.raw.Filter = scalar{Value: narrowedBy(d.raw.Filter.Value, and.Value), node: and.node}
	}
}

// narrowedBy joins a filter and what narrows it. A line end stands before each parenthesis: a comment can be the last thing in either.
func narrowedBy(filter, and string) string { return "(" + filter + "\n) && (" + and + "\n)" }

// heritage is where the rule and those that it extends are written.
func (d *draft) heritage() *heritage {
	if d == nil {
		return nil
	}
	return &heritage{src: d.doc.src, line: startLine(d.doc.body), parent: d.parent.heritage()}
}

func (d *draft) keepsParent() bool {
	keep, _ := strconv.ParseBool(d.raw.KeepParent.Value)
	return keep
}

// fail is an error of the draft at its key extend.
func (d *draft) fail(key, msg string) error {
	e := &Error{File: d.doc.src.file, Line: startLine(d.doc.body), Rule: d.raw.ID.Value, Key: key, Msg: msg}
	if line, column := d.doc.src.locate(d.raw.Extend, 0); line > 0 {
		e.Line, e.Column, e.Source = line, column, d.doc.src.line(line)
	}
	return e
}

func (x *extender) unknownRule(id string) string {
	if best := nearest(id, slices.Sorted(maps.Keys(x.byID))); best != "" {
		return fmt.Sprintf("unknown rule %.80q: did you mean %s?", id, best)
	}
	return fmt.Sprintf("unknown rule %.80q: `warder rules list` shows the shipped ones; others must be loaded together with this one", id)
}

// build compiles a draft, once.
func (x *extender) build(d *draft) (*Rule, error) {
	if d.built || d.err != nil {
		return d.rule, d.err
	}
	d.built = true
	if p := d.parent; p != nil && !p.shipped {
		if r, _ := x.build(p); r == nil {
			d.err = d.fail("extend", fmt.Sprintf("the rule %.80q has errors", p.raw.ID.Value))
			return nil, d.err
		}
	}
	rule := &Rule{File: d.doc.src.file, Line: startLine(d.doc.body), errs: new(atomic.Uint64), excepted: new(atomic.Uint64),
		Extends: d.raw.Extend.Value, lists: x.env.lists, env: x.env, written: d.heritage()}
	b := &builder{env: x.env, src: d.doc.src, raw: d.raw, rule: rule, inherited: d.inherited}
	b.extension(d)
	d.rule, d.err = b.build()
	return d.rule, d.err
}

// extension checks the keys that only make sense in a rule that extends another one.
func (b *builder) extension(d *draft) {
	and, keep := b.raw.FilterAnd, b.raw.KeepParent
	switch {
	case d.parent == nil && and.set():
		b.fail("filter_and", and, "narrows the filter of the rule that is extended, and there is none: write filter")
	case d.written["filter"] && and.set():
		b.fail("filter_and", and, "narrows the inherited filter, which filter replaces: write one of them")
	case and.set():
		b.inherited["filter"] = true // what is left to go wrong is the two together
		if before := len(b.errs); b.boolean("filter_and", and, b.env.events, nil) == nil || len(b.errs) > before {
			b.raw.Filter.Value = "true" // the fault is reported
		}
	}
	if _, err := strconv.ParseBool(keep.Value); keep.set() && (err != nil || d.parent == nil) {
		b.fail("keep_parent", keep, "want true or false, in a rule that extends another one")
	}
}

// place returns where a fault of the key is shown: what was inherited is not written in this file.
func (b *builder) place(key string, v scalar, at int, msg string) (scalar, int, string) {
	root, _, _ := strings.Cut(key, ".")
	root, _, _ = strings.Cut(root, "[")
	if !b.inherited[root] {
		return v, at, msg
	}
	return b.raw.Extend, 0, fmt.Sprintf("as inherited from %.80q: %s", b.raw.Extend.Value, msg)
}

// shippedDocuments returns the documents of the shipped rules when a rule among docs extends one that is not there. What they share
// is added to the library where its name is free.
func (l *library) shippedDocuments(docs []document) []document {
	ids, extended := map[string]bool{}, []string{}
	for _, d := range docs {
		for _, v := range entries(d.body) {
			var s scalar
			if s.UnmarshalYAML(v.Value) != nil {
				continue
			}
			switch keyText(v) {
			case "id":
				ids[s.Value] = true
			case "extend":
				extended = append(extended, s.Value)
			}
		}
	}
	if !slices.ContainsFunc(extended, func(id string) bool { return !ids[id] }) {
		return nil
	}
	var packs fs.FS = Packs()
	shipped, err := documents(packs, []string{"."})
	if err != nil {
		return nil // the tests of the packs say why
	}
	before := l.errs
	lists, macros := maps.Clone(l.env.lists), maps.Clone(l.env.macros)
	shipped = l.shared(packs, shipped)
	l.errs = before // names that are in use already
	for name, x := range l.env.lists {
		x.shipped = lists[name] == nil
	}
	for name, m := range l.env.macros {
		m.shipped = macros[name] == nil
	}
	for i := range shipped {
		shipped[i].shipped = true
	}
	return shipped
}
