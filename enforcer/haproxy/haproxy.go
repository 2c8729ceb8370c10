// Package haproxy keeps the maps of an HAProxy in line with the decisions, through its runtime API. What the maps mean to requests is
// said by HAProxy's own configuration: see docs/gateways/haproxy.md. HAProxy 2.4 or later.
package haproxy

import (
	"context"
	"fmt"
	"log/slog"
	"path"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/enforcer/push"
	"github.com/warder/warder/internal/decision"
)

// Kind names this kind of gateway.
const Kind = "haproxy"

// Gateway is one HAProxy. It is for one goroutine.
type Gateway struct {
	cfg Config
	api *runtime
	// held is what the maps are believed to hold, by file; nil: unknown. pid is the process that holds it.
	held map[string]map[string]string
	pid  string
}

var _ push.Gateway = (*Gateway)(nil)

// New returns the gateway. It does not dial. It fails when the configuration is not valid.
func New(cfg Config, _ *slog.Logger, _ prometheus.Registerer) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("haproxy %s: %w", cfg.Name, err)
	}
	network, address, err := cfg.dial()
	if err != nil {
		return nil, fmt.Errorf("haproxy %s: %w", cfg.Name, err)
	}
	return &Gateway{cfg: cfg, api: &runtime{network: network, address: address}}, nil
}

// Sync makes the maps what the decisions want. A process of HAProxy that is new since the last call is verified.
func (g *Gateway) Sync(ctx context.Context, want []*decision.Decision, verify bool) (repaired int, err error) {
	pid, err := g.api.pid(ctx)
	if err != nil {
		return 0, err
	}
	held := g.held
	g.held = nil // until all has succeeded
	next := entries(want)
	for _, f := range files() {
		n, err := g.file(ctx, path.Join(g.cfg.Maps, f), held[f], next[f], verify || held == nil || pid != g.pid)
		repaired += n
		if err != nil {
			return repaired, err
		}
	}
	g.held, g.pid = next, pid
	return repaired, nil
}

// file brings one map in line.
func (g *Gateway) file(ctx context.Context, file string, held, want map[string]string, verify bool) (repaired int, err error) {
	if !verify {
		return 0, g.change(ctx, file, held, want)
	}
	have, extra, err := g.api.read(ctx, file)
	if err != nil {
		return 0, err
	}
	if held == nil {
		held = want
	}
	if repaired = extra + differences(held, have); repaired == 0 {
		return 0, g.change(ctx, file, have, want)
	}
	return repaired, g.api.replace(ctx, file, want)
}

// differences counts the keys that only one has or that have another value.
func differences(a, b map[string]string) (n int) {
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			n++
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			n++
		}
	}
	return n
}

// change writes what differs.
func (g *Gateway) change(ctx context.Context, file string, held, want map[string]string) error {
	added := map[string]string{}
	var changed, gone []string
	for k, v := range want {
		if had, ok := held[k]; !ok {
			added[k] = v
		} else if had != v {
			changed = append(changed, "set map "+file+" "+k+" "+v)
		}
	}
	for k := range held {
		if _, ok := want[k]; !ok {
			gone = append(gone, "del map "+file+" "+k)
		}
	}
	if err := g.api.add(ctx, file, added); err != nil {
		return err
	}
	if err := g.api.commands(ctx, changed); err != nil {
		return err
	}
	return g.api.commands(ctx, gone, "Key not found.")
}
