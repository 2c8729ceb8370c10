// Package kong keeps a Kong Gateway's list of refused addresses in line with the decisions: one global ip-restriction plugin, through the
// Admin API. See docs/gateways/kong.md.
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
)

// Kind names this kind of gateway.
const Kind = "kong"

// path is Warder's own plugin: the id is a constant, so that every start finds it.
const path = "/plugins/7761726e-6465-4d00-8000-000000000001"

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
	adminapi.List
	api *adminapi.Client
}

var _ push.Gateway = (*Gateway)(nil)

// New returns the gateway. It does not dial. It fails when the configuration is not valid.
func New(cfg Config, _ *slog.Logger, _ prometheus.Registerer) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kong %s: %w", cfg.Name, err)
	}
	api, err := adminapi.New(cfg.Admin, "Kong-Admin-Token")
	if err != nil {
		return nil, fmt.Errorf("kong %s: %w", cfg.Name, err)
	}
	g := &Gateway{api: api}
	g.Read, g.Write = g.read, g.write
	return g, nil
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
	p := plugin{Name: "ip-restriction", Enabled: true, Tags: []string{"warder"}}
	p.Config.Deny, p.Config.Status = deny, http.StatusForbidden
	if err := g.api.Do(ctx, http.MethodPut, path, p, nil); err != nil {
		return fmt.Errorf("kong: write plugin: %w", err)
	}
	return nil
}
