// Package crowdsec speaks the part of the CrowdSec local API that bouncers use, so that every bouncer for a web server, a firewall or a
// content delivery network enforces Warder's decisions unchanged. See docs/gateways/crowdsec.md.
package crowdsec

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/serve"
)

// Server answers bouncers. Its methods are safe for concurrent use.
type Server struct {
	*serve.Listener
	tls      *tls.Config
	log      *slog.Logger
	guard    *guard
	state    *state
	cursors  cursors
	requests *prometheus.CounterVec
	unfollow func()
}

// New builds a server that tells the decisions of set, and follows the set from now on until Run ends: build it before the topic is replayed,
// so that what was revoked while nobody ran is told to bouncers as deleted. It reads certificates and opens no socket. log and reg may
// be nil. Errors are config.FieldErrors.
func New(cfg Config, set *active.Set, log *slog.Logger, reg prometheus.Registerer) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{Listener: serve.NewListener(cfg.Listen), log: log, guard: newGuard(cfg), state: newState(cfg.LimitsAs),
		cursors: cursors{at: map[reader]cursor{}}}
	var err error
	if s.tls, err = cfg.TLS.Config(); err != nil {
		return nil, config.In("tls", err)
	}
	if s.tls != nil && s.tls.ClientCAs != nil {
		s.tls.ClientAuth = tls.VerifyClientCertIfGiven // others have a key
	}
	if s.requests, err = s.metrics(reg); err != nil {
		return nil, err
	}
	s.unfollow = set.Follow(s.state.take)
	return s, nil
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	defer s.unfollow()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.keep(ctx)
	}()
	err := serve.HTTP(ctx, s.Listener, s.tls, s.Handler(), s.log)
	cancel()
	<-done
	return err
}

// keep takes changes in while nobody asks, so that the queue stays short.
func (s *Server) keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.state.wake:
			s.state.mu.Lock()
			s.state.absorb(time.Now())
			s.state.mu.Unlock()
		}
	}
}

func (s *Server) metrics(reg prometheus.Registerer) (*prometheus.CounterVec, error) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_crowdsec_requests_total",
		Help: "Requests of CrowdSec bouncers, by call and outcome."}, []string{"call", "outcome"})
	lost := prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "warder_crowdsec_forgotten_total",
		Help: "Deletions that bouncers which were away will not be told of, because there were too many; their decisions end by themselves."},
		func() float64 {
			s.state.mu.Lock()
			defer s.state.mu.Unlock()
			return float64(s.state.forgot)
		})
	if reg == nil {
		return c, nil
	}
	for _, m := range []prometheus.Collector{c, lost} {
		if err := reg.Register(m); err != nil {
			return nil, fmt.Errorf("register CrowdSec metrics: %w", err)
		}
	}
	return c, nil
}
