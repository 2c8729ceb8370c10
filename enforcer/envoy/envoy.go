// Package envoy answers Envoy over gRPC, from memory: envoy.service.auth.v3.Authorization (the filter ext_authz) and
// envoy.service.ratelimit.v3.RateLimitService (the filter ratelimit). One of the two is enough: each request that both ask about is
// charged to a limit twice. See docs/gateways/envoy.md.
package envoy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/warder/warder/enforcer/claims"
	"github.com/warder/warder/internal/clientaddr"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/serve"
)

// Bounds of the listener.
const (
	maxMessage = 1 << 20 // bytes of one question: headers, and what of the body Envoy was told to send
	drain      = 5 * time.Second
)

// Server answers. Its methods are safe for concurrent use.
type Server struct {
	authv3.UnimplementedAuthorizationServer
	rlsv3.UnimplementedRateLimitServiceServer
	*serve.Listener
	cfg     Config
	set     *active.Set
	geo     claims.Geo
	trusted *clientaddr.Trusted
	tls     *tls.Config
	answers counters
}

// New builds a server that answers by the decisions of set. It reads certificates and opens no socket. geo, log and reg may be nil. Errors
// are config.FieldErrors.
func New(cfg Config, set *active.Set, geo claims.Geo, _ *slog.Logger, reg prometheus.Registerer) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{Listener: serve.NewListener(cfg.Listen), cfg: cfg, set: set, geo: geo}
	var err error
	if s.tls, err = cfg.TLS.Config(); err != nil {
		return nil, config.In("tls", err)
	}
	if s.trusted, err = clientaddr.New(cfg.TrustedProxies); err != nil {
		return nil, config.Errorf("trusted_proxies", "%v", err)
	}
	if s.answers, err = newMetrics(reg); err != nil {
		return nil, err
	}
	return s, nil
}

// Run serves until ctx ends. Questions under way get five seconds.
func (s *Server) Run(ctx context.Context) error {
	ln, err := s.Open(ctx)
	if err != nil {
		return err
	}
	opts := []grpc.ServerOption{grpc.MaxRecvMsgSize(maxMessage)}
	if s.tls != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(s.tls)))
	}
	srv := grpc.NewServer(opts...)
	authv3.RegisterAuthorizationServer(srv, s)
	rlsv3.RegisterRateLimitServiceServer(srv, s)
	alive := health.NewServer()
	healthv1.RegisterHealthServer(srv, alive)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	alive.Shutdown() // Envoy's health checks see it and turn away
	late := time.AfterFunc(drain, srv.Stop)
	srv.GracefulStop()
	late.Stop()
	if err := <-done; !errors.Is(err, grpc.ErrServerStopped) { // it was stopped before it began
		return err
	}
	return nil
}

func (s *Server) count(service string, v decision.Verdict) {
	answer := answerPassed
	switch {
	case v.Refused():
		answer = answerRefused
	case v.Decision != nil:
		answer = answerMarked
	}
	s.answers[[2]string{service, answer}].Inc()
}
