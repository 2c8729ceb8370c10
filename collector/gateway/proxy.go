package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/warder/warder/internal/config"
)

// Bounds of the transport to one route's upstreams.
const (
	maxIdlePerHost      = 256
	upstreamIdle        = 90 * time.Second
	maxResponseHeader   = 256 << 10
	tlsHandshakeTimeout = 10 * time.Second
)

// newForward builds the reverse proxy of one route. The caller owns the transport and closes its idle connections.
func (g *Gateway) newForward(cfg Route, r *route) (http.Handler, *http.Transport, error) {
	t, err := newTransport(cfg, g.cfg.Timeouts)
	if err != nil {
		return nil, nil, err
	}
	b := &balancer{transport: t}
	for _, raw := range cfg.Upstream {
		u, err := url.Parse(raw)
		if err != nil {
			return nil, nil, config.Errorf("upstream", "is not a URL")
		}
		if u.Scheme == "h2c" {
			u.Scheme = "http"
		}
		b.targets = append(b.targets, &backend{url: u})
	}
	return &httputil.ReverseProxy{
		Rewrite:      func(pr *httputil.ProxyRequest) { g.rewrite(r, pr) },
		Transport:    b,
		BufferPool:   &g.buffers,
		ErrorHandler: func(w http.ResponseWriter, out *http.Request, err error) { g.upstreamFailed(r, w, out, err) },
		ErrorLog:     slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}, t, nil
}

func newTransport(cfg Route, gw Timeouts) (*http.Transport, error) {
	connect, header := gw.UpstreamConnect.Std(), gw.UpstreamHeader.Std()
	if d := cfg.Timeouts.UpstreamConnect.Std(); d > 0 {
		connect = d
	}
	if d := cfg.Timeouts.UpstreamHeader.Std(); d > 0 {
		header = d
	}
	tc, err := cfg.UpstreamTLS.Config()
	if err != nil {
		return nil, config.In("upstream_tls", err)
	}
	t := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        tc,
		TLSHandshakeTimeout:    tlsHandshakeTimeout,
		ResponseHeaderTimeout:  header,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        upstreamIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true, // the client's Accept-Encoding and the upstream's answer pass as they are
		Protocols:              new(http.Protocols),
	}
	if strings.HasPrefix(cfg.Upstream[0], "h2c:") {
		t.Protocols.SetUnencryptedHTTP2(true)
	} else {
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
	}
	return t, nil
}

// rewrite makes the upstream request: path and query as the client sent them, forwarding headers that only say what is known.
func (g *Gateway) rewrite(r *route, pr *httputil.ProxyRequest) {
	x := exchangeOf(pr.In.Context())
	path, asSent := r.upstreamPath(x.rawPath, x.clean)
	u := &url.URL{RawQuery: pr.In.URL.RawQuery}
	if asSent {
		if decoded, err := url.PathUnescape(path); err == nil {
			u.Path, u.RawPath = decoded, path
		} else {
			u.Path = path
		}
	} else {
		u.Path = path
	}
	// URL would escape some characters that clients send bare; Opaque does not, but it must not begin with two slashes.
	if asSent && u.EscapedPath() != path && !strings.HasPrefix(path, "//") {
		u.Opaque = path
	}
	pr.Out.URL = u
	if r.keep {
		pr.Out.Host = pr.In.Host
	} else {
		pr.Out.Host = ""
	}
	g.trusted.forwarded(pr.Out.Header, pr.In, x.peer, x.ev.Source.Address, x.ev.Request.Scheme)
	pr.Out.Header.Set("X-Request-Id", x.ev.Request.ID)
	if !g.trusted.Trusts(x.peer) {
		for _, name := range g.assertions {
			pr.Out.Header.Del(name)
		}
	}
	for name := range pr.Out.Header {
		if disguised(name, g.assertions) {
			delete(pr.Out.Header, name)
		}
	}
	if offersHTTP(pr.Out.Header.Get("Upgrade")) {
		pr.Out.Header.Del("Connection")
		pr.Out.Header.Del("Upgrade")
	}
	pr.Out.Header.Del("Http2-Settings")
}

// offersHTTP tells whether an upgrade, which names protocols separated by commas, would lead to HTTP again, possibly below TLS. Such
// a connection would be a tunnel for requests that have no event and meet no decision.
func offersHTTP(upgrade string) bool {
	for token := range strings.SplitSeq(upgrade, ",") {
		name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(token)), "/")
		switch name {
		case "h2c", "h2", "http", "tls":
			return true
		}
	}
	return false
}

// upstreamFailed answers when there is no response from the upstream; out is the request as it went there. It logs at most one
// failure of a route every few seconds; the metric has them all.
func (g *Gateway) upstreamFailed(rt *route, w http.ResponseWriter, out *http.Request, err error) {
	x := exchangeOf(out.Context())
	code, reason := classify(out.Context(), err, x.stalled.Load())
	g.met.upstreamErrors.WithLabelValues(reason).Inc()
	if code == statusClientLeft {
		x.left = true
		return
	}
	if code >= http.StatusInternalServerError && rt.lastFailure.allow(time.Now()) {
		g.log.Warn("upstream did not answer", "route", rt.name, "upstream", out.URL.Host, "code", code, "reason", reason, "error", err,
			"advice", upstreamAdvice(reason))
	}
	plain(w, code)
}

// statusClientLeft is what an event has when the client left before there was an answer; nginx made the number known.
const statusClientLeft = 499

// errDraining is the cause with which requests end that outlive the drain time.
var errDraining = errors.New("the gateway is shutting down")

func classify(ctx context.Context, err error, stalled bool) (code int, reason string) {
	var tooLarge *http.MaxBytesError
	var dns *net.DNSError
	var op *net.OpError
	var unknown x509.UnknownAuthorityError
	var cert *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, "body_too_large"
	case stalled: // net/http cancels the request for it, so this goes before the context's error
		return http.StatusRequestTimeout, "body_stalled"
	case errors.Is(context.Cause(ctx), errDraining):
		return http.StatusServiceUnavailable, "draining"
	case ctx.Err() != nil, errors.Is(err, errBodyRead):
		return statusClientLeft, "client_left"
	case errors.As(err, &cert), errors.As(err, &unknown):
		return http.StatusBadGateway, "certificate"
	case errors.As(err, &timeout) && timeout.Timeout():
		return http.StatusGatewayTimeout, "timeout"
	case errors.As(err, &dns):
		return http.StatusBadGateway, "name"
	case errors.As(err, &op) && op.Op == "dial":
		return http.StatusBadGateway, "connect"
	}
	return http.StatusBadGateway, "protocol"
}

// upstreamAdvice says what to look at.
func upstreamAdvice(reason string) string {
	switch reason {
	case "certificate":
		return "its certificate is not trusted: set upstream_tls.ca_file or upstream_tls.server_name of the route"
	case "connect", "name":
		return "check that it runs, and upstream of the route"
	case "timeout":
		return "it is too slow, or timeouts.upstream_header is too short"
	case "draining":
		return "none: the gateway is stopping"
	}
	return "check that it speaks HTTP there, and its own log"
}

// bufferPool lends the buffers that bodies are copied through.
type bufferPool struct{ pool sync.Pool }

const copyBuffer = 32 << 10

func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[copyBuffer]byte); ok {
		return b[:]
	}
	return make([]byte, copyBuffer)
}

func (p *bufferPool) Put(b []byte) {
	if cap(b) >= copyBuffer {
		p.pool.Put((*[copyBuffer]byte)(b[:copyBuffer]))
	}
}
