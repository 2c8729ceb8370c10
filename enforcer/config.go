package enforcer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
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
	// MaxShare is the part of the last minutes' successful requests, 0 to 1, that all refusing decisions in force may touch together:
	// blocks, challenges and limits below one request a second. 1 is no bound.
	MaxShare float64 `yaml:"max_share"`
	// MinRequests is how many successful requests a share must rest on to be judged.
	MinRequests int64 `yaml:"min_requests"`
	// Allowance is what decisions may touch whatever their share, so that a small service can defend itself.
	Allowance Allowance `yaml:"allowance"`
	// SharedAddress is from how many distinct proven principals on an address is shared, 2 to 64: it is not blocked as a whole.
	SharedAddress int `yaml:"shared_address"`
	// Approval says from which size on a decision needs a person.
	Approval Approval `yaml:"approval"`
	// Rollback says when blocks are taken back because good traffic fell.
	Rollback Rollback `yaml:"rollback"`
	// Ladder makes the decisions about repeat offenders longer.
	Ladder Ladder `yaml:"ladder"`
	// KeepEnded is how long expired and revoked decisions stay on the topic before they are removed; at least as long as the ladder
	// remembers.
	KeepEnded config.Duration `yaml:"keep_ended"`
}

// Approval is the size above which a rule's decision is only proposed.
type Approval struct {
	// CIDRv4 and CIDRv6 are the shortest prefixes, in bits, that need no approval.
	CIDRv4 int `yaml:"cidr_v4"`
	CIDRv6 int `yaml:"cidr_v6"`
	// Scopes need approval when no narrower term stands beside them.
	Scopes []decision.Scope `yaml:"scopes"`
	// Share is the largest part of the last minutes' successful requests, 0 to 1, that one block or challenge may touch without approval.
	Share float64 `yaml:"share"`
}

// Allowance raises max_share and approval.share where few requests are made: to Requests of the last minutes' successful ones, but to no
// larger share of them than Share, 0 to 1.
type Allowance struct {
	Requests int64   `yaml:"requests"`
	Share    float64 `yaml:"share"`
}

// Rollback takes young blocks and challenges back.
type Rollback struct {
	Watch config.Duration `yaml:"watch"` // how long a decision is young
	Fall  float64         `yaml:"fall"`  // of the rate of successful requests, above 0 to 1
}

// Ladder is how the life of decisions grows with the offences of one entity.
type Ladder struct {
	// Steps multiply the rule's ttl: the first offence, the second and so on; the last one holds for all further ones.
	Steps []int `yaml:"steps"`
	// Remember is how long after the end of a decision the next one about the entity is a further offence.
	Remember config.Duration `yaml:"remember"`
}

// DefaultConfig returns the defaults: observe only.
func DefaultConfig() Config {
	return Config{
		MaxTTL:          config.Duration(24 * time.Hour),
		MaxNewPerMinute: 100,
		MaxShare:        0.05,
		MinRequests:     1000,
		Allowance:       Allowance{Requests: 2000, Share: 0.2},
		SharedAddress:   5,
		Approval: Approval{CIDRv4: 24, CIDRv6: 48, Share: 0.02, Scopes: []decision.Scope{decision.Route, decision.Country, decision.ASN,
			decision.Tenant, decision.UserAgent, decision.Fingerprint}},
		Rollback:  Rollback{Watch: config.Duration(2 * time.Minute), Fall: 0.3},
		Ladder:    Ladder{Steps: []int{1, 4, 24, 96}, Remember: config.Duration(7 * 24 * time.Hour)},
		KeepEnded: config.Duration(24 * time.Hour),
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
	errs = append(errs, part("max_share", c.MaxShare))
	if c.MinRequests < 1 {
		errs = append(errs, config.Errorf("min_requests", "must be at least 1, got %d", c.MinRequests))
	}
	if c.SharedAddress < 2 || c.SharedAddress > 64 {
		errs = append(errs, config.Errorf("shared_address", "must be 2 to 64 principals, got %d", c.SharedAddress))
	}
	if c.KeepEnded < 0 {
		errs = append(errs, config.Errorf("keep_ended", "must not be negative"))
	}
	return errors.Join(append(errs, config.In("allowance", c.Allowance.validate()), config.In("approval", c.Approval.validate()), config.In("rollback", c.Rollback.validate()),
		config.In("ladder", c.Ladder.validate()))...)
}

func (a *Allowance) validate() error {
	var errs []error
	if a.Requests < 0 {
		errs = append(errs, config.Errorf("requests", "must not be negative, got %d; 0 leaves the shares as they are", a.Requests))
	}
	return errors.Join(append(errs, part("share", a.Share))...)
}

func (a *Approval) validate() error {
	var errs []error
	if a.CIDRv4 < 0 || a.CIDRv4 > 32 {
		errs = append(errs, config.Errorf("cidr_v4", "must be a prefix length from 0 to 32, got %d", a.CIDRv4))
	}
	if a.CIDRv6 < 0 || a.CIDRv6 > 128 {
		errs = append(errs, config.Errorf("cidr_v6", "must be a prefix length from 0 to 128, got %d", a.CIDRv6))
	}
	for i, s := range a.Scopes {
		if !slices.Contains(decision.Scopes(), s) {
			errs = append(errs, config.Errorf(fmt.Sprintf("scopes[%d]", i), "%.40q is no scope; want one of %v", s, decision.Scopes()))
		}
	}
	return errors.Join(append(errs, part("share", a.Share))...)
}

func (r *Rollback) validate() error {
	if r.Watch <= 0 {
		return errors.Join(config.Errorf("watch", "must be above zero; to roll nothing back set fall: 1"), part("fall", r.Fall))
	}
	return part("fall", r.Fall)
}

func (l *Ladder) validate() error {
	var errs []error
	if len(l.Steps) == 0 || len(l.Steps) > 32 {
		errs = append(errs, config.Errorf("steps", "want 1 to 32 factors, got %d; to treat every offence alike write [1]", len(l.Steps)))
	}
	for i, s := range l.Steps {
		if s < 1 || i > 0 && s < l.Steps[i-1] {
			errs = append(errs, config.Errorf(fmt.Sprintf("steps[%d]", i), "must be at least 1 and no less than the one before, got %d", s))
		}
	}
	if l.Remember < 0 {
		errs = append(errs, config.Errorf("remember", "must not be negative"))
	}
	return errors.Join(errs...)
}

// part checks a share.
func part(key string, v float64) error {
	if v > 0 && v <= 1 {
		return nil
	}
	return config.Errorf(key, "must be above 0 and at most 1 (0.05 is five per cent), got %v", v)
}

// parsePrefix reads an address as the prefix that holds only it.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := decision.Prefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%.60q is neither an address nor a CIDR", s)
	}
	return p, nil
}
