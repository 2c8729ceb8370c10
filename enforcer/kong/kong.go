// Package kong keeps a Kong Gateway in line with the decisions through the Admin API: one global ip-restriction plugin with the refused
// addresses, and a plugin for each consumer that is refused or limited. See docs/gateways/kong.md.
package kong

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/enforcer/push"
	"github.com/warder/warder/enforcer/push/adminapi"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

// Kind names this kind of gateway.
const Kind = "kong"

// networksID is the plugin with the refused addresses: a constant, so that every start finds it. tag marks all of Warder's plugins.
const (
	networksID = "7761726e-6465-4d00-8000-000000000001"
	path       = "/plugins/" + networksID
	tag        = "warder"
)

// Config of one Kong.
type Config struct {
	// Name tells the gateway from others in acknowledgements, logs and metrics.
	Name string      `yaml:"name"`
	Push push.Config `yaml:",inline"`
	// Admin is the Admin API; its key is sent as Kong-Admin-Token.
	Admin adminapi.Config `yaml:",inline"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Name: "kong", Push: push.DefaultConfig(), Admin: adminapi.Config{URL: "http://127.0.0.1:8001"}}
}

// UnmarshalYAML decodes over the defaults, so that an entry of a list has them too.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// Validate tells, as config.FieldErrors, what is wrong.
func (c *Config) Validate() error {
	err := errors.Join(c.Push.Validate(), c.Admin.Validate())
	if c.Name == "" {
		err = errors.Join(err, config.Errorf("name", "is empty: give the gateway a name of its own"))
	}
	return err
}

// Gateway is one Kong. It is for one goroutine.
type Gateway struct {
	networks  adminapi.List
	consumers consumers
	api       *adminapi.Client
}

var _ push.Gateway = (*Gateway)(nil)

// New returns the gateway. It does not dial. It fails when the configuration is not valid.
func New(cfg Config, log *slog.Logger, _ prometheus.Registerer) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kong %s: %w", cfg.Name, err)
	}
	api, err := adminapi.New(cfg.Admin, "Kong-Admin-Token")
	if err != nil {
		return nil, fmt.Errorf("kong %s: %w", cfg.Name, err)
	}
	g := &Gateway{api: api, consumers: consumers{api: api, log: log.With("gateway", cfg.Name), missing: map[string]bool{}}}
	g.networks.Read, g.networks.Write = g.read, g.write
	return g, nil
}

// Supports implements [push.Gateway].
func (g *Gateway) Supports(d *decision.Decision) error {
	switch {
	case d.Scope == decision.Principal && len(d.And) == 0:
		return g.consumers.supports(d)
	case g.networks.Supports(d) == nil:
		return nil
	}
	return errors.New("only blocks of an address or a CIDR, and blocks and limits of a principal (a consumer) can be expressed at Kong")
}

// Sync implements [push.Gateway].
func (g *Gateway) Sync(ctx context.Context, want []*decision.Decision, verify bool) (repaired int, err error) {
	var networks, people []*decision.Decision
	for _, d := range want {
		if d.Scope == decision.Principal {
			people = append(people, d)
		} else {
			networks = append(networks, d)
		}
	}
	n, err := g.networks.Sync(ctx, networks, verify)
	if err != nil {
		return n, err
	}
	m, err := g.consumers.sync(ctx, people, verify)
	return n + m, err
}

// Close ends idle connections.
func (g *Gateway) Close() { g.api.Close() }

// plugin is the entity as the Admin API takes it.
type plugin struct {
	Name    string   `json:"name"`
	Enabled bool     `json:"enabled"`
	Tags    []string `json:"tags"`
	Config  struct {
		Deny   []string `json:"deny"`
		Status int      `json:"status"`
	} `json:"config"`
}

func (g *Gateway) read(ctx context.Context) ([]string, error) {
	var p plugin
	err := g.api.Do(ctx, http.MethodGet, path, nil, &p)
	if adminapi.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("kong: read plugin: %w", err)
	}
	if !p.Enabled || p.Name != "ip-restriction" || p.Config.Status != http.StatusForbidden {
		return nil, nil // it refuses nobody, or not as it should
	}
	return p.Config.Deny, nil
}

func (g *Gateway) write(ctx context.Context, deny []string) error {
	if len(deny) == 0 {
		err := g.api.Do(ctx, http.MethodDelete, path, nil, nil)
		if err != nil && !adminapi.NotFound(err) {
			return fmt.Errorf("kong: remove plugin: %w", err)
		}
		return nil
	}
	p := plugin{Name: "ip-restriction", Enabled: true, Tags: []string{tag}}
	p.Config.Deny, p.Config.Status = deny, http.StatusForbidden
	if err := g.api.Do(ctx, http.MethodPut, path, p, nil); err != nil {
		return fmt.Errorf("kong: write plugin: %w", err)
	}
	return nil
}
