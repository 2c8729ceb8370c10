package gateway

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// downFor is how long an upstream that could not be connected to is passed over, while there are others.
const downFor = 5 * time.Second

// backend is one upstream of a route.
type backend struct {
	url       *url.URL
	downUntil atomic.Int64 // Unix nanoseconds
}

// balancer sends a route's requests to its upstreams in turn. When a connection cannot be made, nothing has been sent yet, so a
// request without a body goes to the next one.
type balancer struct {
	transport http.RoundTripper
	targets   []*backend
	next      atomic.Uint64
}

// RoundTrip implements http.RoundTripper.
func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	path, raw, opaque := r.URL.Path, r.URL.RawPath, r.URL.Opaque
	start := b.next.Add(1) - 1
	for try := 0; ; try++ {
		t := b.pick(start + uint64(try))
		t.aim(r, path, raw, opaque)
		res, err := b.transport.RoundTrip(r)
		var op *net.OpError
		if err == nil || !errors.As(err, &op) || op.Op != "dial" || r.Context().Err() != nil {
			return res, err
		}
		t.downUntil.Store(time.Now().Add(downFor).UnixNano())
		if try+1 == len(b.targets) || r.Body != nil && r.Body != http.NoBody {
			return nil, err
		}
	}
}

// pick returns the target at position i, or the next one that is not down; when all are, the one at i.
func (b *balancer) pick(i uint64) *backend {
	n := uint64(len(b.targets))
	if n > 1 {
		now := time.Now().UnixNano()
		for k := range n {
			if t := b.targets[(i+k)%n]; t.downUntil.Load() <= now {
				return t
			}
		}
	}
	return b.targets[i%n]
}

// aim points the request at the backend, whose own path, if any, goes in front.
func (t *backend) aim(r *http.Request, path, raw, opaque string) {
	r.URL.Scheme, r.URL.Host = t.url.Scheme, t.url.Host
	base := strings.TrimRight(t.url.Path, "/")
	r.URL.Path, r.URL.RawPath, r.URL.Opaque = base+path, "", opaque
	if raw != "" {
		r.URL.RawPath = strings.TrimRight(t.url.EscapedPath(), "/") + raw
	}
	if opaque != "" && opaque != "*" {
		r.URL.Opaque = strings.TrimRight(t.url.EscapedPath(), "/") + opaque
	}
	if r.URL.Opaque != "" {
		r.URL.Path, r.URL.RawPath = "", ""
	}
}
