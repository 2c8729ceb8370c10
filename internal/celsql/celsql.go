// Package celsql translates the filter of a search, a CEL expression over an event, to SQL on the store's table of events.
//
// A filter is taken apart at its outermost &&. A part that SQL can say exactly is pushed to ClickHouse; the others are left to the rule
// engine's own evaluation, after ClickHouse has narrowed down what they are asked about as far as it can. Exactly means: for every event
// that the table can hold, SQL keeps the row if and only if the evaluation in Go of the part is true, with what CEL makes of missing keys,
// errors and overflows. Values only go in as parameters; the text of the SQL is this package's own.
//
// The package knows expressions and columns. It neither compiles filters nor talks to ClickHouse: who wires gives the store a [Compiler],
// so that the store does not depend on the rules. Everything in it is safe for concurrent use.
package celsql

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"

	"github.com/warder/warder/internal/event"
)

// Filter is a filter as the rule engine compiled it. It is safe for concurrent use.
type Filter interface {
	// AST is the checked expression.
	AST() *ast.AST
	// Match tells whether the filter holds; an error says that it does not because its evaluation failed.
	Match(*event.Event) (bool, error)
}

// Compiler compiles the text of a filter. Its errors say what is wrong in it and where.
type Compiler func(text string) (Filter, error)

// Param is a parameter of the SQL, which names it {Name:Type}. Value is a string, an int64, or a slice of one of them.
type Param struct {
	Name  string
	Value any
}

// Rest is a part of a filter that has to be evaluated in Go.
type Rest struct {
	Expr   string // as CEL
	Reason string // why
}

// Query is a translated filter.
type Query struct {
	// Where has conditions that every event fulfils for which the filter holds. When Rest is empty, no other event does.
	Where  []string
	Params []Param
	Pushed []string // the parts that Where says exactly, as CEL
	Rest   []Rest
	// Fields are the event fields that the filter reads, each once, in the order of their first use.
	Fields []string
}

// Exact tells that the filter need not be evaluated in Go.
func (q *Query) Exact() bool { return len(q.Rest) == 0 }

// Bounds of what is pushed. A part that passes one is evaluated in Go.
const (
	maxNodes      = 2_000     // steps of a translation, each at most a node of the expression
	maxParams     = 500       // of all parts
	maxParamBytes = 64 << 10  // of all parameters' values
	maxSQL        = 128 << 10 // bytes of all conditions; ClickHouse takes 256 KiB of text
)

// Translate translates a checked filter over the fields of the table. Parameters are named by the prefix and a number. It never fails: what
// cannot be translated is left to Go.
func Translate(a *ast.AST, table Table, prefix string) *Query {
	t := &translator{table: table, prefix: prefix, seen: map[string]int{}}
	q := &Query{Fields: fields(a.Expr(), table)}
	for _, part := range conjuncts(a.Expr(), nil) {
		text, err := cel.ExprToString(part, a.SourceInfo())
		if err != nil {
			text = "(a part that cannot be written out)"
		}
		c := t.part(part)
		if c.sql != "" && c.sql != sqlTrue {
			q.Where = append(q.Where, c.sql)
		}
		if c.exact {
			q.Pushed = append(q.Pushed, text)
			continue
		}
		if c.sql != "" {
			c.why += "; ClickHouse narrows down what is looked at"
		}
		q.Rest = append(q.Rest, Rest{text, c.why})
	}
	used := strings.Join(q.Where, " ")
	q.Params = slices.DeleteFunc(t.params, func(p Param) bool { return !strings.Contains(used, "{"+p.Name+":") })
	return q
}

// conjuncts appends the parts of e that && joins.
func conjuncts(e ast.Expr, dst []ast.Expr) []ast.Expr {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.LogicalAnd {
		for _, a := range e.AsCall().Args() {
			dst = conjuncts(a, dst)
		}
		return dst
	}
	return append(dst, e)
}

// fields lists the table's fields that e reads. A variable of a comprehension that has a field's name counts as the field, too.
func fields(e ast.Expr, table Table) []string {
	var out []string
	seen := map[string]bool{}
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.IdentKind {
			return
		}
		if name := e.AsIdent(); !seen[name] {
			if _, ok := table[name]; ok {
				seen[name] = true
				out = append(out, name)
			}
		}
	}))
	return out
}

// translator translates the parts of one filter.
type translator struct {
	table  Table
	prefix string
	params []Param
	seen   map[string]int // place of a parameter by its type and value
	bytes  int            // of the parameters
	sql    int            // bytes of the conditions so far
	nodes  int            // steps of the part at hand
}

// part translates one part. A part that is too large leaves nothing behind.
func (t *translator) part(e ast.Expr) cond {
	params, bytes := len(t.params), t.bytes
	t.nodes = 0
	c := t.holds(e, true)
	if t.nodes <= maxNodes && len(t.params) <= maxParams && t.bytes <= maxParamBytes && t.sql+len(c.sql) <= maxSQL {
		t.sql += len(c.sql)
		return c
	}
	t.params, t.bytes = t.params[:params], bytes
	maps.DeleteFunc(t.seen, func(_ string, place int) bool { return place >= params })
	return never("it is too large for SQL")
}

// step counts a step of the translation; false ends it.
func (t *translator) step() bool {
	t.nodes++
	return t.nodes <= maxNodes
}

// param makes a value a parameter and returns how the SQL writes it.
func (t *translator) param(typ string, value any, size int) string {
	key := fmt.Sprintf("%s %#v", typ, value)
	place, ok := t.seen[key]
	if !ok {
		place = len(t.params)
		t.seen[key] = place
		t.params = append(t.params, Param{fmt.Sprintf("%s%d", t.prefix, place), value})
		t.bytes += size
	}
	return "{" + t.params[place].Name + ":" + typ + "}"
}

func (t *translator) text(s string) string { return t.param("String", s, len(s)) }

func (t *translator) integer(n int64) string { return t.param("Int64", n, 8) }

func (t *translator) texts(list []string) string {
	size := 0
	for _, s := range list {
		size += len(s) + 4
	}
	return t.param("Array(String)", list, size)
}

func (t *translator) integers(list []int64) string {
	return t.param("Array(Int64)", list, 20*len(list))
}
