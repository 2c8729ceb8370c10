package nginx

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/warder/warder/internal/decision"
)

// Bounds of the file.
const (
	MaxNetworks = 100_000 // addresses and CIDRs, which NGINX finds in a tree
	MaxNames    = 2_000   // principals, and user agents: each request is compared with all of them
)

// Supports tells why the file cannot express a decision.
func (g *Gateway) Supports(d *decision.Decision) error {
	switch {
	case d.Action != decision.Block:
		return errors.New("nginx: the include file can express only blocks; auth_request knows the other actions")
	case len(d.And) > 0:
		return errors.New("nginx: the include file can express no combinations of scopes")
	case d.ID == "" || d.ID == "0" || len(d.ID) > 64 || strings.ContainsFunc(d.ID, notWord):
		return errors.New("nginx: the decision's id is not 1 to 64 letters, digits, - and _")
	}
	switch d.Scope {
	case decision.Address, decision.CIDR, decision.UserAgent:
		return nil
	case decision.Principal:
		if g.cfg.Principal == "" {
			return errors.New(`nginx: "principal" names no variable with the principal`)
		}
		return nil
	}
	return fmt.Errorf("nginx: the include file does not know the scope %s", d.Scope)
}

func notWord(r rune) bool { return r != '-' && r != '_' && !plain(r) }

func plain(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' }

// render returns the file. $warder_blocked is the id of the decision that blocks the request, empty without one.
func render(want []*decision.Decision, principal string) (string, error) {
	networks := map[netip.Prefix]bool{}
	var addresses, principals, agents []string
	for _, d := range want {
		switch d.Scope {
		case decision.Principal:
			principals = append(principals, exactly(d))
		case decision.UserAgent:
			agents = append(agents, exactly(d))
		default:
			p, err := network(d)
			if err != nil {
				return "", fmt.Errorf("decision %.40q: %w", d.ID, err)
			}
			if !networks[p] { // NGINX warns of two
				networks[p] = true
				addresses = append(addresses, p.String()+" "+d.ID)
			}
		}
	}
	if len(addresses) > MaxNetworks || len(principals) > MaxNames || len(agents) > MaxNames {
		return "", fmt.Errorf("%d networks, %d principals, %d user agents; limits are %d, %d and %d", len(addresses), len(principals),
			len(agents), MaxNetworks, MaxNames, MaxNames)
	}
	var b strings.Builder
	b.WriteString("# Written by Warder; changes are undone. See docs/gateways/nginx-include.md.\n")
	section(&b, "geo $warder_blocked_address", `""`, addresses)
	last := "$warder_blocked_address"
	if principal != "" {
		section(&b, "map "+principal+" $warder_blocked_principal", last, principals)
		last = "$warder_blocked_principal"
	}
	section(&b, "map $http_user_agent $warder_blocked", last, agents)
	return b.String(), nil
}

func section(b *strings.Builder, head, otherwise string, entries []string) {
	fmt.Fprintf(b, "%s {\ndefault %s;\n", head, otherwise)
	for _, e := range entries {
		b.WriteString(e + ";\n")
	}
	b.WriteString("}\n")
}

func network(d *decision.Decision) (netip.Prefix, error) {
	if d.Scope == decision.CIDR {
		return decision.Prefix(d.Value)
	}
	a, err := netip.ParseAddr(d.Value)
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen()), err
}

// exactly is a map's entry for the value as it is: as text it would be compared without regard to case. Every byte that is no ASCII letter
// or digit is written as its code, so that nothing in a value means anything to NGINX or to the regular expression.
func exactly(d *decision.Decision) string {
	var b strings.Builder
	b.WriteString(`"~\A`)
	for _, c := range []byte(d.Value) {
		if plain(rune(c)) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String() + `\z" ` + d.ID
}
