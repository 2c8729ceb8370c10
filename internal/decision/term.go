package decision

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Scope says what kind of entity a value names. All but CIDR and APIKey are named as the field of the event that they are
// compared with.
type Scope string

// The scopes.
const (
	Address     Scope = "source.address"    // one IP address
	CIDR        Scope = "source.cidr"       // a prefix
	Principal   Scope = "principal.id"      // the proven principal
	APIKey      Scope = "principal.key"     // the proven principal, when an API key proved it
	Tenant      Scope = "principal.tenant"  // the proven principal's tenant
	Route       Scope = "api.route"         // the route template
	Country     Scope = "source.country"    // ISO 3166-1 alpha-2, upper case
	ASN         Scope = "source.asn"        // autonomous system number, decimal
	UserAgent   Scope = "request.useragent" // the whole header
	Fingerprint Scope = "tls.fingerprint"   // JA4, or what the gateway calls one
)

// Scopes lists all of them, the one that names the fewest requests first. Terms of a combination stand in this order.
func Scopes() []Scope {
	return []Scope{Address, Principal, APIKey, CIDR, Fingerprint, UserAgent, Tenant, Route, ASN, Country}
}

// Term is one condition on a request: the value that it must have in the scope.
type Term struct {
	Scope Scope  `json:"scope"`
	Value string `json:"value"`
}

// Canonical returns the terms in the one way in which they are written: values in their canonical form, in the order of [Scopes].
// IPv4-mapped IPv6 is IPv4, an address has no zone, a prefix is masked, a country is in upper case.
func Canonical(terms ...Term) ([]Term, error) {
	out := make([]Term, len(terms))
	for i, t := range terms {
		v, err := canonical(t)
		if err != nil {
			return nil, err
		}
		out[i] = Term{t.Scope, v}
	}
	slices.SortStableFunc(out, func(a, b Term) int { return a.Scope.Rank() - b.Scope.Rank() })
	return out, validTerms(out)
}

// Rank returns the scope's place in [Scopes], -1 for an unknown one. It does not allocate.
func (s Scope) Rank() int {
	switch s {
	case Address:
		return 0
	case Principal:
		return 1
	case APIKey:
		return 2
	case CIDR:
		return 3
	case Fingerprint:
		return 4
	case UserAgent:
		return 5
	case Tenant:
		return 6
	case Route:
		return 7
	case ASN:
		return 8
	case Country:
		return 9
	}
	return -1
}

func canonical(t Term) (string, error) {
	switch t.Scope {
	case Address:
		a, err := netip.ParseAddr(t.Value)
		if err != nil {
			return "", fmt.Errorf("value: %.60q is not an IP address", t.Value)
		}
		return a.Unmap().WithZone("").String(), nil
	case CIDR:
		p, err := Prefix(t.Value)
		if err != nil {
			return "", fmt.Errorf("value: %.60q is not a CIDR such as 203.0.113.0/24", t.Value)
		}
		return p.String(), nil
	case Country:
		return strings.ToUpper(t.Value), nil
	case ASN:
		return strings.TrimPrefix(strings.ToUpper(t.Value), "AS"), nil
	}
	return t.Value, nil
}

// Prefix reads a CIDR; IPv4-mapped IPv6 becomes IPv4, bits of the host become 0.
func Prefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, err
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// validTerms tells what makes the terms unusable.
func validTerms(terms []Term) error {
	if len(terms) == 0 {
		return errors.New("there are no terms")
	}
	if len(terms) > MaxTerms {
		return fmt.Errorf("%d terms, limit is %d", len(terms), MaxTerms)
	}
	for i, t := range terms {
		if err := t.validate(); err != nil {
			return err
		}
		if i > 0 && terms[i-1].Scope.Rank() >= t.Scope.Rank() {
			return fmt.Errorf("terms %s and %s are out of order or repeat", terms[i-1].Scope, t.Scope)
		}
	}
	return nil
}

func (t Term) validate() error {
	if t.Value == "" || len(t.Value) > MaxValue {
		return fmt.Errorf("value has %d bytes, want 1 to %d", len(t.Value), MaxValue)
	}
	if !printable(t.Value) {
		return errors.New("value holds control characters or is not UTF-8")
	}
	switch t.Scope {
	case Address:
		if _, err := netip.ParseAddr(t.Value); err != nil {
			return fmt.Errorf("value: %w", err)
		}
	case CIDR:
		if _, err := netip.ParsePrefix(t.Value); err != nil {
			return fmt.Errorf("value: %w", err)
		}
	case Country:
		if len(t.Value) != 2 || t.Value[0] < 'A' || t.Value[0] > 'Z' || t.Value[1] < 'A' || t.Value[1] > 'Z' {
			return fmt.Errorf("value: %.20q is not a country code of two letters", t.Value)
		}
	case ASN:
		if n, err := strconv.ParseUint(t.Value, 10, 32); err != nil || n == 0 || t.Value[0] == '0' {
			return fmt.Errorf("value: %.20q is not an autonomous system number", t.Value)
		}
	case Principal, APIKey, Tenant, Route, UserAgent, Fingerprint:
	default:
		return fmt.Errorf("unknown scope %.40q", t.Scope)
	}
	return nil
}

// printable tells whether a text may stand in a key: it is UTF-8 without control characters.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
