package rules

import (
	"cmp"
	"slices"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"github.com/warder/warder/internal/event"
)

// bound is a condition on a single name that lint understands: a comparison with literals, or the opposite of one.
type bound struct {
	name    string
	op      string // == < <= > >= in
	numbers []float64
	texts   []string
	not     bool
}

// boundOf reads an expression as a bound; false when it is not of that form.
func boundOf(e celast.Expr) (bound, bool) {
	if e.Kind() != celast.CallKind {
		return bound{}, false
	}
	call := e.AsCall()
	args := call.Args()
	switch fn := call.FunctionName(); fn {
	case operators.LogicalNot:
		b, ok := boundOf(args[0])
		b.not = !b.not
		return b, ok
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		b := bound{op: fn, not: fn == operators.NotEquals}
		if b.not {
			b.op = operators.Equals
		}
		if args[0].Kind() == celast.LiteralKind {
			args, b.op = []celast.Expr{args[1], args[0]}, mirrored(b.op)
		}
		b.name, _ = chain(args[0])
		return b, b.name != "" && b.add(args[1])
	case operators.In, operators.OldIn:
		b := bound{op: operators.In}
		b.name, _ = chain(args[0])
		if b.name == "" || args[1].Kind() != celast.ListKind {
			return b, false
		}
		for _, l := range args[1].AsList().Elements() {
			if !b.add(l) {
				return b, false
			}
		}
		return b, true
	}
	return bound{}, false
}

func (b *bound) add(e celast.Expr) bool {
	if e.Kind() != celast.LiteralKind {
		return false
	}
	switch v := e.AsLiteral().(type) {
	case types.Int:
		b.numbers = append(b.numbers, float64(v))
	case types.Double:
		b.numbers = append(b.numbers, float64(v))
	case types.String:
		b.texts = append(b.texts, string(v))
	default:
		return false
	}
	return true
}

func (b bound) opposite() bound {
	b.not = !b.not
	return b
}

// number tells whether the bound allows the number.
func (b bound) number(v float64) bool {
	ok := false
	for _, n := range b.numbers {
		switch b.op {
		case operators.Equals, operators.In:
			ok = ok || v == n
		case operators.Less:
			ok = v < n
		case operators.LessEquals:
			ok = v <= n
		case operators.Greater:
			ok = v > n
		case operators.GreaterEquals:
			ok = v >= n
		}
	}
	return ok != b.not
}

// text tells whether the bound allows the text.
func (b bound) text(v string) bool {
	if b.op != operators.Equals && b.op != operators.In {
		i := cmp.Compare(v, b.texts[0])
		return (i < 0 && (b.op == operators.Less || b.op == operators.LessEquals) || i > 0 && (b.op == operators.Greater || b.op == operators.GreaterEquals) ||
			i == 0 && (b.op == operators.LessEquals || b.op == operators.GreaterEquals)) != b.not
	}
	return slices.Contains(b.texts, v) != b.not
}

// domain is what is known of a name's values beside what a rule says.
type domain struct {
	whole bool     // whole numbers only
	least float64  // with bounded
	floor bool     // there is a least
	share bool     // at most 1
	words []string // the only texts; nil for any
}

// domains are those of a rule's names.
type domains func(name string) domain

// fieldDomain knows the event's fields: numbers are whole and never negative.
func fieldDomain(name string) domain {
	switch name {
	case "auth.outcome":
		return domain{words: []string{"", "anonymous", "success", "failure"}}
	case "enforced.action":
		return domain{words: append([]string{""}, event.Actions()...)}
	}
	return domain{whole: true, floor: true}
}

// aggregateDomain knows what a rule's aggregates can be.
func aggregateDomain(r *Rule) domains {
	return func(name string) domain {
		for i := range r.Aggregates {
			a := &r.Aggregates[i]
			switch part, ok := a.named(name); {
			case !ok || part == TopValue:
			case part != "":
				return domain{whole: part == TopCount, floor: true, share: part == TopShare}
			default:
				return domain{whole: a.integer, floor: slices.Contains([]string{Count, Distinct, Ratio, Rate}, a.Func), share: a.Func == Ratio}
			}
		}
		return domain{}
	}
}

// contradictory tells whether no value fulfils all the bounds on some name. It never says so wrongly.
func contradictory(known domains, bounds ...bound) bool {
	byName := map[string][]bound{}
	for _, b := range bounds {
		byName[b.name] = append(byName[b.name], b)
	}
	for name, list := range byName {
		if !possible(known(name), list) {
			return true
		}
	}
	return false
}

func possible(d domain, list []bound) bool {
	var numbers []float64
	var texts []string
	fixed := false
	for _, b := range list {
		numbers = append(numbers, b.numbers...)
		texts = append(texts, b.texts...)
		fixed = fixed || len(b.texts) > 0 && !b.not && (b.op == operators.Equals || b.op == operators.In)
	}
	switch {
	case len(texts) > 0 && len(numbers) > 0:
		return true // not one name after all
	case len(texts) > 0:
		if d.words != nil {
			texts = d.words
		} else if !fixed {
			return true
		}
		return slices.ContainsFunc(texts, func(v string) bool { return fits(list, func(b bound) bool { return b.text(v) }) })
	case len(numbers) > 0:
		return slices.ContainsFunc(candidates(d, numbers), func(v float64) bool { return fits(list, func(b bound) bool { return b.number(v) }) })
	}
	return true
}

func fits(list []bound, holds func(bound) bool) bool {
	return !slices.ContainsFunc(list, func(b bound) bool { return !holds(b) })
}

// candidates has a number of each stretch that the literals divide the numbers into: if none of them fulfils a set of comparisons
// with these literals, no number does.
func candidates(d domain, literals []float64) []float64 {
	sorted := slices.Compact(slices.Sorted(slices.Values(literals)))
	var out []float64
	for i, n := range sorted {
		out = append(out, n, n-1, n+1)
		if i > 0 && !d.whole {
			out = append(out, (n+sorted[i-1])/2)
		}
	}
	if d.floor {
		out = append(out, d.least)
		out = slices.DeleteFunc(out, func(v float64) bool { return v < d.least })
	}
	if d.share {
		out = append(out, 1)
		out = slices.DeleteFunc(out, func(v float64) bool { return v > 1 })
	}
	if d.whole {
		for i, v := range out { // a literal may be a fraction: code < 1.5
			if v != float64(int64(v)) {
				out[i] = float64(int64(v))
			}
		}
	}
	return out
}
