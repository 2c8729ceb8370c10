// Package telemetry shows how Warder itself is doing: structured logs, and the admin listener with metrics, health,
// readiness and profiles.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/warder/warder/internal/config"
)

// LogConfig says what is logged and how.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// DefaultLogConfig returns info and worse as text.
func DefaultLogConfig() LogConfig { return LogConfig{Level: "info", Format: "text"} }

// Validate tells what is wrong with the configuration.
func (c *LogConfig) Validate() error {
	var errs []error
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.Level)); err != nil {
		errs = append(errs, config.Errorf("level", "%.20q is not a level: use debug, info, warn or error", c.Level))
	}
	if !slices.Contains([]string{"text", "json"}, c.Format) {
		errs = append(errs, config.Errorf("format", "%.20q is not a format: use text or json", c.Format))
	}
	return errors.Join(errs...)
}

// NewLogger returns a logger that writes to w. The configuration must be valid.
func NewLogger(cfg LogConfig, w io.Writer) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(cfg.Level)) // Validate has checked it
	o := &slog.HandlerOptions{Level: l}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// AdminConfig says where the admin listener is.
type AdminConfig struct {
	// Listen is host:port; empty turns the listener off. It has no authentication: keep it on loopback or a private network.
	Listen string `yaml:"listen"`
}

// DefaultAdminConfig returns loopback.
func DefaultAdminConfig() AdminConfig { return AdminConfig{Listen: "127.0.0.1:9600"} }

// Validate tells what is wrong with the configuration.
func (c *AdminConfig) Validate() error {
	if c.Listen == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return config.Errorf("listen", "%.60q is not host:port; write for example 127.0.0.1:9600, or \"\" for no admin listener", c.Listen)
	}
	return nil
}

// Admin serves /metrics, /healthz, /readyz and /debug/pprof.
type Admin struct {
	cfg AdminConfig
	ln  net.Listener
	srv *http.Server

	mu     sync.Mutex
	checks map[string]func(context.Context) error
}

// NewAdmin binds the listener. With an empty Listen it serves nothing and Run only waits.
func NewAdmin(cfg AdminConfig, reg *prometheus.Registry) (*Admin, error) {
	a := &Admin{cfg: cfg, checks: map[string]func(context.Context) error{}}
	if cfg.Listen == "" {
		return a, nil
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w; choose another address under admin.listen", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	a.ln = ln
	a.srv = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	return a, nil
}

// Addr is where the listener is, "" when there is none.
func (a *Admin) Addr() string {
	if a.ln == nil {
		return ""
	}
	return a.ln.Addr().String()
}

// Check adds a readiness check under the name. It is safe to call while serving.
func (a *Admin) Check(name string, fn func(context.Context) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.checks[name] = fn
}

// Ready runs every check and joins what fails.
func (a *Admin) Ready(ctx context.Context) error {
	a.mu.Lock()
	checks := make(map[string]func(context.Context) error, len(a.checks))
	for k, v := range a.checks {
		checks[k] = v
	}
	a.mu.Unlock()
	var errs []error
	for name, fn := range checks {
		if err := fn(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	slices.SortFunc(errs, func(x, y error) int { return strings.Compare(x.Error(), y.Error()) })
	return errors.Join(errs...)
}

func (a *Admin) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := a.Ready(ctx); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ready")
}

// Close gives the address free when Run was never called; after Run it does nothing.
func (a *Admin) Close() error {
	if a.ln == nil {
		return nil
	}
	if err := a.ln.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Run serves until ctx ends, then closes the listener. It returns nil then.
func (a *Admin) Run(ctx context.Context) error {
	if a.srv == nil {
		<-ctx.Done()
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- a.srv.Serve(a.ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("admin listener: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if a.srv.Shutdown(stop) != nil {
		a.srv.Close()
	}
	<-done
	return nil
}
