package enforcer

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/warder/warder/internal/config"
)

// Config says what the enforcer may do.
type Config struct {
	// Enforce lets gateways refuse requests. While it is off, decisions only record what would have been done.
	Enforce bool `yaml:"enforce"`
	// NeverBlock lists addresses and CIDRs that no decision may touch: own monitoring, offices, health checks.
	NeverBlock []string `yaml:"never_block"`
	// NeverBlockPrincipals lists principal ids that no decision may touch.
	NeverBlockPrincipals []string `yaml:"never_block_principals"`
	// MaxTTL caps every decision's life.
	MaxTTL config.Duration `yaml:"max_ttl"`
	// MaxNewPerMinute is how many decisions may become active within a minute; what comes above is proposed for approval.
	MaxNewPerMinute int `yaml:"max_new_per_minute"`
	// KeepEnded is how long expired and revoked decisions stay on the topic before they are removed.
	KeepEnded config.Duration `yaml:"keep_ended"`
}

// DefaultConfig returns the defaults: observe only.
func DefaultConfig() Config {
	return Config{
		MaxTTL:          config.Duration(24 * time.Hour),
		MaxNewPerMinute: 100,
		KeepEnded:       config.Duration(24 * time.Hour),
	}
}

// Validate tells what is wrong with the configuration.
func (c *Config) Validate() error {
	var errs []error
	for i, s := range c.NeverBlock {
		if _, err := parsePrefix(s); err != nil {
			errs = append(errs, config.Errorf(fmt.Sprintf("never_block[%d]", i), "%v; write an address or a CIDR, for example 192.0.2.10 or 10.0.0.0/8", err))
		}
	}
	if c.MaxTTL <= 0 {
		errs = append(errs, config.Errorf("max_ttl", "must be above zero: every decision expires"))
	}
	if c.MaxNewPerMinute < 1 {
		errs = append(errs, config.Errorf("max_new_per_minute", "must be at least 1, got %d; to block nothing set enforce: false", c.MaxNewPerMinute))
	}
	if c.KeepEnded < 0 {
		errs = append(errs, config.Errorf("keep_ended", "must not be negative"))
	}
	return errors.Join(errs...)
}

// parsePrefix reads an address as the prefix that holds only it.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%.60q is neither an address nor a CIDR", s)
	}
	return p.Masked(), nil
}
