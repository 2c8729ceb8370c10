package celsql

import (
	"net/netip"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
)

const (
	noAddress = "toIPv6('::')"
	lowest4   = "toIPv6('::ffff:0.0.0.0')"
	highest4  = "toIPv6('::ffff:255.255.255.255')"
)

// AddressText is the text of an address column as CEL sees it: "" for none, IPv4 dotted, IPv6 as netip prints it. ClickHouse prints the
// addresses that begin with 96 zero bits with a dotted end, which netip does not.
func AddressText(column string) string {
	high, low := "substring(hex("+column+"), 25, 4)", "substring(hex("+column+"), 29, 4)"
	short := func(hex string) string {
		return "lower(if(" + hex + " = '0000', '0', trimLeft(" + hex + ", '0')))"
	}
	text := "toString(" + column + ")"
	return "multiIf(" + column + " = " + noAddress + ", '', " +
		column + " BETWEEN " + lowest4 + " AND " + highest4 + ", substring(" + text + ", 8), " +
		column + " < toIPv6('::1:0:0') AND " + column + " > toIPv6('::ffff'), concat('::', " + short(high) + ", ':', " + short(low) + "), " + text + ")"
}

// canonical tells whether a text is how CEL shows an address that the store can hold; "" is none.
func canonical(text string) bool {
	if text == "" {
		return true
	}
	a, err := netip.ParseAddr(text)
	return err == nil && !a.Is4In6() && a.Zone() == "" && a != netip.IPv6Unspecified() && a.String() == text
}

// stored is how the column holds the address.
func stored(text string) string {
	if text == "" {
		return "::"
	}
	a := netip.MustParseAddr(text)
	return netip.AddrFrom16(a.As16()).String()
}

// address translates the comparison of an address with a constant text: addresses have one text each, and others are never equal.
func (t *translator) address(column, text string) string {
	if !canonical(text) {
		return sqlFalse
	}
	return column + " = toIPv6(" + t.text(stored(text)) + ")"
}

func (t *translator) addressIn(column string, texts []string) string {
	var list []string
	for _, s := range texts {
		if canonical(s) {
			list = append(list, stored(s))
		}
	}
	if len(list) == 0 {
		return sqlFalse
	}
	return column + " IN arrayMap(x -> toIPv6(x), " + t.texts(list) + ")"
}

// containsIP translates cidr("…").containsIP(source.address), also with ip(source.address). Without an address CEL fails.
func (t *translator) containsIP(args []ast.Expr, want bool) cond {
	why := "this network is looked at in Go"
	if len(args) != 2 || !calls(args[0], "cidr") {
		return never(why)
	}
	literal := args[0].AsCall().Args()[0]
	if literal.Kind() != ast.LiteralKind {
		return never(why)
	}
	text, ok := literal.AsLiteral().(types.String)
	prefix, err := netip.ParsePrefix(string(text))
	if !ok || err != nil || prefix.Addr().Is4In6() {
		return never(why)
	}
	of := args[1]
	if calls(of, "ip") {
		of = of.AsCall().Args()[0]
	}
	a, cannot := t.value(of)
	if cannot != "" {
		return never(cannot)
	}
	if a.addr == "" {
		return never(why)
	}
	return test(t.within(a.addr, prefix.Masked()), want, join(a.def, []string{a.addr + " != " + noAddress}))
}

func calls(e ast.Expr, function string) bool {
	return e.Kind() == ast.CallKind && e.AsCall().FunctionName() == function && len(e.AsCall().Args()) == 1
}

// mapped has the IPv4 addresses as the columns hold them. No IPv6 network of CEL's has them.
var mapped = netip.PrefixFrom(netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff}), 96)

func (t *translator) within(column string, p netip.Prefix) string {
	first, last := p.Addr().As16(), p.Addr().As16()
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	for i := bits; i < 128; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	bound := func(b [16]byte) string { return "toIPv6(" + t.text(netip.AddrFrom16(b).String()) + ")" }
	parts := []string{column + " >= " + bound(first), column + " <= " + bound(last)}
	if !p.Addr().Is4() && p.Overlaps(mapped) {
		parts = append(parts, "NOT ("+column+" BETWEEN "+lowest4+" AND "+highest4+")")
	}
	return strings.Join(parts, " AND ")
}
