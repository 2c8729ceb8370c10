package traffic

import (
	"errors"
	"time"

	"github.com/warder/warder/internal/config"
)

// Config says how far back the meter looks.
type Config struct {
	// Window is how long a successful request counts.
	Window config.Duration `yaml:"window"`
	// Remember is how long a principal counts for the address that it was seen on.
	Remember config.Duration `yaml:"remember"`
}

// DefaultConfig is five minutes of requests and an hour of principals.
func DefaultConfig() Config {
	return Config{Window: config.Duration(5 * time.Minute), Remember: config.Duration(time.Hour)}
}

// Validate tells what is wrong with the configuration.
func (c *Config) Validate() error {
	return errors.Join(within("window", c.Window, time.Minute, time.Hour), within("remember", c.Remember, time.Minute, 24*time.Hour))
}

func within(key string, d config.Duration, low, high time.Duration) error {
	if d.Std() < low || d.Std() > high {
		return config.Errorf(key, "is %s, want %s to %s", d, low, high)
	}
	return nil
}
