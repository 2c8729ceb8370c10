package sigma

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/warder/warder/internal/nesting"
)

// Bounds of what is read. Rules come from anywhere.
const (
	MaxFile  = 1 << 20 // bytes of one file
	maxNodes = 50_000  // of one file, after aliases are followed
	maxDepth = 40
)

type nodeKind uint8

const (
	nullNode nodeKind = iota
	textNode
	numberNode
	boolNode
	listNode
	mapNode
)

// node is a YAML value with its line. A map keeps its order; its keys are texts.
type node struct {
	kind nodeKind
	line int
	text string  // of a scalar, as written
	keys []*node // of a map
	vals []*node // of a map or a list
}

// get returns the value of a key, nil when there is none.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for i, k := range n.keys {
		if k.text == key {
			return n.vals[i]
		}
	}
	return nil
}

// str is the text of a scalar, "" of anything else.
func (n *node) str() string {
	if n == nil || n.kind == listNode || n.kind == mapNode {
		return ""
	}
	return strings.TrimSpace(n.text)
}

// list is the node's elements, or the node itself as the only one; a null has none.
func (n *node) list() []*node {
	switch {
	case n == nil || n.kind == nullNode:
		return nil
	case n.kind == listNode:
		return n.vals
	}
	return []*node{n}
}

// texts are the scalars of list.
func (n *node) texts() []string {
	var out []string
	for _, e := range n.list() {
		if s := e.str(); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// refusal is why something is not converted, and where.
type refusal struct {
	line   int
	reason string
}

func (r *refusal) Error() string { return r.reason }

// refuse makes a refusal at a node, which may be nil.
func refuse(n *node, format string, args ...any) error {
	r := &refusal{reason: fmt.Sprintf(format, args...)}
	if n != nil {
		r.line = n.line
	}
	return r
}

// parseYAML reads the documents of a file. A fault of the YAML library ends in an error, not in a panic.
func parseYAML(text []byte) (docs []*node, err error) {
	if len(text) > MaxFile {
		return nil, refuse(nil, "the file has %d bytes, limit is %d", len(text), MaxFile)
	}
	defer func() {
		if r := recover(); r != nil {
			docs, err = nil, refuse(nil, "cannot be read as YAML: %v", r)
		}
	}()
	tokens := lexer.Tokenize(strings.TrimPrefix(string(text), "\ufeff"))
	if t := nesting.TooDeep(tokens, maxDepth); t != nil {
		return nil, &refusal{t.Position.Line, fmt.Sprintf("is nested more than %d deep", maxDepth)}
	}
	f, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, yamlFault(err)
	}
	r := &reader{anchors: map[string]ast.Node{}}
	for _, d := range f.Docs {
		if d.Body == nil || d.Body.Type() == ast.CommentType {
			continue
		}
		n, err := r.read(d.Body, 0)
		if err != nil {
			return nil, err
		}
		if n.kind != nullNode {
			docs = append(docs, n)
		}
	}
	return docs, nil
}

func yamlFault(err error) error {
	out := &refusal{}
	var y yaml.Error
	if errors.As(err, &y) {
		out.reason = y.GetMessage()
		if t := y.GetToken(); t != nil && t.Position != nil {
			out.line = t.Position.Line
		}
	} else {
		out.reason = err.Error()
	}
	out.reason, _, _ = strings.Cut(out.reason, "\n")
	out.reason = "cannot be read as YAML: " + out.reason
	return out
}

// reader turns the library's tree into ours and counts what it makes, so that aliases of aliases cannot fill the memory.
type reader struct {
	anchors map[string]ast.Node
	made    int
}

func (r *reader) read(n ast.Node, depth int) (*node, error) {
	out := &node{line: lineOf(n)}
	if r.made++; r.made > maxNodes {
		return nil, refuse(out, "has more than %d values", maxNodes)
	}
	if depth > maxDepth {
		return nil, refuse(out, "is nested more than %d deep", maxDepth)
	}
	switch v := n.(type) {
	case *ast.AnchorNode:
		r.anchors[v.Name.GetToken().Value] = v.Value
		return r.read(v.Value, depth+1)
	case *ast.AliasNode:
		name := v.Value.GetToken().Value
		to := r.anchors[name]
		if to == nil {
			return nil, refuse(out, "alias *%.60s has no anchor", name)
		}
		return r.read(to, depth+1)
	case *ast.TagNode:
		return r.tagged(v, depth)
	case *ast.SequenceNode:
		out.kind = listNode
		for _, e := range v.Values {
			c, err := r.read(e, depth+1)
			if err != nil {
				return nil, err
			}
			out.vals = append(out.vals, c)
		}
		return out, nil
	case *ast.MappingNode:
		out.kind = mapNode
		for _, e := range v.Values {
			if err := r.entry(out, e, depth); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *ast.MappingValueNode:
		out.kind = mapNode
		return out, r.entry(out, v, depth)
	}
	out.kind, out.text = scalarOf(n)
	return out, nil
}

// tagged reads a value with a tag: !!str makes a text of anything, other tags change nothing.
func (r *reader) tagged(v *ast.TagNode, depth int) (*node, error) {
	n, err := r.read(v.Value, depth+1)
	if err == nil && v.Start.Value == "!!str" && n.kind < listNode {
		n.kind = textNode
	}
	return n, err
}

// entry reads one key and its value into a map. The merge key << adds what is not there yet.
func (r *reader) entry(out *node, e *ast.MappingValueNode, depth int) error {
	val, err := r.read(e.Value, depth+1)
	if err != nil {
		return err
	}
	if e.Key.Type() == ast.MergeKeyType {
		for _, from := range val.list() {
			for i, k := range from.keys {
				if out.get(k.text) == nil {
					out.keys, out.vals = append(out.keys, k), append(out.vals, from.vals[i])
				}
			}
		}
		return nil
	}
	key := &node{line: lineOf(e.Key), kind: textNode, text: e.Key.GetToken().Value}
	if s, ok := e.Key.(*ast.StringNode); ok {
		key.text = s.Value
	}
	if out.get(key.text) != nil {
		return refuse(key, "key %.60q is there twice", key.text)
	}
	out.keys, out.vals = append(out.keys, key), append(out.vals, val)
	return nil
}

func scalarOf(n ast.Node) (nodeKind, string) {
	switch v := n.(type) {
	case *ast.LiteralNode:
		return textNode, v.Value.Value
	case *ast.StringNode:
		if t := v.Token; t != nil && t.Type == token.StringType && yamlBool(v.Value) {
			return boolNode, v.Value
		}
		return textNode, v.Value
	case *ast.IntegerNode, *ast.FloatNode:
		return numberNode, n.GetToken().Value
	case *ast.BoolNode:
		return boolNode, n.GetToken().Value
	case *ast.NullNode:
		return nullNode, ""
	}
	return textNode, n.GetToken().Value
}

// yamlBool tells whether YAML 1.1, which Sigma's own tools read, takes the bare word for a boolean.
func yamlBool(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "no", "on", "off":
		return true
	}
	return false
}

func lineOf(n ast.Node) int {
	switch v := n.(type) {
	case *ast.MappingNode:
		if len(v.Values) > 0 {
			n = v.Values[0].Key
		}
	case *ast.MappingValueNode:
		n = v.Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}
