package gateway

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/warder/warder/internal/clientaddr"
)

// proxies is the set of peers whose word about the client's address is taken.
type proxies struct{ *clientaddr.Trusted }

func newProxies(list []string) (*proxies, error) {
	t, err := clientaddr.New(list)
	return &proxies{t}, err
}

// forwarded writes the forwarding headers of the upstream request. What an untrusted peer said about itself is replaced, and
// the header "Forwarded", which this gateway does not read, never passes.
func (p *proxies) forwarded(out http.Header, in *http.Request, peer, client netip.Addr, scheme string) {
	chain, host, proto := peer.String(), in.Host, scheme
	if p.Trusts(peer) {
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
