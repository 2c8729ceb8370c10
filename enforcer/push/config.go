package push

import (
	"errors"
	"time"

	"github.com/warder/warder/internal/config"
)

// Config of a driver. Every gateway's configuration has it inline.
type Config struct {
	// Resync is how often the gateway's own state is read back and repaired.
	Resync config.Duration `yaml:"resync"`
	// Settle is how long a change waits for others, so that a burst is one call.
	Settle config.Duration `yaml:"settle"`
	// Timeout bounds one call of the gateway.
	Timeout config.Duration `yaml:"timeout"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Resync:  config.Duration(30 * time.Second),
		Settle:  config.Duration(5 * time.Millisecond),
		Timeout: config.Duration(10 * time.Second),
	}
}

// Validate tells, as config.FieldErrors, what is wrong.
func (c *Config) Validate() error {
	var errs []error
	if c.Resync.Std() < time.Second {
		errs = append(errs, config.Errorf("resync", "must be at least 1s, got %s", c.Resync))
	}
	if s := c.Settle.Std(); s < 0 || s > time.Second {
		errs = append(errs, config.Errorf("settle", "must be 0s to 1s, got %s: every block waits this long", c.Settle))
	}
	if c.Timeout <= 0 {
		errs = append(errs, config.Errorf("timeout", "must be above zero, got %s", c.Timeout))
	}
	return errors.Join(errs...)
}
