// Package apisix keeps the list of refused addresses of an Apache APISIX in line with the decisions: one global rule with the plugin
// ip-restriction, through the Admin API of version 3. See docs/gateways/apisix.md.
package apisix

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
const Kind = "apisix"

// path is Warder's own global rule: the id is a constant, so that every start finds it.
const path = "/apisix/admin/global_rules/warder"

// Config of one APISIX.
type Config struct {
	// Name tells the gateway from others in acknowledgements, logs and metrics.
	Name string      `yaml:"name"`
	Push push.Config `yaml:",inline"`
	// Admin is the Admin API; its key is sent as X-API-KEY.
	Admin adminapi.Config `yaml:",inline"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Name: "apisix", Push: push.DefaultConfig(), Admin: adminapi.Config{URL: "http://127.0.0.1:9180"}}
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

// Gateway is one APISIX. It is for one goroutine.
type Gateway struct {
	adminapi.List
	api *adminapi.Client
}

var _ push.Gateway = (*Gateway)(nil)

// New returns the gateway. It does not dial. It fails when the configuration is not valid.
func New(cfg Config, _ *slog.Logger, _ prometheus.Registerer) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("apisix %s: %w", cfg.Name, err)
	}
	api, err := adminapi.New(cfg.Admin, "X-API-KEY")
	if err != nil {
		return nil, fmt.Errorf("apisix %s: %w", cfg.Name, err)
	}
	g := &Gateway{api: api}
	g.Read, g.Write = g.read, g.write
	return g, nil
}

// Close ends idle connections.
func (g *Gateway) Close() { g.api.Close() }

// rule is a global rule as the Admin API takes it.
type rule struct {
	Plugins struct {
		Restriction struct {
			Blacklist []string `json:"blacklist"`
			Message   string   `json:"message"`
		} `json:"ip-restriction"`
	} `json:"plugins"`
}

func (g *Gateway) read(ctx context.Context) ([]string, error) {
	var answer struct {
		Value rule `json:"value"`
	}
	err := g.api.Do(ctx, http.MethodGet, path, nil, &answer)
	if adminapi.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("apisix: read global rule: %w", err)
	}
	return answer.Value.Plugins.Restriction.Blacklist, nil
}

func (g *Gateway) write(ctx context.Context, deny []string) error {
	if len(deny) == 0 { // an empty list is refused by the schema
		err := g.api.Do(ctx, http.MethodDelete, path, nil, nil)
		if err != nil && !adminapi.NotFound(err) {
			return fmt.Errorf("apisix: remove global rule: %w", err)
		}
		return nil
	}
	var r rule
	r.Plugins.Restriction.Blacklist, r.Plugins.Restriction.Message = deny, "blocked"
	if err := g.api.Do(ctx, http.MethodPut, path, r, nil); err != nil {
		return fmt.Errorf("apisix: write global rule: %w", err)
	}
	return nil
}
