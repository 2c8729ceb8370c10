package rules

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// document is one YAML document of a rule file.
type document struct {
	src  source
	body ast.Node
	root string // the folder that files named in it may not leave
	// shipped rules are only there to be extended: they were not asked for.
	shipped bool
}

// The kinds of documents. A rule has no key `kind`.
const (
	kindLists  = "lists"
	kindMacros = "macros"
)

// maxFaults is how many faults one load names. A file of 10,000 rules written for other software has a fault in each.
const maxFaults = 200

// library is what one load reads: the rules that are in order, and what they share.
type library struct {
	env   *environment
	rules []*Rule // sorted by id
	errs  []error
}

// read reads all files under the paths: first what rules share, then the rules.
func (l *library) read(fsys fs.FS, paths []string) error {
	docs, err := documents(fsys, paths)
	l.errs = append(l.errs, flatten(err)...)
	written := l.shared(fsys, docs)
	written = append(written, l.shippedDocuments(written)...)
	l.errs = append(l.errs, l.env.resolveMacros()...)
	if err := l.compile(written); err != nil {
		return err
	}
	l.errs = append(l.errs, l.env.loose()...)
	return nil
}

// shared reads the lists and macros, and returns the documents that are rules.
func (l *library) shared(fsys fs.FS, docs []document) []document {
	var written []document
	for _, d := range docs {
		kind, at := d.kind()
		switch {
		case at == nil:
			written = append(written, d)
		case kind == kindLists:
			l.errs = append(l.errs, l.env.addLists(fsys, d)...)
		case kind == kindMacros:
			l.errs = append(l.errs, l.env.addMacros(d)...)
		default:
			l.errs = append(l.errs, d.src.errorAt(at, fmt.Sprintf("unknown kind %.40q: want lists or macros; a rule has no kind", kind)))
		}
	}
	return written
}

// compile makes rules of the documents.
func (l *library) compile(docs []document) error {
	x := newExtender(l.env, docs)
	l.errs = append(l.errs, x.errs...)
	for _, d := range x.drafts {
		if len(l.errs) > maxFaults {
			return nil // enough to mend; load says that there may be more
		}
		r, err := x.build(d)
		l.errs = append(l.errs, flatten(err)...)
		if r == nil || d.replaced {
			continue
		}
		if l.rules = append(l.rules, r); len(l.rules) > MaxRules {
			return &Error{File: d.doc.src.file, Msg: fmt.Sprintf("more than %d rules in all", MaxRules)}
		}
	}
	slices.SortStableFunc(l.rules, func(a, b *Rule) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

// documents reads the YAML documents of the files under the paths, in order.
func documents(fsys fs.FS, paths []string) ([]document, error) {
	files, err := ruleFiles(fsys, paths)
	errs := flatten(err)
	var docs []document
	for _, f := range files {
		text, err := readFile(fsys, f.name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		src := newSource(f.name, text)
		parsed, err := parseYAML(text, 1)
		if err != nil {
			errs = append(errs, src.yamlError(err))
			continue
		}
		for _, d := range parsed.Docs {
			switch {
			case d.Body == nil || d.Body.Type() == ast.NullType || d.Body.Type() == ast.CommentType:
			case !isMapping(d.Body):
				errs = append(errs, src.errorAt(d.Body, "want a rule: a mapping that begins with id"))
			default:
				docs = append(docs, document{src: src, body: d.Body, root: f.root})
			}
		}
	}
	return docs, errors.Join(errs...)
}

// kind returns the document's kind and the node that says so, nil for a rule.
func (d document) kind() (string, ast.Node) {
	for _, v := range entries(d.body) {
		if keyText(v) == "kind" {
			var s scalar
			if s.UnmarshalYAML(v.Value) != nil {
				return "", v.Value
			}
			return s.Value, v.Value
		}
	}
	return "", nil
}

// entries returns the keys and values of a mapping, nil for something else.
func entries(n ast.Node) []*ast.MappingValueNode {
	switch v := n.(type) {
	case *ast.MappingNode:
		return v.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{v}
	}
	return nil
}

// keyText is the text of a mapping's key.
func keyText(v *ast.MappingValueNode) string {
	if t := v.Key.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

// namedYAML is a mapping of names to anything, in the order in which it is written.
type namedYAML []*ast.MappingValueNode

// UnmarshalYAML implements goccy/go-yaml's NodeUnmarshaler.
func (m *namedYAML) UnmarshalYAML(n ast.Node) error {
	if !isMapping(n) {
		return &placed{n, "want a mapping of names"}
	}
	*m = entries(n)
	return nil
}
