// Package apisix keeps what an Apache APISIX refuses in line with the decisions: one global rule with the plugins ip-restriction and
// consumer-restriction, through the Admin API of version 3. See docs/gateways/apisix.md.
package apisix

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"regexp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/enforcer/push"
	"github.com/warder/warder/enforcer/push/adminapi"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
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
	api   *adminapi.Client
	held  rule
	known bool // held is what the gateway has
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
	return &Gateway{api: api}, nil
}

// Close ends idle connections.
func (g *Gateway) Close() { g.api.Close() }

// rule is a global rule as the Admin API takes it. A plugin that has nothing to refuse is left out: its schema wants a list that is not empty.
type rule struct {
	Plugins struct {
		Networks  *networks  `json:"ip-restriction,omitempty"`
		Consumers *consumers `json:"consumer-restriction,omitempty"`
	} `json:"plugins"`
}

type networks struct {
	Blacklist []string `json:"blacklist"`
	Message   string   `json:"message"`
}

type consumers struct {
	Type      string   `json:"type"`
	Blacklist []string `json:"blacklist"`
	Code      int      `json:"rejected_code"`
	Message   string   `json:"rejected_msg"`
}

// consumerName is what APISIX takes for the name of a consumer.
var consumerName = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// Supports implements [push.Gateway].
func (g *Gateway) Supports(d *decision.Decision) error {
	switch {
	case d.Action != decision.Block || len(d.And) > 0:
	case d.Scope == decision.Address || d.Scope == decision.CIDR:
		return nil
	case d.Scope == decision.Principal && !consumerName.MatchString(d.Value):
		return errors.New("the principal cannot be a consumer of APISIX: its name has more than letters, digits, _ and -")
	case d.Scope == decision.Principal:
		return nil
	}
	return errors.New("only blocks of an address, a CIDR or a principal (a consumer) can be expressed at APISIX")
}

// wanted is the rule that expresses the decisions.
func wanted(want []*decision.Decision) (r rule, err error) {
	var addresses, names []string
	for _, d := range want {
		if d.Scope == decision.Principal {
			names = append(names, d.Value)
		} else {
			addresses = append(addresses, d.Value)
		}
	}
	for _, list := range [][]string{addresses, names} {
		if len(list) > adminapi.MaxNetworks {
			return r, fmt.Errorf("apisix: a list of %d, limit is %d: each request is compared with it", len(list), adminapi.MaxNetworks)
		}
		slices.Sort(list)
	}
	if len(addresses) > 0 {
		r.Plugins.Networks = &networks{Blacklist: slices.Compact(addresses), Message: "blocked"}
	}
	if len(names) > 0 {
		r.Plugins.Consumers = &consumers{Type: "consumer_name", Blacklist: slices.Compact(names), Code: http.StatusForbidden, Message: "blocked"}
	}
	return r, nil
}

// Sync implements [push.Gateway].
func (g *Gateway) Sync(ctx context.Context, want []*decision.Decision, verify bool) (repaired int, err error) {
	next, err := wanted(want)
	if err != nil {
		return 0, err
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
		repaired = differences(have, expected)
	}
	g.known = false // until all has succeeded
	if !reflect.DeepEqual(have, next) {
		if err := g.write(ctx, next); err != nil {
			return repaired, err
		}
	}
	g.held, g.known = next, true
	return repaired, nil
}

// differences counts the entries that only one of two rules has, at least one when they are not the same.
func differences(a, b rule) (n int) {
	count := func(r rule, by int, in map[string]int) {
		if r.Plugins.Networks != nil {
			for _, s := range r.Plugins.Networks.Blacklist {
				in["network "+s] += by
			}
		}
		if r.Plugins.Consumers != nil {
			for _, s := range r.Plugins.Consumers.Blacklist {
				in["consumer "+s] += by
			}
		}
	}
	only := map[string]int{}
	count(a, 1, only)
	count(b, -1, only)
	for _, by := range only {
		if by != 0 {
			n++
		}
	}
	if n == 0 && !reflect.DeepEqual(a, b) {
		n = 1
	}
	return n
}

func (g *Gateway) read(ctx context.Context) (rule, error) {
	var answer struct {
		Value rule `json:"value"`
	}
	err := g.api.Do(ctx, http.MethodGet, path, nil, &answer)
	if adminapi.NotFound(err) {
		return rule{}, nil
	}
	if err != nil {
		return rule{}, fmt.Errorf("apisix: read global rule: %w", err)
	}
	return answer.Value, nil
}

func (g *Gateway) write(ctx context.Context, r rule) error {
	if r.Plugins.Networks == nil && r.Plugins.Consumers == nil {
		err := g.api.Do(ctx, http.MethodDelete, path, nil, nil)
		if err != nil && !adminapi.NotFound(err) {
			return fmt.Errorf("apisix: remove global rule: %w", err)
		}
		return nil
	}
	if err := g.api.Do(ctx, http.MethodPut, path, r, nil); err != nil {
		return fmt.Errorf("apisix: write global rule: %w", err)
	}
	return nil
}
