// Package gateway is the inline tap: a reverse proxy in front of one or more upstreams that emits one access event per request
// it answered and enforces the active decisions on the way.
//
// An event is emitted before the client can have the whole response, so that a process that is killed has recorded whatever
// it answered. Nothing that happens to an event (a full disk, a slow spool) fails or holds up the request for longer than
// timeouts.emit. docs/gateway.md describes the behaviour for operators.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/tlsconf"
)

// Gateway is the reverse proxy. Make it with New, start it once with Run.
type Gateway struct {
	cfg        Config
	facts      Facts
	set        *active.Set
	log        *slog.Logger
	met        *metrics
	trusted    *proxies
	who        *identifier
	routes     routes
	capture    []string // header names, canonical
	assertions []string // headers that only trusted proxies may set
	tls        *tls.Config
	transports []*http.Transport
	buffers    bufferPool

	emit     func(context.Context, *event.Event) error
	lastLoss rateLimited
	inflight sync.WaitGroup

	ready chan struct{}
	addr  net.Addr // set before ready is closed
}

// New builds a gateway that answers by the decisions of set. It reads certificates and key files, and opens no socket. The
// metrics are registered with reg, which may be nil. Errors are config.FieldErrors.
func New(cfg Config, set *active.Set, log *slog.Logger, reg prometheus.Registerer) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	met, err := newMetrics(reg, set)
	if err != nil {
		return nil, fmt.Errorf("register gateway metrics: %w", err)
	}
	g := &Gateway{
		cfg: cfg, set: set, log: log, met: met, ready: make(chan struct{}),
		routes:   routes{exact: map[string][]*route{}, wildcard: map[string][]*route{}},
		lastLoss: rateLimited{every: 10 * time.Second},
	}
	if g.trusted, err = newProxies(cfg.TrustedProxies); err != nil {
		return nil, config.Errorf("trusted_proxies", "%v", err)
	}
	if g.who, err = newIdentifier(&cfg, g.trusted, log, met); err != nil {
		return nil, err
	}
	for _, h := range cfg.Headers.Capture {
		g.capture = append(g.capture, http.CanonicalHeaderKey(h))
	}
	for _, c := range cfg.Principal {
		if c.Type == typeHeader {
			g.assertions = append(g.assertions, http.CanonicalHeaderKey(c.Name))
		}
	}
	if g.tls, err = serverTLS(cfg.TLS, log); err != nil {
		return nil, config.In("tls", err)
	}
	for i, rc := range cfg.Routes {
		if err := g.addRoute(rc); err != nil {
			return nil, config.In(fmt.Sprintf("routes[%d]", i), err)
		}
	}
	return g, nil
}

func (g *Gateway) addRoute(rc Route) error {
	r := &route{lastFailure: rateLimited{every: 10 * time.Second}, name: rc.Name, prefix: rc.prefix(), strip: rc.StripPrefix, keep: !rc.UpstreamHost}
	if r.name == "" {
		r.name = rc.Host + r.prefix
	}
	forward, transport, err := g.newForward(rc, r)
	if err != nil {
		return err
	}
	r.forward = forward
	g.transports = append(g.transports, transport)
	g.routes.add(rc.Host, r)
	return nil
}

