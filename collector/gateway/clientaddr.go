package gateway

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"
)

// maxHops bounds how many entries of X-Forwarded-For are looked at, from the right.
const maxHops = 64

// proxies is the set of peers whose word about the client's address is taken.
type proxies struct{ table bart.Lite }

func newProxies(list []string) (*proxies, error) {
	p := new(proxies)
	for _, s := range list {
		pfx, err := parsePrefix(s)
		if err != nil {
			return nil, err
		}
		p.table.Insert(pfx)
	}
	return p, nil
}

func (p *proxies) trusts(a netip.Addr) bool { return a.IsValid() && p.table.Contains(a) }

// client returns the client's address. From a trusted peer it is the rightmost entry of X-Forwarded-For that no trusted proxy
// wrote about another one, else X-Real-IP; from anyone else, the peer itself, whatever the headers say.
func (p *proxies) client(peer netip.Addr, h http.Header) netip.Addr {
	if !p.trusts(peer) {
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

// rightmost walks the hops from the last to the first, as long as trusted proxies vouch for them. At an entry that is not an
// address the walk ends: what stands left of it was written by nobody we know.
func (p *proxies) rightmost(peer netip.Addr, lines []string) netip.Addr {
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
			if last = a; !p.trusts(a) {
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

// forwarded writes the forwarding headers of the upstream request. What an untrusted peer said about itself is replaced, and
// the header "Forwarded", which this gateway does not read, never passes.
func (p *proxies) forwarded(out http.Header, in *http.Request, peer, client netip.Addr, scheme string) {
	chain, host, proto := peer.String(), in.Host, scheme
	if p.trusts(peer) {
		if prior := in.Header["X-Forwarded-For"]; len(prior) > 0 {
			chain = strings.Join(prior, ", ") + ", " + chain
		}
		if h := in.Header.Get("X-Forwarded-Host"); h != "" {
			host = h
		}
		if s := in.Header.Get("X-Forwarded-Proto"); s == "http" || s == "https" {
			proto = s
		}
	}
	out.Del("Forwarded")
	out.Set("X-Forwarded-For", chain)
	out.Set("X-Forwarded-Host", host)
	out.Set("X-Forwarded-Proto", proto)
	out.Set("X-Real-Ip", client.String())
	for name := range out {
		if spoofable(name) {
			delete(out, name)
		}
	}
}

// disguised tells whether many servers would take the header for another one that this gateway writes, or keeps from strangers:
// what speaks CGI, WSGI and the like makes HTTP_X_REAL_IP of X-Real-Ip and of X_Real_Ip.
func disguised(name string, assertions []string) bool {
	if strings.IndexByte(name, '_') < 0 {
		return false
	}
	plain := http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	switch plain {
	case "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "X-Request-Id":
		return true
	}
	return spoofable(plain) || slices.ContainsFunc(assertions, func(a string) bool {
		return plain == http.CanonicalHeaderKey(strings.ReplaceAll(a, "_", "-")) && name != a
	})
}

// spoofable names further headers in which proxies state a client's address, and which some frameworks believe.
func spoofable(name string) bool {
	switch name {
	case "True-Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Originating-Ip", "X-Remote-Ip", "X-Remote-Addr", "Client-Ip",
		"X-Forwarded-Client-Cert", "X-Original-Forwarded-For":
		return true
	}
	return false
}
