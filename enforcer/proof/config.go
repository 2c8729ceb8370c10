package proof

import (
	"errors"
	"time"

	"github.com/warder/warder/internal/config"
)

// Config says from when on something is a drift.
type Config struct {
	// AckWithin is how long a gateway may take to acknowledge a record of the decisions topic, and how long it may report an error.
	AckWithin config.Duration `yaml:"ack_within"`
	// SilentAfter is how long nothing may be heard of a gateway. Gateways acknowledge at least every ten seconds.
	SilentAfter config.Duration `yaml:"silent_after"`
	// Grace is how long a decision must have been in force before a request that got through speaks against it.
	Grace config.Duration `yaml:"grace"`
}

// DefaultConfig is 5 s for acknowledgements, 60 s of silence and 2 s of grace.
func DefaultConfig() Config {
	return Config{AckWithin: config.Duration(5 * time.Second), SilentAfter: config.Duration(time.Minute), Grace: config.Duration(2 * time.Second)}
}

// Validate tells what is wrong with the configuration.
func (c *Config) Validate() error {
	return errors.Join(
		within("ack_within", c.AckWithin, time.Second, 10*time.Minute),
		within("silent_after", c.SilentAfter, 30*time.Second, time.Hour),
		within("grace", c.Grace, 100*time.Millisecond, 10*time.Minute))
}

func within(key string, d config.Duration, low, high time.Duration) error {
	if d.Std() < low || d.Std() > high {
		return config.Errorf(key, "is %s, want %s to %s", d, low, high)
	}
	return nil
}