func serverTLS(cfg TLS, log *slog.Logger) (*tls.Config, error) {
	if cfg.CertFile == "" {
		return nil, nil
	}
	cert, err := newCertificate(cfg.CertFile, cfg.KeyFile, log)
	if err != nil {
		return nil, config.Errorf("cert_file", "%v", err)
	}
	tc := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get, GetConfigForClient: fingerprint}
	if cfg.MinVersion == "1.3" {
		tc.MinVersion = tls.VersionTLS13
	}
	if cfg.ClientCAFile != "" {
		if tc.ClientCAs, err = tlsconf.Pool(cfg.ClientCAFile); err != nil {
			return nil, config.Errorf("client_ca_file", "%v", err)
		}
		tc.ClientAuth = tls.RequireAndVerifyClientCert
		if cfg.ClientAuth == "optional" {
			tc.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	return tc, nil
}

// Facts says what the collector knows of a request beyond what the gateway sees, for decisions about routes, countries and networks.
// Each function may be nil, is called once per request that no decision about its address blocks, and must be quick and safe for
// concurrent use.
type Facts struct {
	// Route returns the route template that the event will have, when the answer is not a 404.
	Route func(*event.Event) string
	// Place returns the country (ISO 3166-1 alpha-2, upper case) and the autonomous system of an address; "" and 0 when unknown.
	Place func(netip.Addr) (country string, asn uint32)
}

// Know tells the gateway where to ask. Call it before Run.
func (g *Gateway) Know(f Facts) { g.facts = f }

// Ready is closed once the gateway listens.
func (g *Gateway) Ready() <-chan struct{} { return g.ready }

// Addr returns the address that the gateway listens on, nil before Ready.
func (g *Gateway) Addr() net.Addr {
	select {
	case <-g.ready:
		return g.addr
	default:
		return nil
	}
}

// Run listens and serves until ctx ends, then stops accepting, lets what is in flight finish within timeouts.drain, and ends the
// rest. emit is called once per request, from many goroutines; the event is its own from then on. Run may be called
// once. It returns nil after a shutdown that ctx asked for.
func (g *Gateway) Run(ctx context.Context, emit func(context.Context, *event.Event) error) error {
	g.emit = emit
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", g.cfg.Listen)
	if err != nil {
		return fmt.Errorf("gateway: listen on %s: %w", g.cfg.Listen, err)
	}
	base, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	background, stopBackground := context.WithCancel(base)
	var jobs sync.WaitGroup
	for _, k := range g.who.keySets {
		jobs.Go(func() { k.run(background) })
	}
	defer func() {
		stopBackground()
		jobs.Wait()
		for _, t := range g.transports {
			t.CloseIdleConnections()
		}
	}()

	g.addr = l.Addr()
	srv := g.server(base)
	served := make(chan error, 1)
	go func() { served <- g.serve(srv, newListener(l, g)) }()
	close(g.ready)
	select {
	case err := <-served:
		end(errDraining)
		_ = srv.Close()
		g.inflight.Wait()
		return fmt.Errorf("gateway: serve on %s: %w", g.cfg.Listen, err)
	case <-ctx.Done():
	}
	return g.drain(srv, end, served)
}

func (g *Gateway) serve(srv *http.Server, l net.Listener) error {
	if g.tls != nil {
		return srv.ServeTLS(l, "", "")
	}
	return srv.Serve(l)
}

func (g *Gateway) server(base context.Context) *http.Server {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(g.cfg.H2C)
	return &http.Server{
		Handler:                      http.HandlerFunc(g.handle),
		DisableGeneralOptionsHandler: true,
		TLSConfig:                    g.tls,
		ReadHeaderTimeout:            g.cfg.Timeouts.ReadHeader.Std(),
		IdleTimeout:                  g.cfg.Timeouts.Idle.Std(),
		MaxHeaderBytes:               int(g.cfg.MaxHeaderBytes),
		ErrorLog:                     g.serverLog(),
		BaseContext:                  func(net.Listener) context.Context { return base },
		ConnContext:                  connContext,
		ConnState:                    g.connState,
		Protocols:                    p,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250,
			WriteByteTimeout:     g.cfg.Timeouts.Write.Std(),
			SendPingTimeout:      g.cfg.Timeouts.Idle.Std(),
		},
	}
}

// drain ends the server. Upgraded connections do not hold it up: they are ended once everything else is done.
func (g *Gateway) drain(srv *http.Server, end context.CancelCauseFunc, served <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.Timeouts.Drain.Std())
	defer cancel()
	err := srv.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		g.log.Warn("requests outlived the drain time and were ended", "drain", g.cfg.Timeouts.Drain)
		err = nil
	}
	end(errDraining)
	_ = srv.Close()
	g.inflight.Wait()
	<-served
	if err != nil {
		return fmt.Errorf("gateway: shut down: %w", err)
	}
	return nil
}
