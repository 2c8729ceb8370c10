package rules

import (
	"net/netip"

	celast "github.com/google/cel-go/common/ast"
)

// Geo knows where addresses are. It must be a pure function of the address for as long as a Set lives, and safe for concurrent use:
// alerts depend on it.
type Geo interface {
	// Place returns what is known of the address; the zero Place for nothing.
	Place(netip.Addr) Place
}

// Place is where an address is and who runs its network. What is not known is empty or 0.
type Place struct {
	Country   string // ISO 3166-1 alpha-2, upper case
	Continent string // two letters: AF AN AS EU NA OC SA
	City      string
	Org       string // of the autonomous system
	ASN       uint32
}

// UsesGeo returns the ids of the rules that call geo(), in order: without a database they cannot do what they were written for, and who
// loads them should say so.
func (s *Set) UsesGeo() []string {
	var out []string
	for _, r := range s.rules {
		uses := calls(r.filter, "geo") || calls(r.condition, "geo")
		for i := range r.Aggregates {
			uses = uses || calls(r.Aggregates[i].of, "geo") || calls(r.Aggregates[i].where, "geo")
		}
		for i := range r.Except {
			uses = uses || calls(r.Except[i].when, "geo")
		}
		if uses {
			out = append(out, r.ID)
		}
	}
	return out
}

// calls tells whether the expression, which may be nil, calls the function.
func calls(x *expression, function string) bool {
	found := false
	if x != nil {
		celast.PreOrderVisit(x.ast.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
			found = found || e.Kind() == celast.CallKind && e.AsCall().FunctionName() == function
		}))
	}
	return found
}
