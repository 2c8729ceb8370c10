package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/warder/warder/internal/event"
)

// net/http answers some requests itself, before any handler: malformed ones, headers above the limit, unknown transfer encodings.
// They are exactly what scanners send, so they need events too. The connection is wrapped: between a handler's end
// (http.StateIdle) or a request read (http.StateActive) and the moment that a handler starts, the server writes nothing else.

// listener wraps the connections and bounds how many are open at once; further clients wait in the kernel's queue.
type listener struct {
	net.Listener
	g      *Gateway
	places chan struct{} // nil: no bound
	closed chan struct{}
	once   sync.Once
}

func newListener(l net.Listener, g *Gateway) *listener {
	out := &listener{Listener: l, g: g, closed: make(chan struct{})}
	if n := g.cfg.MaxConnections; n > 0 {
		out.places = make(chan struct{}, n)
	}
	return out
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	leave := func() {}
	if l.places != nil {
		select {
		case l.places <- struct{}{}:
			leave = func() { <-l.places }
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
	c, err := l.Listener.Accept()
	if err != nil {
		leave()
		return nil, err
	}
	l.g.met.connections.Inc()
	return &conn{Conn: c, g: l.g, leave: sync.OnceFunc(leave)}, nil
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// conn watches one client connection, below TLS.
type conn struct {
	net.Conn
	g     *Gateway
	leave func()
	phase atomic.Int32 // between two handlers, see below
	read  atomic.Int64 // raw bytes since the last request began

	fingerprint atomic.Pointer[string] // of the TLS client hello; nil before it
}

// Close implements net.Conn.
func (c *conn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// CloseWrite lets net/http end a refused request without a reset that would take the answer away from the client.
func (c *conn) CloseWrite() error {
	if t, ok := c.Conn.(*net.TCPConn); ok {
		return t.CloseWrite()
	}
	return nil
}

// The phases of a connection.
const (
	handled int32 = iota // a handler has the request, or there was none yet
	idle                 // the last request is done; the next may lie in a buffer already
	pending              // a request was read, no handler has it yet
)

type connKey struct{}

func connContext(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, unwrap(nc))
}

func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}

func unwrap(nc net.Conn) *conn {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	c, _ := nc.(*conn)
	return c
}

func (c *conn) handling() {
	c.phase.Store(handled)
	c.read.Store(0)
}

// connState is the server's hook for a connection's changes of state.
func (g *Gateway) connState(nc net.Conn, state http.ConnState) {
	c := unwrap(nc)
	if c == nil {
		return
	}
	if t, ok := nc.(*tls.Conn); ok && state != http.StateClosed && t.ConnectionState().NegotiatedProtocol == "h2" {
		return
	}
	switch state {
	case http.StateIdle:
		c.phase.Store(idle)
	case http.StateActive:
		c.phase.Store(pending)
	case http.StateClosed:
		if c.phase.Swap(handled) == pending {
			g.met.refused.WithLabelValues("incomplete").Inc()
		}
	}
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// Write implements net.Conn. It emits the event of a request that net/http refuses before the answer goes out.
func (c *conn) Write(p []byte) (int, error) {
	if c.phase.Load() != handled {
		if code := c.refusal(p); code != 0 && c.phase.Swap(handled) != handled {
			c.g.refusedByServer(c, code)
		}
	}
	return c.Conn.Write(p)
}

// refusal returns the status code that p answers with, 0 when p is none. Below TLS it can only be guessed: application data of
// a certain length that follows more bytes than the header may have is a 431, other such data a 400.
func (c *conn) refusal(p []byte) int {
	const recordApplicationData, alert = 23, 64 // an alert's record is shorter
	if c.g.tls != nil {
		switch {
		case len(p) < alert || p[0] != recordApplicationData:
			return 0
		case c.read.Load() > int64(c.g.cfg.MaxHeaderBytes):
			return http.StatusRequestHeaderFieldsTooLarge
		}
		return http.StatusBadRequest
	}
	const line = "HTTP/1.1 400"
	if len(p) < len(line) || !bytes.HasPrefix(p, []byte("HTTP/1.")) {
		return 0
	}
	code, err := strconv.Atoi(string(p[len(line)-3 : len(line)]))
	if err != nil || code < 400 {
		return 0
	}
	return code
}

// refusedByServer emits what is known of a request that has no handler: who and how, not what. The client behind a trusted
// proxy is not known, and the proxy is not the client.
func (g *Gateway) refusedByServer(c *conn, code int) {
	reason := "malformed"
	if code == http.StatusRequestHeaderFieldsTooLarge {
		reason = "header_too_large"
	}
	g.met.refused.WithLabelValues(reason).Inc()
	e := &event.Event{Kind: event.Request, Time: time.Now().UTC(), Ext: map[string]string{"refused_by": "http_parser"}}
	e.Request.Scheme = "http"
	if g.tls != nil {
		e.Request.Scheme = "https"
	}
	e.Response.Code = code
	if ap, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		peer := ap.Addr().Unmap().WithZone("")
		if g.trusted.Trusts(peer) {
			e.Source.Peer = peer
		} else {
			e.Source.Address, e.Source.Port = peer, ap.Port()
		}
	}
	g.record(e)
}

// serverLog takes net/http's messages: failed TLS handshakes are counted, and all of them go to the debug level, because a
// stranger can cause any number of them.
func (g *Gateway) serverLog() *log.Logger {
	return log.New(&serverLog{g: g, to: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug).Writer()}, "", 0)
}

type serverLog struct {
	g  *Gateway
	to io.Writer
}

// Write implements io.Writer.
func (l *serverLog) Write(p []byte) (int, error) {
	if strings.Contains(string(p[:min(len(p), 64)]), "TLS handshake error") {
		l.g.met.refused.WithLabelValues("tls_handshake").Inc()
	}
	return l.to.Write(p)
}
