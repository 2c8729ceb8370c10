// Package nginx writes a file with blocked clients that NGINX includes, for those who do not want it to ask about each request
// (auth_request: package forwardauth). See docs/gateways/nginx-include.md.
package nginx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/enforcer/push"
	"github.com/warder/warder/enforcer/push/program"
	"github.com/warder/warder/internal/decision"
)

// Kind names this kind of gateway.
const Kind = "nginx"

// Gateway is one NGINX. It is for one goroutine.
type Gateway struct {
	cfg      Config
	held     string // the file
	known    bool   // NGINX has been told to read held
	reloaded time.Time
}

var _ push.Gateway = (*Gateway)(nil)

// New returns the gateway. It writes and runs nothing. It fails when the configuration is not valid.
func New(cfg Config, _ *slog.Logger, _ prometheus.Registerer) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("nginx %s: %w", cfg.Name, err)
	}
	return &Gateway{cfg: cfg}, nil
}

// Sync implements [push.Gateway]. It waits when the last reload is less than MinInterval ago. That a reload has been asked for is all it
// knows: new workers take some ten milliseconds.
func (g *Gateway) Sync(ctx context.Context, want []*decision.Decision, verify bool) (repaired int, err error) {
	next, err := render(want, g.cfg.Principal)
	if err != nil {
		return 0, fmt.Errorf("nginx: %w", err)
	}
	if verify || !g.known {
		have, _, err := readFile(g.cfg.File)
		if err != nil {
			return 0, fmt.Errorf("nginx: %w", err)
		}
		expected := next
		if g.known {
			expected = g.held
		}
		repaired = differences(have, expected)
	}
	if g.known && g.held == next && repaired == 0 {
		return 0, nil
	}
	g.known = false // until all has succeeded
	if err := g.wait(ctx); err != nil {
		return repaired, fmt.Errorf("nginx: wait for the next reload: %w", err)
	}
	if err := g.put(ctx, next); err != nil {
		return repaired, fmt.Errorf("nginx: %w", err)
	}
	g.reloaded = time.Now()
	if err := g.reload(ctx); err != nil {
		return repaired, fmt.Errorf("nginx: reload: %w", err)
	}
	g.held, g.known = next, true
	return repaired, nil
}

// wait waits until NGINX may be reloaded again.
func (g *Gateway) wait(ctx context.Context) error {
	t := time.NewTimer(time.Until(g.reloaded.Add(g.cfg.MinInterval.Std())))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// put puts the file in its place and checks NGINX's configuration with it. When that fails the old file is back in its place.
func (g *Gateway) put(ctx context.Context, next string) error {
	old, there, err := readFile(g.cfg.File)
	if err != nil {
		return err
	}
	if !there || old != next {
		if err := replace(g.cfg.File, next); err != nil {
			return err
		}
	}
	_, err = program.Run(ctx, g.cfg.Test, "")
	switch {
	case err == nil:
		return nil
	case !there:
		err = errors.Join(err, os.Remove(g.cfg.File))
	case old != next:
		err = errors.Join(err, replace(g.cfg.File, old))
	}
	return fmt.Errorf("NGINX's configuration is not valid with the new file, so the old one is kept: %w", err)
}

func (g *Gateway) reload(ctx context.Context) error {
	if g.cfg.PIDFile != "" {
		return hangUp(g.cfg.PIDFile)
	}
	_, err := program.Run(ctx, g.cfg.Reload, "")
	return err
}

// differences counts the lines of each that the other has not.
func differences(a, b string) (n int) {
	lines := map[string]int{}
	for l := range strings.Lines(a) {
		lines[l]++
	}
	for l := range strings.Lines(b) {
		lines[l]--
	}
	for _, k := range lines {
		n += max(k, -k)
	}
	if n == 0 && a != b {
		return 1 // another order
	}
	return n
}
