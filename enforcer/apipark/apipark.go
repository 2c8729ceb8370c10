// Package apipark keeps the strategies of an APIPark (its gateway is Apinto) in line with the decisions, through the admin port: the
// driver visit refuses, the driver limiting limits. See docs/gateways/apipark.md.
package apipark

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/enforcer/push"
	"github.com/warder/warder/enforcer/push/adminapi"
	"github.com/warder/warder/internal/decision"
)

// Kind names this kind of gateway.
const Kind = "apipark"

const path = "/api/strategy"

// Gateway is one APIPark. It is for one goroutine.
type Gateway struct {
	api   *adminapi.Client
	held  map[string]strategy // by name
	known bool                // held is what the gateway has
}

var _ push.Gateway = (*Gateway)(nil)

// New returns the gateway. It does not dial. It fails when the configuration is not valid.
func New(cfg Config, _ *slog.Logger, _ prometheus.Registerer) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("apipark %s: %w", cfg.Name, err)
	}
	api, err := adminapi.New(cfg.Admin, "Authorization")
	if err != nil {
		return nil, fmt.Errorf("apipark %s: %w", cfg.Name, err)
	}
	return &Gateway{api: api}, nil
}

// Close ends idle connections.
func (g *Gateway) Close() { g.api.Close() }

// Sync implements [push.Gateway].
func (g *Gateway) Sync(ctx context.Context, want []*decision.Decision, verify bool) (repaired int, err error) {
	next, err := strategies(want)
	if err != nil {
		return 0, fmt.Errorf("apipark: %w", err)
	}
	have := g.held
	if verify || !g.known {
		if have, err = g.read(ctx); err != nil {
			return 0, err
		}
		expected := next
		if g.known {
			expected = g.held
		}
		repaired = len(changed(have, expected))
	}
	g.known = false // until all has succeeded
	for _, name := range changed(have, next) {
		if err := g.write(ctx, name, next); err != nil {
			return repaired, err
		}
	}
	g.held, g.known = next, true
	return repaired, nil
}

// changed returns the names of what is different, in order.
func changed(a, b map[string]strategy) (names []string) {
	for name, s := range a {
		if t, ok := b[name]; !ok || !reflect.DeepEqual(s, t) {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// read returns Warder's own strategies as the gateway has them.
func (g *Gateway) read(ctx context.Context) (map[string]strategy, error) {
	var list []struct {
		Name string `json:"name"`
	}
	if err := g.api.Do(ctx, http.MethodGet, path, nil, &list); err != nil {
		return nil, fmt.Errorf("apipark: list strategies: %w", err)
	}
	out := map[string]strategy{}
	for _, e := range list {
		if !strings.HasPrefix(e.Name, own) {
			continue
		}
		var s strategy
		err := g.api.Do(ctx, http.MethodGet, path+"/"+url.PathEscape(e.Name), nil, &s)
		if err != nil && !adminapi.NotFound(err) {
			return nil, fmt.Errorf("apipark: read strategy %.60q: %w", e.Name, err)
		}
		if err == nil {
			out[e.Name] = s
		}
	}
	return out, nil
}

// write puts the strategy in its place, or removes it when it is not wanted.
func (g *Gateway) write(ctx context.Context, name string, want map[string]strategy) error {
	at := path + "/" + url.PathEscape(name)
	s, ok := want[name]
	if !ok {
		if err := g.api.Do(ctx, http.MethodDelete, at, nil, nil); err != nil && !adminapi.NotFound(err) {
			return fmt.Errorf("apipark: remove strategy %.60q: %w", name, err)
		}
		return nil
	}
	if err := g.api.Do(ctx, http.MethodPut, at, s, nil); err != nil {
		return fmt.Errorf("apipark: write strategy %.60q: %w", name, err)
	}
	return nil
}
