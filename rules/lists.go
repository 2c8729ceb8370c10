package rules

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
)

// Bounds of lists. What exceeds them is refused when the rules are loaded.
const (
	MaxLists     = 1000
	MaxListFile  = 32 << 20  // bytes of a file of values
	MaxListSize  = 1_000_000 // values of one list
	MaxListFiles = 64 << 20  // bytes of all files of values
	MaxListTotal = 2_000_000 // values of all lists: up to 450 MB while they are read
	maxListValue = 1024      // bytes of a value
)

// The types of lists.
const (
	listText    = "text"    // compared byte by byte
	listFold    = "fold"    // upper and lower case of ASCII letters are the same
	listNetwork = "network" // addresses and networks
)

// sharedKeys are the keys of files that rules share, and those of rules that use them; for suggestions.
const sharedKeys = "kind lists macros values file type extend keep_parent filter_and except when owner until reason " +
	"author license references source_id falsepositives"

// listsYAML is a document with lists.
type listsYAML struct {
	Kind  scalar    `yaml:"kind"`
	Lists namedYAML `yaml:"lists"`
}

type listYAML struct {
	Values      []scalar `yaml:"values"`
	File        scalar   `yaml:"file"`
	Type        scalar   `yaml:"type"`
	Description scalar   `yaml:"description"`
}

// list is a named list of values that rules look up with inList.
type list struct {
	name    string
	src     source
	line    int
	set     valueSet
	used    bool // by a rule
	shipped bool // not asked for
}

// addLists reads the lists of a document.
func (env *environment) addLists(fsys fs.FS, d document) []error {
	var raw listsYAML
	if err := decodeYAML(d.body, &raw); err != nil {
		return []error{d.src.yamlError(err)}
	}
	var errs []error
	for _, v := range raw.Lists {
		r := &listReader{fsys: fsys, doc: d, bytes: &env.listBytes, name: scalar{Value: keyText(v), node: v.Key}}
		l, err := r.list(v)
		if err == nil {
			err = env.addList(l, r)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (env *environment) addList(l *list, r *listReader) error {
	switch old := env.lists[l.name]; {
	case old != nil:
		return r.fail(r.name, 0, "there is already a list of this name at %s:%d: choose another", old.src.file, old.line)
	case len(env.lists) >= MaxLists:
		return r.fail(r.name, 0, "more than %d lists in all", MaxLists)
	case env.listed+l.set.size() > MaxListTotal:
		return r.fail(r.name, 0, "all lists together have more than %d values: shorten this one", MaxListTotal)
	}
	env.listed += l.set.size()
	env.lists[l.name] = l
	return nil
}

// listReader reads one list.
type listReader struct {
	fsys fs.FS
	doc  document
	name scalar

	bytes *int // of all files so far
}

func (r *listReader) fail(v scalar, at int, format string, args ...any) error {
	e := &Error{File: r.doc.src.file, Key: "lists." + r.name.Value, Msg: fmt.Sprintf(format, args...)}
	if line, column := r.doc.src.locate(v, at); line > 0 {
		e.Line, e.Column, e.Source = line, column, r.doc.src.line(line)
	}
	return e
}

func (r *listReader) list(v *ast.MappingValueNode) (*list, error) {
	if !idForm.MatchString(r.name.Value) {
		return nil, r.fail(r.name, 0, "want a name of lower-case letters, digits, '-', '_' and '.', at most 80")
	}
	var raw listYAML
	if !isMapping(v.Value) {
		return nil, r.fail(r.name, 0, "want {values: [...]} or {file: name}, and perhaps type: text, fold or network")
	}
	if err := decodeYAML(v.Value, &raw); err != nil {
		return nil, r.doc.src.yamlError(err)
	}
	typ := raw.Type.Value
	if !raw.Type.set() {
		typ = listText
	}
	if typ != listText && typ != listFold && typ != listNetwork {
		return nil, r.fail(raw.Type, 0, "unknown type %.20q: want text, fold or network", typ)
	}
	if (raw.Values == nil) == !raw.File.set() {
		return nil, r.fail(r.name, 0, "want one of values and file")
	}
	line, _ := r.doc.src.locate(r.name, 0)
	l := &list{name: r.name.Value, src: r.doc.src, line: line}
	b := newSetBuilder(typ)
	for _, v := range raw.Values {
		if err := b.add(v.Value); err != nil {
			return nil, r.fail(v, 0, "%s", err)
		}
	}
	if raw.File.set() {
		if err := r.file(raw.File, b); err != nil {
			return nil, err
		}
	}
	l.set = b.done()
	return l, nil
}

// file reads the values of a file beside the lists.
func (r *listReader) file(v scalar, b *setBuilder) error {
	name := path.Join(path.Dir(r.doc.src.file), v.Value)
	if v.Value == "" || path.IsAbs(v.Value) || !within(r.doc.root, name) {
		return r.fail(v, 0, "want the name of a file within the folder of the rules, relative to this file")
	}
	if *r.bytes > MaxListFiles {
		return r.fail(v, 0, "the files of the lists before have more than %d bytes already", MaxListFiles)
	}
	text, err := readRegular(r.fsys, name, MaxListFile)
	if err != nil {
		return r.fail(v, 0, "read %s: %s", name, cause(err))
	}
	if *r.bytes += len(text); *r.bytes > MaxListFiles {
		return r.fail(v, 0, "the files of all lists have more than %d bytes: shorten this one", MaxListFiles)
	}
	if line, err := b.addLines(text, path.Ext(name) == ".csv"); err != nil {
		return r.fail(v, 0, "%s:%d: %s", name, line, err)
	}
	return nil
}

// within tells whether a clean name is in the folder or below it.
func within(root, name string) bool {
	if root == "." {
		return !path.IsAbs(name) && name != ".." && !strings.HasPrefix(name, "../")
	}
	return strings.HasPrefix(name, strings.TrimSuffix(root, "/")+"/")
}

// listNames checks the names that inList is called with, and marks the lists as used.
func (env *environment) listNames(text string, a *celast.AST) error {
	var out []error
	celast.PreOrderVisit(a.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.CallKind || e.AsCall().FunctionName() != inListName || len(e.AsCall().Args()) != 2 {
			return
		}
		arg := e.AsCall().Args()[1]
		msg := ""
		switch name, ok := literalString(arg); {
		case !ok:
			msg = `the name of a list must be written out: inList(value, "name")`
		case env.lists[name] == nil:
			msg = env.unknownList(name)
		default:
			if l := env.lists[name]; !l.used { // expressions that are compiled later, see Rule.Vary, only read
				l.used = true
			}
			return
		}
		out = append(out, faultOf(text, a, arg, msg))
	}))
	return errors.Join(out...)
}

func (env *environment) unknownList(name string) string {
	if best := nearest(name, slices.Sorted(maps.Keys(env.lists))); best != "" {
		return fmt.Sprintf("unknown list %.80q: did you mean %q?", name, best)
	}
	return fmt.Sprintf("unknown list %.80q: lists are written in a file with `kind: lists` among the rules", name)
}

// nearest returns the name that was probably meant, "" when none is near.
func nearest(name string, known []string) string {
	best, limit := "", len(name)/3+2
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < limit {
			best, limit = k, d
		}
	}
	return best
}

func literalString(e celast.Expr) (string, bool) {
	if e.Kind() != celast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

// inList tells whether the list has the value.
func (env *environment) inList(value, name string) bool {
	l := env.lists[name]
	return l != nil && l.set.has(value)
}
