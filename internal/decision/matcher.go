package decision

import (
	"net/netip"
	"strconv"
)

// Matcher is terms whose values were parsed once. It answers what [Decision.Matches] answers, and does not allocate. It is immutable.
type Matcher struct{ terms []matcher }

// matcher is one parsed term.
type matcher struct {
	scope  Scope
	prefix netip.Prefix // for an address and for a prefix
	number uint32       // for ASN
	text   string       // for all others
}

// Matcher returns the decision's terms, parsed.
func (d *Decision) Matcher() *Matcher { return NewMatcher(d.Terms()...) }

// NewMatcher parses the terms. One that is not valid matches nothing; no terms match everything.
func NewMatcher(terms ...Term) *Matcher {
	m := &Matcher{terms: make([]matcher, len(terms))}
	for i, t := range terms {
		p := matcher{scope: t.Scope, text: t.Value}
		switch t.Scope {
		case Address:
			if a, err := netip.ParseAddr(t.Value); err == nil {
				a = a.Unmap().WithZone("")
				p.prefix = netip.PrefixFrom(a, a.BitLen())
			}
		case CIDR:
			if c, err := Prefix(t.Value); err == nil {
				p.prefix = c
			}
		case ASN:
			if n, err := strconv.ParseUint(t.Value, 10, 32); err == nil {
				p.number = uint32(n)
			}
		}
		m.terms[i] = p
	}
	return m
}

// Matches tells whether the request meets every term.
func (m *Matcher) Matches(q *Subject) bool {
	for i := range m.terms {
		if !m.terms[i].matches(q) {
			return false
		}
	}
	return true
}

func (m *matcher) matches(q *Subject) bool {
	switch m.scope {
	case Address, CIDR:
		return m.prefix.Contains(q.Address) // nothing when one of them is invalid
	case ASN:
		return q.ASN != 0 && m.number == q.ASN
	case APIKey:
		return q.APIKey && m.text != "" && m.text == q.Principal
	}
	return m.text != "" && m.text == q.text(m.scope)
}
