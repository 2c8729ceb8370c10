// Package forwardauth answers gateways that ask over HTTP, for each request, whether it may pass: NGINX (auth_request), Traefik
// (forwardAuth), Caddy (forward_auth) and what works like them. The answers come from memory. See docs/gateways.
package forwardauth

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/warder/warder/enforcer/claims"
	"github.com/warder/warder/internal/clientaddr"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/decision/refusal"
	"github.com/warder/warder/internal/serve"
)

// HeaderStatus says to NGINX, whose auth_request lets only 2xx, 401 and 403 through, what the client is to get.
const HeaderStatus = "X-Warder-Status"

// Server answers. Its methods are safe for concurrent use.
type Server struct {
	*serve.Listener
	cfg     Config
	set     *active.Set
	log     *slog.Logger
	geo     claims.Geo
	tls     *tls.Config
	peers   *clientaddr.Trusted // who may ask
	trusted *clientaddr.Trusted // they and the proxies before them
	answers counters
}

// New builds a server that answers by the decisions of set. It reads certificates and opens no socket. geo, log and reg may be nil. Errors
// are config.FieldErrors.
func New(cfg Config, set *active.Set, geo claims.Geo, log *slog.Logger, reg prometheus.Registerer) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{Listener: serve.NewListener(cfg.Listen), cfg: cfg, set: set, log: log, geo: geo}
	var err error
	if s.tls, err = cfg.TLS.Config(); err != nil {
		return nil, config.In("tls", err)
	}
	if s.peers, err = clientaddr.New(cfg.TrustedPeers); err != nil {
		return nil, config.Errorf("trusted_peers", "%v", err)
	}
	if s.trusted, err = clientaddr.New(slices.Concat(cfg.TrustedPeers, cfg.TrustedProxies)); err != nil {
		return nil, config.Errorf("trusted_proxies", "%v", err)
	}
	if s.answers, err = newMetrics(reg); err != nil {
		return nil, err
	}
	return s, nil
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	return serve.HTTP(ctx, s.Listener, s.tls, s.Handler(), s.log)
}

// Handler answers /auth with the status that the client is to get, and /nginx with one that auth_request understands. Methods and
// bodies do not matter.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, refusal.Write) })
	mux.HandleFunc("/nginx", func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, forNGINX) })
	return mux
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, refuse func(http.ResponseWriter, decision.Verdict)) {
	peer := peerOf(r)
	if !s.peers.Trusts(peer) {
		s.answers[answerStranger].Inc()
		s.log.Debug("someone asked who is not among trusted_peers", "peer", peer.String())
		http.Error(w, "this address may not ask: add it to trusted_peers", http.StatusServiceUnavailable)
		return
	}
	q := s.subject(peer, r.Header)
	v := s.set.Check(&q, time.Now())
	if v.Decision != nil {
		w.Header().Set(refusal.HeaderDecision, v.Decision.ID)
		w.Header().Set(refusal.HeaderAction, v.Mark())
	}
	if v.Refused() {
		s.answers[answerRefused].Inc()
		refuse(w, v)
		return
	}
	answer := answerPassed
	if v.Decision != nil {
		answer = answerMarked
	}
	s.answers[answer].Inc()
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// forNGINX answers 401 and 403 as they are, and 429 as a 403 that names the status.
func forNGINX(w http.ResponseWriter, v decision.Verdict) {
	refusal.Headers(w.Header().Set, v)
	w.Header().Set(HeaderStatus, strconv.Itoa(v.Status))
	w.Header().Set("Content-Length", "0") // auth_request does not pass a body on
	status := v.Status
	if status != http.StatusUnauthorized {
		status = http.StatusForbidden
	}
	w.WriteHeader(status)
}

// subject is what the gateway says of the request that it asks about.
func (s *Server) subject(peer netip.Addr, h http.Header) decision.Subject {
	q := decision.Subject{Address: s.trusted.Client(peer, h), UserAgent: h.Get("User-Agent")}
	s.cfg.Headers.Read(&q, h.Get)
	s.geo.Place(&q)
	return q
}

func peerOf(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap().WithZone("")
}
