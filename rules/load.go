package rules

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Load reads rule files and folders of *.yaml and *.yml files, folders with all below them, and compiles what they say. Without
// paths it reads the whole file system. A folder named fixtures is left out. Every fault is an [*Error]; they are joined, and
// then there is no Set.
func Load(fsys fs.FS, paths ...string) (*Set, error) {
	rules, err := load(fsys, paths...)
	if err != nil {
		return nil, err
	}
	return newSet(rules), nil
}

// load returns the rules that are in order, sorted by id, and the faults of the others.
func load(fsys fs.FS, paths ...string) ([]*Rule, error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	env, err := newEnvironment()
	if err != nil {
		return nil, err
	}
	files, err := ruleFiles(fsys, paths)
	errs := flatten(err)
	var rules []*Rule
	for _, f := range files {
		text, err := readFile(fsys, f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found, err := env.parse(source{f, text})
		rules, errs = append(rules, found...), append(errs, flatten(err)...)
		if len(rules) > MaxRules {
			return nil, &Error{File: f, Msg: fmt.Sprintf("more than %d rules in all", MaxRules)}
		}
	}
	slices.SortStableFunc(rules, func(a, b *Rule) int { return cmp.Compare(a.ID, b.ID) })
	for i := 1; i < len(rules); i++ {
		if a, b := rules[i-1], rules[i]; a.ID == b.ID {
			errs = append(errs, &Error{File: b.File, Line: b.Line, Rule: b.ID, Key: "id", Msg: fmt.Sprintf("is already used at %s:%d: choose another", a.File, a.Line)})
		}
	}
	return rules, errors.Join(errs...)
}

// ruleFiles lists the files that the paths lead to, each once, in order.
func ruleFiles(fsys fs.FS, paths []string) ([]string, error) {
	var files []string
	var errs []error
	for _, p := range paths {
		p = path.Clean(p)
		err := fs.WalkDir(fsys, p, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir():
				if name != p && (d.Name() == "fixtures" || strings.HasPrefix(d.Name(), ".")) {
					return fs.SkipDir
				}
			case name == p || path.Ext(name) == ".yaml" || path.Ext(name) == ".yml":
				files = append(files, name)
			}
			return nil
		})
		if err != nil {
			errs = append(errs, &Error{File: p, Msg: fmt.Sprintf("read rules: %s", cause(err))})
		}
	}
	slices.Sort(files)
	return slices.Compact(files), errors.Join(errs...)
}

// cause leaves out the operation and the path, which our errors name themselves.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func readFile(fsys fs.FS, name string) (string, error) {
	st, err := fs.Stat(fsys, name)
	if err != nil {
		return "", &Error{File: name, Msg: fmt.Sprintf("read rules: %s", cause(err))}
	}
	if st.Size() > MaxFile {
		return "", &Error{File: name, Msg: fmt.Sprintf("file has %d bytes, limit is %d", st.Size(), MaxFile)}
	}
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return "", &Error{File: name, Msg: fmt.Sprintf("read rules: %s", cause(err))}
	}
	return string(b), nil
}

// parse reads the rules of one file; each YAML document is one rule.
func (env *environment) parse(src source) ([]*Rule, error) {
	f, err := parseYAML(src.text)
	if err != nil {
		return nil, src.yamlError(err)
	}
	var rules []*Rule
	var errs []error
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		r, err := env.document(src, doc.Body)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rules = append(rules, r)
	}
	return rules, errors.Join(errs...)
}

// parseYAML turns a panic of the parser into an error: rule files may come from anywhere.
func parseYAML(text string) (f *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be read as YAML: %v", r)
		}
	}()
	return parser.ParseBytes([]byte(text), 0)
}

func (env *environment) document(src source, body ast.Node) (*Rule, error) {
	if !isMapping(body) {
		return nil, src.errorAt(body, "want a rule: a mapping that begins with id")
	}
	raw := new(ruleYAML)
	if err := decodeYAML(body, raw); err != nil {
		return nil, src.yamlError(err)
	}
	rule := &Rule{File: src.file, Line: startLine(body), src: src, errs: new(atomic.Uint64)}
	b := &builder{env: env, src: src, raw: raw, rule: rule}
	return b.build()
}

func decodeYAML(n ast.Node, v any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be read as YAML: %v", r)
		}
	}()
	return yaml.NodeToValue(n, v, yaml.Strict())
}

// startLine is the line of the first key.
func startLine(n ast.Node) int {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	if v, ok := n.(*ast.MappingValueNode); ok {
		n = v.Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

func (s source) errorAt(n ast.Node, msg string) *Error {
	e := &Error{File: s.file, Msg: msg}
	if t := n.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Column, e.Source = t.Position.Line, t.Position.Column, s.line(t.Position.Line)
	}
	return e
}

// yamlError keeps the place and the first line of what the YAML library says.
func (s source) yamlError(err error) error {
	var p *placed
	if errors.As(err, &p) {
		return s.errorAt(p.node, p.msg)
	}
	var y yaml.Error
	if !errors.As(err, &y) {
		return &Error{File: s.file, Msg: firstLine(err.Error())}
	}
	e := &Error{File: s.file, Msg: firstLine(y.GetMessage())}
	if name, ok := strings.CutPrefix(e.Msg, "unknown field "); ok {
		e.Msg = unknownKey(strings.Trim(name, `"`))
	}
	if t := y.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Column, e.Source = t.Position.Line, t.Position.Column, s.line(t.Position.Line)
	}
	return e
}

// unknownKey is the message for a key that rules do not have.
func unknownKey(name string) string {
	keys := strings.Fields("id title description severity tags filter group_by window aggregates condition suppress mode respond " +
		"include_enforced tests size type scope ttl rate burst name events expect group values repeat func of where block limit canary" + formKeys)
	best := slices.MinFunc(keys, func(a, b string) int { return cmp.Compare(distance(name, a), distance(name, b)) })
	if distance(name, best) <= 3 {
		return fmt.Sprintf("unknown key %.60q: did you mean `%s`?", name, best)
	}
	return fmt.Sprintf("unknown key %.60q", name)
}
