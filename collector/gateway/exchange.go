package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/warder/warder/internal/event"
)

// exchange is one request and its response, on the way to become an event. The handler's goroutine owns it, but for the body's
// counter, which the transport's goroutine advances.
type exchange struct {
	g    *Gateway
	ev   *event.Event
	res  response
	peer netip.Addr

	rawPath, clean string

	start     time.Time
	received  atomic.Int64 // bytes of the request's body
	over      atomic.Bool  // the handler has returned
	stalled   atomic.Bool  // the client stopped sending its body
	forwarded bool         // the upstream was asked
	left      bool         // the client left before there was an answer
	emitted   bool
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// peerOf returns the other end of the connection.
func peerOf(r *http.Request) netip.AddrPort {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// begin notes what the request says by itself.
func (g *Gateway) begin(w http.ResponseWriter, r *http.Request) *exchange {
	peer := peerOf(r)
	x := &exchange{g: g, peer: peer.Addr(), start: time.Now(), clean: cleanPath(r.URL.Path)}
	x.res = response{ResponseWriter: w, x: x, length: -1, head: r.Method == http.MethodHead, http2: r.ProtoMajor == 2}
	query := ""
	x.rawPath, query = target(r)
	e := &event.Event{Kind: event.Request, Time: x.start.UTC()}
	e.Request = event.RequestInfo{
		ID: requestID(r.Header), Method: r.Method, Scheme: "http", Protocol: r.Proto, Host: r.Host, Path: x.rawPath,
		Query: redactQuery(query, g.who.params), UserAgent: r.UserAgent(), Referer: g.referer(r.Referer()), Headers: g.captured(r.Header),
	}
	if r.TLS != nil {
		e.Request.Scheme = "https"
		e.TLS = event.TLS{Version: strings.TrimPrefix(tls.VersionName(r.TLS.Version), "TLS "), SNI: r.TLS.ServerName,
			Fingerprint: fingerprintOf(r.Context())}
	}
	e.Source.Address = g.trusted.Client(peer.Addr(), r.Header)
	if e.Source.Address == peer.Addr() {
		e.Source.Port = peer.Port()
	} else {
		e.Source.Peer = peer.Addr()
	}
	x.ev = e
	return x
}

func (g *Gateway) referer(s string) string {
	if before, query, ok := strings.Cut(s, "?"); ok {
		return before + "?" + redactQuery(query, g.who.params)
	}
	return s
}

// captured returns the configured headers that are there. The collector redacts the well-known secret ones; the ones that only this
// configuration makes secret are redacted here.
func (g *Gateway) captured(h http.Header) map[string]string {
	var out map[string]string
	for _, name := range g.capture {
		values := h[name]
		if len(values) == 0 {
			continue
		}
		if out == nil {
			out = make(map[string]string, len(g.capture))
		}
		text := redacted
		if !g.who.secrets[name] {
			text = strings.Join(values, ", ")
		}
		out[strings.ToLower(name)] = text
	}
	return out
}

// requestID returns the client's X-Request-Id when it is harmless, else a new one: 32 hexadecimal digits.
func requestID(h http.Header) string {
	if id := h.Get("X-Request-Id"); id != "" && len(id) <= 128 && strings.IndexFunc(id, badInID) < 0 {
		return id
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func badInID(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:/=+@", r)
}

// done emits the event. The first call counts: it comes before the bytes that complete the response, or at the handler's end.
func (x *exchange) done() {
	if x.emitted {
		return
	}
	x.emitted = true
	e := x.ev
	e.Request.Size = x.received.Load()
	e.Request.Duration = time.Since(x.start)
	e.Response.Code, e.Response.Size = x.res.code, x.res.size
	e.Response.ContentType = x.res.Header().Get("Content-Type")
	if x.forwarded {
		x.upstreamOpinion()
	}
	x.g.record(e)
}

// upstreamOpinion takes the upstream's word on the credentials: 401 refuses them whatever the gateway found; 403 does, unless the
// gateway has verified them: then it is about rights, not about who is asking.
func (x *exchange) upstreamOpinion() {
	a := &x.ev.Auth
	switch {
	case a.Outcome == outcomeFailure:
	case x.res.code == http.StatusUnauthorized:
		a.Outcome, a.Reason = outcomeFailure, "upstream_401"
	case x.res.code == http.StatusForbidden && a.Outcome == outcomeSuccess:
		a.Reason = "upstream_403"
	case x.res.code == http.StatusForbidden:
		a.Outcome, a.Reason = outcomeFailure, "upstream_403"
	}
}

// end completes the exchange after the handler, also when it panicked: an aborted response has its event too.
func (x *exchange) end(ctx context.Context) {
	x.over.Store(true)
	p := recover()
	switch {
	case p == nil && x.left:
		x.res.code = statusClientLeft
		x.done()
		panic(http.ErrAbortHandler) // nobody to answer
	case p == nil:
		if x.res.code == 0 {
			x.res.WriteHeader(http.StatusOK) // what net/http would send
		}
		x.done()
		x.res.renewDeadline()
		return
	case p == http.ErrAbortHandler:
		x.aborted(ctx)
	default:
		x.g.met.panics.Inc()
		x.g.log.Error("request handler failed", "panic", p, "stack", string(debug.Stack()))
		if x.res.code == 0 {
			plain(&x.res, http.StatusInternalServerError)
			x.done()
			return
		}
		x.aborted(ctx)
	}
	panic(http.ErrAbortHandler)
}

// aborted records a response that was cut off, and by whom.
func (x *exchange) aborted(ctx context.Context) {
	by := "upstream"
	if ctx.Err() != nil || x.res.failed {
		by = "client"
	}
	if errors.Is(context.Cause(ctx), errDraining) {
		by = "shutdown"
	}
	if x.res.code == 0 {
		x.res.code = statusClientLeft
	}
	if !x.emitted { // afterwards the event is no longer ours
		x.ev.Ext = map[string]string{"aborted_by": by}
	}
	x.done()
}

// record hands the event to the collector within timeouts.emit. A loss is counted, never the request's problem.
func (g *Gateway) record(e *event.Event) {
	e.Bound()
	g.met.answered(e)
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.Timeouts.Emit.Std())
	defer cancel()
	began := time.Now()
	err := g.emit(ctx, e)
	g.met.emitSeconds.Observe(time.Since(began).Seconds())
	if err == nil {
		return
	}
	reason := "error"
	if errors.Is(err, context.DeadlineExceeded) {
		reason = "timeout"
	}
	g.met.lost.WithLabelValues(reason).Inc()
	if g.lastLoss.allow(time.Now()) {
		g.log.Error("an access event was lost; requests go on", "reason", reason, "error", err)
	}
}

// rateLimited lets one through per interval.
type rateLimited struct {
	every time.Duration
	last  atomic.Int64
}

func (l *rateLimited) allow(now time.Time) bool {
	last := l.last.Load()
	return now.UnixNano()-last >= int64(l.every) && l.last.CompareAndSwap(last, now.UnixNano())
}

var errBodyRead = errors.New("the request's body cannot be read")

// body counts the request's body and ends it when the client stalls.
type body struct {
	io.ReadCloser
	x     *exchange
	limit time.Duration
	set   time.Time // when the deadline was last moved
}

func (b *body) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.set) > b.limit/8 && !b.x.over.Load() {
		b.set = now
		_ = http.NewResponseController(b.x.res.ResponseWriter).SetReadDeadline(now.Add(b.limit))
	}
	n, err := b.ReadCloser.Read(p)
	b.x.received.Add(int64(n))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil || errors.As(err, &tooLarge):
		return n, err
	case errors.Is(err, io.EOF):
		// net/http now watches the connection for the client's leaving; a deadline would look like that.
		if !b.x.over.Load() {
			_ = http.NewResponseController(b.x.res.ResponseWriter).SetReadDeadline(time.Time{})
		}
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.x.stalled.Store(true)
		return n, errBodyRead
	}
	return n, errors.Join(errBodyRead, err)
}
