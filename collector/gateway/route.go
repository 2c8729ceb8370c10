package gateway

import (
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
)

// route is a configured route, ready to serve.
type route struct {
	name    string
	prefix  string // "/" or without a slash at the end
	strip   bool
	keep    bool // the upstream sees the client's Host
	forward http.Handler

	lastFailure rateLimited // of the log lines about an upstream that does not answer
}

// routes finds a request's route. It never changes after New.
type routes struct {
	exact    map[string][]*route // by host, longest prefix first
	wildcard map[string][]*route // by the part after "*."
	any      []*route
}

func (t *routes) add(host string, r *route) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	switch suffix, wild := strings.CutPrefix(host, "*."); {
	case wild:
		t.wildcard[suffix] = insert(t.wildcard[suffix], r)
	case host != "":
		t.exact[host] = insert(t.exact[host], r)
	default:
		t.any = insert(t.any, r)
	}
}

func insert(list []*route, r *route) []*route {
	i, _ := slices.BinarySearchFunc(list, r, func(a, b *route) int { return len(b.prefix) - len(a.prefix) })
	return slices.Insert(list, i, r)
}

// find returns the route of a Host header and a cleaned path, nil when there is none. An exact host goes before the longest
// matching wildcard, that before no host; within a host the longest prefix wins, and a host without a match passes on.
func (t *routes) find(host, clean string) *route {
	host = hostName(host)
	if r := longest(t.exact[host], clean); r != nil {
		return r
	}
	for rest := host; len(t.wildcard) > 0; {
		_, after, ok := strings.Cut(rest, ".")
		if !ok {
			break
		}
		if r := longest(t.wildcard[after], clean); r != nil {
			return r
		}
		rest = after
	}
	return longest(t.any, clean)
}

func longest(list []*route, clean string) *route {
	for _, r := range list {
		if hasPrefix(clean, r.prefix) {
			return r
		}
	}
	return nil
}

// hasPrefix matches whole segments.
func hasPrefix(p, prefix string) bool {
	if prefix == "/" {
		return true
	}
	rest, ok := strings.CutPrefix(p, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// hostName is the Host header without port, in lower case, without the dot of the root.
func hostName(host string) string {
	if strings.IndexByte(host, ':') >= 0 {
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// cleanPath is the path that routes are matched on: decoded, without "." and ".." segments and doubled slashes. The upstream gets
// the path as it was sent.
func cleanPath(p string) string {
	if p == "" || p[0] != '/' {
		p = "/" + p
	}
	return path.Clean(p)
}

// target is the request's path and query as sent.
func target(r *http.Request) (rawPath, rawQuery string) {
	uri := r.RequestURI
	if uri == "" || uri[0] != '/' && uri != "*" { // absolute form, or HTTP/2 without a path
		uri = r.URL.RequestURI()
	}
	rawPath, rawQuery, _ = strings.Cut(uri, "?")
	return rawPath, rawQuery
}

// upstreamPath is the path for the upstream, still encoded: as sent, without the prefix when the route says so. When the prefix
// only shows after cleaning (as in "/x/../api/users"), the cleaned path is used: what lies outside the prefix stays out of reach.
func (r *route) upstreamPath(rawPath, clean string) (encoded string, asSent bool) {
	if !r.strip {
		return rawPath, true
	}
	rest, ok := strings.CutPrefix(rawPath, r.prefix)
	if ok && (rest == "" || rest[0] == '/') {
		asSent = true
	} else {
		rest = strings.TrimPrefix(clean, r.prefix)
	}
	if rest == "" {
		rest = "/"
	}
	return rest, asSent
}
