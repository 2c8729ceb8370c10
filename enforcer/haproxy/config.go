package haproxy

import (
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"

	"github.com/warder/warder/enforcer/push"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

// Config of one HAProxy.
type Config struct {
	// Name tells the gateway from others in acknowledgements, logs and metrics.
	Name        string `yaml:"name"`
	push.Config `yaml:",inline"`
	// Address of the runtime API: unix:///run/haproxy/admin.sock, or host:port. It must have the level admin.
	Address string `yaml:"address"`
	// Maps is the folder of the four map files, as HAProxy's configuration writes it.
	Maps string `yaml:"maps"`
	// Scopes lists the scopes beside addresses and CIDRs for which HAProxy's configuration looks into the maps.
	Scopes []decision.Scope `yaml:"scopes"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Name: "haproxy", Config: push.DefaultConfig(), Address: "unix:///run/haproxy/admin.sock", Maps: "/etc/haproxy/warder",
		Scopes: []decision.Scope{decision.UserAgent}}
}

// UnmarshalYAML decodes over the defaults, so that an entry of a list has them too.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// Validate tells, as config.FieldErrors, what is wrong.
func (c *Config) Validate() error {
	errs := []error{c.Config.Validate()}
	if c.Name == "" {
		errs = append(errs, config.Errorf("name", "is empty: give the gateway a name of its own"))
	}
	if _, _, err := c.dial(); err != nil {
		errs = append(errs, config.Errorf("address", "%v", err))
	}
	if !path.IsAbs(c.Maps) || strings.ContainsFunc(c.Maps, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`;\"'`, r) }) {
		errs = append(errs, config.Errorf("maps", "must be an absolute path without spaces, quotes, semicolons and backslashes, got %.200q", c.Maps))
	}
	for i, s := range c.Scopes {
		if s == decision.Address || s == decision.CIDR || !slices.Contains(decision.Scopes(), s) {
			errs = append(errs, config.Errorf(fmt.Sprintf("scopes[%d]", i),
				"%.40q is not a scope beside addresses and CIDRs (which are always there): write for example principal.id", s))
		}
	}
	return errors.Join(errs...)
}

// dial returns network and address for net.Dial.
func (c *Config) dial() (network, address string, err error) {
	if p, ok := strings.CutPrefix(c.Address, "unix://"); ok {
		if !path.IsAbs(p) {
			return "", "", fmt.Errorf("%.200q names no absolute path: write unix:///run/haproxy/admin.sock", c.Address)
		}
		return "unix", p, nil
	}
	if _, port, err := net.SplitHostPort(c.Address); err != nil || port == "" {
		return "", "", fmt.Errorf("%.200q is neither unix:///path nor host:port", c.Address)
	}
	return "tcp", c.Address, nil
}
