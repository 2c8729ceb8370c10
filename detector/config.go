package detector

import (
	"errors"
	"time"

	"github.com/warder/warder/internal/config"
)

// Config bounds one shard. The stage runs one shard per partition that it owns, so a process holds at most partitions × MaxBytes.
type Config struct {
	// MaxEntities bounds the groups that all rules of the shard remember together, MaxRuleEntities those of one rule.
	MaxEntities     int `yaml:"max_entities"`
	MaxRuleEntities int `yaml:"max_rule_entities"`
	// MaxBytes bounds the estimated memory of all windows of the shard. Above it the rule that holds most gives up its
	// groups that were idle longest.
	MaxBytes config.Bytes `yaml:"max_bytes"`
	// ExactEvents is how many events of one group a sliding window keeps one by one. Above it the window is kept in slices
	// of a 64th of its size.
	ExactEvents int `yaml:"exact_events"`
	// ExactDistinct is how many different values of one group are told apart exactly once a window is kept in slices. Above
	// it they are estimated with a HyperLogLog sketch (standard error 1.6 %).
	ExactDistinct int `yaml:"exact_distinct"`
	// MaxJump is how far the time of a single record may run ahead of, or fall behind, what its tap said before without
	// further records confirming it.
	MaxJump config.Duration `yaml:"max_jump"`
	// MaxTaps bounds the taps whose clocks are told apart.
	MaxTaps int `yaml:"max_taps"`

	// SuspendWindow is a number of records: a rule of which SuspendFailures expressions fail, or SuspendOverruns pass their bound of
	// cost, within that many is suspended, see suspend.go.
	SuspendWindow   int `yaml:"suspend_window"`
	SuspendFailures int `yaml:"suspend_failures"`
	SuspendOverruns int `yaml:"suspend_overruns"`

	// Forward, when set, takes the matches of rules whose groups are not the key of the events topic, instead of a window in
	// this shard. The record is the callee's.
	Forward func(*MatchRecord) `yaml:"-"`
	// Trace, when set, is told of every window that a rule judges, and of what forms remember. See [Judgement].
	Trace func(*Judgement) `yaml:"-"`
}

// maxSuspend is above the bounds of suspension.
const maxSuspend = 1 << 30

// DefaultConfig returns the bounds that are used when the configuration names none.
func DefaultConfig() Config {
	return Config{
		MaxEntities:     400_000,
		MaxRuleEntities: 200_000,
		MaxBytes:        128 << 20,
		ExactEvents:     1024,
		ExactDistinct:   4096,
		MaxJump:         config.Duration(5 * time.Minute),
		MaxTaps:         4096,
		SuspendWindow:   10_000,
		SuspendFailures: 5_000,
		SuspendOverruns: 100,
	}
}

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	atLeast := func(key string, v, least int64) {
		if v < least {
			errs = append(errs, config.Errorf(key, "is %d, must be at least %d", v, least))
		}
	}
	atLeast("max_entities", int64(c.MaxEntities), 1)
	atLeast("max_rule_entities", int64(c.MaxRuleEntities), 1)
	atLeast("max_bytes", int64(c.MaxBytes), 1<<20)
	atLeast("exact_events", int64(c.ExactEvents), 1)
	atLeast("exact_distinct", int64(c.ExactDistinct), 1)
	atLeast("max_taps", int64(c.MaxTaps), 1)
	for _, b := range []struct {
		key string
		v   int
	}{{"suspend_window", c.SuspendWindow}, {"suspend_failures", c.SuspendFailures}, {"suspend_overruns", c.SuspendOverruns}} {
		if atLeast(b.key, int64(b.v), 1); b.v >= maxSuspend {
			errs = append(errs, config.Errorf(b.key, "is %d, must be less than %d", b.v, maxSuspend))
		}
	}
	if c.ExactEvents > 1<<20 {
		errs = append(errs, config.Errorf("exact_events", "is %d, must be at most %d", c.ExactEvents, 1<<20))
	}
	if c.ExactDistinct > 1<<20 {
		errs = append(errs, config.Errorf("exact_distinct", "is %d, must be at most %d", c.ExactDistinct, 1<<20))
	}
	if c.MaxJump < config.Duration(time.Second) {
		errs = append(errs, config.Errorf("max_jump", "is %s, must be at least 1s", c.MaxJump))
	}
	return errors.Join(errs...)
}
