package rules

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/warder/warder/internal/nesting"
)

// Options are what rules may need from outside of their files. The zero value is ready.
type Options struct {
	// Geo answers geo(address). Without one every place is unknown.
	Geo Geo
}

// Load reads rule files and folders of *.yaml and *.yml files, folders with all below them, and compiles what they say. Without
// paths it reads the whole file system. A folder named fixtures is left out. Every fault is an [*Error]; they are joined, and
// then there is no Set.
func Load(fsys fs.FS, paths ...string) (*Set, error) { return LoadWith(Options{}, fsys, paths...) }

// LoadWith is Load with options.
func LoadWith(opt Options, fsys fs.FS, paths ...string) (*Set, error) {
	l, err := load(opt, fsys, paths...)
	if err != nil {
		return nil, err
	}
	return newSet(l.rules), nil
}

// load returns the rules that are in order, and the faults of the others. The library is nil when nothing could be read.
func load(opt Options, fsys fs.FS, paths ...string) (*library, error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	env, err := newEnvironment(opt)
	if err != nil {
		return nil, err
	}
	l := &library{env: env}
	if err := l.read(fsys, paths); err != nil {
		return nil, err
	}
	for i := 1; i < len(l.rules); i++ {
		if a, b := l.rules[i-1], l.rules[i]; a.ID == b.ID {
			l.errs = append(l.errs, &Error{File: b.File, Line: b.Line, Rule: b.ID, Key: "id", Msg: fmt.Sprintf("is already used at %s:%d: choose another", a.File, a.Line)})
		}
	}
	if len(l.errs) > maxFaults {
		l.errs = append(l.errs[:maxFaults], &Error{File: paths[0], Msg: fmt.Sprintf("more than %d faults: mend these first", maxFaults)})
	}
	return l, errors.Join(l.errs...)
}

// ruleFile is a file to read, and the folder that it was found under.
type ruleFile struct{ name, root string }

// ruleFiles lists the files that the paths lead to, each once, in order.
func ruleFiles(fsys fs.FS, paths []string) ([]ruleFile, error) {
	var files []ruleFile
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
			case name == p:
				files = append(files, ruleFile{name, path.Dir(p)})
			case path.Ext(name) == ".yaml" || path.Ext(name) == ".yml":
				files = append(files, ruleFile{name, p})
			}
			return nil
		})
		if err != nil {
			errs = append(errs, &Error{File: p, Msg: fmt.Sprintf("read rules: %s", cause(err))})
		}
	}
	slices.SortFunc(files, func(a, b ruleFile) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(len(a.root), len(b.root)))
	})
	return slices.CompactFunc(files, func(a, b ruleFile) bool { return a.name == b.name }), errors.Join(errs...)
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
	b, err := readRegular(fsys, name, MaxFile)
	if err != nil {
		return "", &Error{File: name, Msg: fmt.Sprintf("read rules: %s", cause(err))}
	}
	text := strings.TrimPrefix(string(b), "\ufeff")
	if err := readable(name, text); err != nil {
		return "", err
	}
	return text, nil
}

// parseYAML reads YAML of which the first line is that line of its file. It turns a panic of the parser into an error: rule files
// may come from anywhere.
func parseYAML(text string, line int) (f *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be read as YAML: %v", r)
		}
	}()
	// After an empty document the parser loses all that follow: of several lines "---" in a row only the last is kept.
	var tokens token.Tokens
	for _, t := range lexer.Tokenize(text) {
		t.Position.Line += max(line-1, 0)
		if n := len(tokens); t.Type == token.CommentType {
			continue
		} else if n > 0 && t.Type == token.DocumentHeaderType && tokens[n-1].Type == token.DocumentHeaderType {
			tokens = tokens[:n-1]
		}
		tokens = append(tokens, t)
	}
	if t := nesting.TooDeep(tokens, maxYAMLDepth); t != nil {
		return nil, &yaml.SyntaxError{Message: fmt.Sprintf("is nested more than %d deep: rules need no more than six levels", maxYAMLDepth), Token: t}
	}
	return parser.Parse(tokens, 0)
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
		"include_enforced tests size type scope ttl rate burst name events expect group values repeat func of where block limit canary " + sharedKeys + formKeys)
	best := slices.MinFunc(keys, func(a, b string) int { return cmp.Compare(distance(name, a), distance(name, b)) })
	if distance(name, best) <= 3 {
		return fmt.Sprintf("unknown key %.60q: did you mean `%s`?", name, best)
	}
	return fmt.Sprintf("unknown key %.60q", name)
}
