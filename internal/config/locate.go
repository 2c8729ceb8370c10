package config

import (
	"reflect"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// maxTrials bounds the decodings that locate tries.
const maxTrials = 2000

// locator finds the node that a value's own unmarshaler refused. Such errors come without a place, so parts of the document are
// taken away, one after the other, until the error changes: it was in the part that is missing then.
type locator struct {
	body   ast.Node
	target reflect.Type
	msg    string
	trials int
}

// locate returns the line that err, from decoding body into a value like v, comes from; 0 when it cannot be told.
func locate(body ast.Node, v any, err error) int {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer {
		return 0
	}
	l := &locator{body: body, target: t.Elem(), msg: err.Error()}
	return l.search(body)
}

func (l *locator) search(n ast.Node) int {
	switch n := n.(type) {
	case *ast.MappingNode:
		for i, entry := range n.Values {
			all := n.Values
			n.Values = slices.Delete(slices.Clone(all), i, i+1)
			here := l.gone()
			n.Values = all
			if here {
				return l.deeper(entry.Value, entry.Key)
			}
		}
	case *ast.MappingValueNode:
		return l.deeper(n.Value, n.Key)
	case *ast.SequenceNode:
		for i, element := range n.Values {
			all := n.Values
			n.Values = slices.Delete(slices.Clone(all), i, i+1)
			here := l.gone()
			n.Values = all
			if here {
				return l.deeper(element, element)
			}
		}
	}
	return 0
}

// deeper looks within the node, and settles for the line of the key in front of it.
func (l *locator) deeper(n, key ast.Node) int {
	if line := l.search(n); line > 0 {
		return line
	}
	if t := key.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// gone tells whether the document as it stands now no longer has the error.
func (l *locator) gone() bool {
	if l.trials++; l.trials > maxTrials {
		return false
	}
	err := yaml.NodeToValue(l.body, reflect.New(l.target).Interface(), yaml.Strict())
	return err == nil || err.Error() != l.msg
}
