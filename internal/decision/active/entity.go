package active

import (
	"net/netip"
	"strconv"

	"github.com/warder/warder/internal/decision"
)

// entity is the canonical form of decision.Key: one address or prefix has one spelling here, however the decision writes it. The first
// term says in which table the decision stands and under which key.
type entity struct {
	action decision.Action
	scope  decision.Scope
	prefix netip.Prefix // for an address and for a prefix
	name   name         // for all others
	rest   string       // the further terms
}

// name is a value of a scope that is looked up whole.
type name struct {
	scope  int8   // decision.Scope.Rank
	number uint32 // for ASN
	text   string // for all others
}

// entityOf validates the decision and finds its entity. IPv4-mapped IPv6 is IPv4, an address has no zone, a prefix is masked.
func entityOf(d *decision.Decision) (entity, error) {
	if err := d.Validate(); err != nil {
		return entity{}, err
	}
	e := entity{action: d.Action, scope: d.Scope}
	switch d.Scope {
	case decision.Address:
		a, err := netip.ParseAddr(d.Value)
		if err != nil {
			return entity{}, err
		}
		a = a.Unmap().WithZone("")
		e.prefix = netip.PrefixFrom(a, a.BitLen())
	case decision.CIDR:
		p, err := decision.Prefix(d.Value)
		if err != nil {
			return entity{}, err
		}
		e.prefix = p
	case decision.ASN:
		n, err := strconv.ParseUint(d.Value, 10, 32)
		if err != nil {
			return entity{}, err
		}
		e.name = name{scope: int8(d.Scope.Rank()), number: uint32(n)}
	default:
		e.name = name{scope: int8(d.Scope.Rank()), text: d.Value}
	}
	if len(d.And) == 0 {
		return e, nil
	}
	terms, err := decision.Canonical(d.And...)
	if err != nil {
		return entity{}, err
	}
	for _, t := range terms {
		e.rest += string(t.Scope) + "|" + t.Value + "\x1f"
	}
	return e, nil
}
