package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// explain turns CEL's issues into faults with what the author needs to know: the field that does not exist and the one that
// was probably meant, or the types that do not fit.
func (env *environment) explain(text string, parsed *celast.AST, issues *cel.Issues, known []string) error {
	var out []error
	for _, e := range issues.Errors() {
		f := &fault{at: offset(text, e.Location), msg: firstLine(e.Message), id: e.ExprID}
		if name, ok := undeclared(e.Message); ok {
			f.msg = env.undeclared(parsed, e.ExprID, name, known)
		} else if msg, ok := mismatch(e.Message); ok {
			f.msg = msg
		}
		if hint := foreignWords(f.msg, text[min(f.at, len(text)):]); hint != "" {
			f.msg += ": " + hint
		}
		out = append(out, f)
		if len(out) == 5 {
			break
		}
	}
	return errors.Join(out...)
}

// offset is the byte offset of a CEL location, whose column counts characters from 0.
func offset(text string, l common.Location) int {
	at := 0
	for i := 1; i < l.Line(); i++ {
		n := strings.IndexByte(text[at:], '\n')
		if n < 0 {
			return len(text)
		}
		at += n + 1
	}
	for i := 0; i < l.Column() && at < len(text); i++ {
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
	}
	return at
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

func undeclared(msg string) (string, bool) {
	rest, ok := strings.CutPrefix(msg, "undeclared reference to '")
	if !ok {
		return "", false
	}
	name, _, ok := strings.Cut(rest, "'")
	return name, ok
}

// dottedName returns the whole name that the author wrote, of which CEL only reports the first part.
func dottedName(parsed *celast.AST, id int64, first string) string {
	longest := first
	celast.PreOrderVisit(parsed.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.SelectKind && e.Kind() != celast.IdentKind {
			return
		}
		if name, root := chain(e); root == id && len(name) > len(longest) {
			longest = name
		}
	}))
	return longest
}

// chain returns the dotted name of an expression a.b.c and the id of its first part; "" when it is something else.
func chain(e celast.Expr) (name string, root int64) {
	switch e.Kind() {
	case celast.IdentKind:
		return e.AsIdent(), e.ID()
	case celast.SelectKind:
		if s := e.AsSelect(); !s.IsTestOnly() {
			if name, root := chain(s.Operand()); name != "" {
				return name + "." + s.FieldName(), root
			}
		}
	}
	return "", 0
}

// unknown is the message for a name that does not exist.
func (env *environment) unknown(name string, known []string) string {
	if name == seenFunction {
		return seenMessage
	}
	kind := "field"
	if !strings.Contains(name, ".") {
		kind = "name"
	}
	if best := env.suggest(name, known); best != "" {
		return fmt.Sprintf("unknown %s %.100q: did you mean `%s`?", kind, name, best)
	}
	return fmt.Sprintf("unknown %s %.100q: docs/rules.md lists the fields", kind, name)
}

// suggest returns the known name nearest to the one given, "" when none is near.
func (env *environment) suggest(name string, known []string) string {
	if len(known) == 0 {
		if s, ok := synonyms()[strings.ToLower(name)]; ok {
			return s
		}
		known = append(slices.Clone(env.names), "decode")
	} else if i := slices.IndexFunc(known, func(k string) bool { return strings.HasPrefix(k, name+".") }); i >= 0 {
		return known[i] // a top is read through its parts
	}
	best, bestDistance := "", len(name)/3+2
	for _, k := range known {
		d := distance(name, k)
		// The last part alone is often right: "req.method".
		if _, last, ok := strings.Cut(k, "."); ok && strings.HasSuffix(name, "."+last) {
			d = min(d, 3)
		}
		if d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance is the edit distance (Levenshtein) between two short names.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			step := diagonal
			if a[i] != b[j] {
				step++
			}
			row[j+1] = min(step, above+1, row[j]+1)
			diagonal = above
		}
	}
	return row[len(b)]
}

// mismatch rewrites "found no matching overload for '_==_' applied to '(int, string)'".
func mismatch(msg string) (string, bool) {
	rest, ok := strings.CutPrefix(msg, "found no matching overload for '")
	if !ok {
		return "", false
	}
	function, rest, ok := strings.Cut(rest, "' applied to '")
	if !ok {
		return "", false
	}
	args, _, _ := strings.Cut(rest, "'")
	if op, ok := operators.FindReverse(function); ok && op != "" {
		if args == "(double, int)" || args == "(int, double)" {
			args += "; write a whole number beside a double as 3.0"
		}
		return fmt.Sprintf("wrong type: `%s` does not take %s", op, args), true
	}
	return fmt.Sprintf("wrong type: %s() does not take %s", function, args), true
}

// fieldName returns the variable that a checked expression names: the checker has made one name of a dotted one.
func fieldName(e celast.Expr) (string, bool) {
	if e.Kind() != celast.IdentKind {
		return "", false
	}
	return strings.TrimPrefix(e.AsIdent(), "."), true
}

// faultOf is a fault of one part of an expression.
func faultOf(text string, a *celast.AST, e celast.Expr, msg string) *fault {
	return &fault{at: positionOf(text, a, e.ID()), msg: msg, id: e.ID()}
}

// positionOf is the byte offset of a part of the expression; CEL counts characters.
func positionOf(text string, a *celast.AST, id int64) int {
	r, _ := a.SourceInfo().GetOffsetRange(id)
	at := 0
	for range r.Start {
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
	}
	return at
}

// refuses says why the field can never have the value; "" when it can.
func (f *field) refuses(literal celast.Expr) string {
	switch v := literal.AsLiteral().(type) {
	case types.Int:
		if most := f.largest(); v < 0 && f.num != nil {
			return fmt.Sprintf("impossible comparison: %s is never negative; 0 means unknown", f.name)
		} else if most > 0 && f.name != "response.code" && int64(v) > most {
			return fmt.Sprintf("impossible comparison: %s is at most %d", f.name, most)
		}
		if f.name == "response.code" && v != 0 && (v < 100 || v > 999) {
			return fmt.Sprintf("impossible comparison: a status code is 100 to 999 (0: unknown), not %d", int64(v))
		}
	case types.String:
		if f.text != nil {
			return f.refusesText(string(v))
		}
		if f.addr == nil || v == "" {
			break
		}
		a, err := netip.ParseAddr(string(v))
		if err != nil {
			return fmt.Sprintf("impossible comparison: %.60q is not an address; for a network write cidr(\"10.0.0.0/8\").containsIP(%s)", string(v), f.name)
		}
		if t := addrText(a); t != string(v) {
			return fmt.Sprintf("impossible comparison: the address is written %q", t)
		}
	}
	return ""
}
