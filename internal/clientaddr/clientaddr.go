// Package clientaddr finds out whose request a proxy passes on: the address that the nearest proxies vouch for, never one that a client
// wrote itself.
package clientaddr

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

// maxHops bounds how many entries of X-Forwarded-For are looked at, from the right.
const maxHops = 64

// Trusted is the set of peers whose word about the client's address is taken. It is safe for concurrent use.
type Trusted struct{ table bart.Lite }

// New returns the set of addresses and prefixes ("192.0.2.1", "10.0.0.0/8").
func New(list []string) (*Trusted, error) {
	p := new(Trusted)
	for _, s := range list {
		pfx, err := ParsePrefix(s)
		if err != nil {
			return nil, err
		}
		p.table.Insert(pfx)
	}
	return p, nil
}

// Trusts tells whether the address is in the set.
func (p *Trusted) Trusts(a netip.Addr) bool { return a.IsValid() && p.table.Contains(a) }

// Client returns the client's address. From a trusted peer it is the rightmost entry of X-Forwarded-For that no trusted proxy
// wrote about another one, else X-Real-IP; from anyone else, the peer itself, whatever the headers say.
func (p *Trusted) Client(peer netip.Addr, h http.Header) netip.Addr {
	if !p.Trusts(peer) {
		return peer
	}
	if lines := h["X-Forwarded-For"]; len(lines) > 0 {
		return p.rightmost(peer, lines)
	}
	if a, ok := parseHop(h.Get("X-Real-Ip")); ok {
		return a
	}
	return peer
}

// Vouched is Client for proxies that hand the headers over in another form than HTTP's: the lines of X-Forwarded-For.
func (p *Trusted) Vouched(peer netip.Addr, lines ...string) netip.Addr {
	if !p.Trusts(peer) || len(lines) == 0 {
		return peer
	}
	return p.rightmost(peer, lines)
}

// rightmost walks the hops from the last to the first, as long as trusted proxies vouch for them. At an entry that is not an
// address the walk ends: what stands left of it was written by nobody we know.
func (p *Trusted) rightmost(peer netip.Addr, lines []string) netip.Addr {
	last, hops := peer, 0
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for more := true; more; hops++ {
			var hop string
			at := strings.LastIndexByte(rest, ',')
			hop, more = rest[at+1:], at >= 0
			if more {
				rest = rest[:at]
			}
			a, ok := parseHop(hop)
			if !ok || hops == maxHops {
				return last
			}
			if last = a; !p.Trusts(a) {
				return a
			}
		}
	}
	return last
}

// parseHop reads "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80", each possibly in double quotes. IPv4-mapped IPv6
// becomes IPv4; a zone is cut off.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	if len(s) > 64 {
		return netip.Addr{}, false
	}
	if n := len(s); n > 1 && s[0] == '"' && s[n-1] == '"' {
		s = s[1 : n-1]
	}
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

// ParsePrefix reads an address or a prefix; IPv4-mapped IPv6 becomes IPv4, an address has no zone, bits of the host become 0.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return decision.Prefix(s)
}

// Validate tells which entries of the configuration's list under key New would not take, as config.FieldErrors.
func Validate(key string, list []string) error {
	var errs []error
	for i, p := range list {
		if _, err := ParsePrefix(p); err != nil {
			errs = append(errs, config.Errorf(fmt.Sprintf("%s[%d]", key, i), "%.60q is not an address or a prefix such as 10.0.0.0/8", p))
		}
	}
	return errors.Join(errs...)
}
