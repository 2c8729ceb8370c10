package accesslog

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/warder/warder/internal/config"
)

// Stdin is the path that means standard input.
const Stdin = "-"

// Config is one log that the tap reads.
type Config struct {
	// Path is the file; "-" is standard input.
	Path string `yaml:"path"`
	// Format is one of [Formats].
	Format string `yaml:"format"`
	// From is where a file begins that was never read before: "start" or "end".
	From string `yaml:"from"`
	// Follow goes on with what is appended, over rotations, until the collector stops. Without it the file is read once.
	Follow bool `yaml:"follow"`
	// State is the folder for the checkpoint. Without it a restart begins at From again.
	State string `yaml:"state"`
	// Name tells logs of the same path on different machines apart; the collector's name is a good one.
	Name string `yaml:"name"`
	// Poll is how often a followed file is looked at where the system gives no notice of changes.
	Poll config.Duration `yaml:"poll"`
	// Lag is how late the gateway may write a line: heartbeats of this log stay that far behind the clock.
	Lag config.Duration `yaml:"lag"`
	// TrustedProxies are prefixes whose X-Forwarded-For is believed, see [WithTrustedProxies].
	TrustedProxies []string `yaml:"trusted_proxies"`
	// Keys maps keys of a JSON format to fields, see [WithKeys].
	Keys map[string]string `yaml:"keys"`
}

// DefaultConfig returns a followed log of any format, from its start.
func DefaultConfig() Config {
	return Config{Format: Auto, From: "start", Follow: true, Poll: config.Duration(time.Second), Lag: config.Duration(2 * time.Second)}
}

// UnmarshalYAML puts the defaults under what is written: the configuration holds a list of logs, whose entries have none yet.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	p := plain(DefaultConfig())
	if err := unmarshal(&p); err != nil {
		return err
	}
	*c = Config(p)
	return nil
}

// Validate checks the configuration; its errors are joined [config.FieldError] values.
func (c Config) Validate() error {
	var errs []error
	add := func(key, format string, args ...any) { errs = append(errs, config.Errorf(key, format, args...)) }
	if c.Path == "" {
		add("path", "is missing: name a log file, or - for standard input")
	}
	if _, err := NewParser(c.Format, WithKeys(c.Keys)); err != nil {
		add("format", "%s", err)
	}
	if c.From != "start" && c.From != "end" {
		add("from", "%.20q: want start or end", c.From)
	}
	if c.Follow && (c.Poll < config.Duration(10*time.Millisecond) || c.Poll > config.Duration(time.Minute)) {
		add("poll", "%s is out of range: want 10ms to 1m", c.Poll)
	}
	if c.Lag < 0 {
		add("lag", "must not be negative")
	}
	if _, err := prefixes(c.TrustedProxies); err != nil {
		add("trusted_proxies", "%s", err)
	}
	return errors.Join(errs...)
}

// prefixes reads prefixes and single addresses.
func prefixes(list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%.60q is neither an address nor a prefix such as 10.0.0.0/8", s)
		}
		out = append(out, p)
	}
	return out, nil
}
