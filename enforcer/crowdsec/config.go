package crowdsec

import (
	"errors"
	"fmt"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/tlsconf"
)

// Config is the part of the configuration about CrowdSec bouncers.
type Config struct {
	// Listen is the address to listen on, "host:port".
	Listen string `yaml:"listen"`
	// TLS makes the listener speak TLS. With client_ca_file a bouncer may show a certificate instead of a key.
	TLS tlsconf.Server `yaml:"tls"`
	// Bouncers are who may ask, with a key of its own each.
	Bouncers []Bouncer `yaml:"bouncers"`
	// LimitsAs is what bouncers do with limits, which CrowdSec does not know: "captcha", "ban", or empty: they are not told.
	LimitsAs string `yaml:"limits_as"`
}

// Bouncer is one program that may ask.
type Bouncer struct {
	Name string        `yaml:"name"`
	Key  config.Secret `yaml:"key"` // sent as X-Api-Key
}

// The remediations that bouncers know.
const (
	ban     = "ban"
	captcha = "captcha"
)

// minKey is the least length of a bouncer's key in bytes.
const minKey = 16

// DefaultConfig listens on loopback, on the port that bouncers are installed with.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:8080"} }

// Validate checks the configuration; its errors are joined [config.FieldError] values.
func (c Config) Validate() error {
	var errs []error
	bad := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, config.Errorf(key, format, args...))
		}
	}
	bad(c.Listen != "", "listen", "is missing: want host:port, for example 127.0.0.1:8080")
	bad(c.LimitsAs == "" || c.LimitsAs == ban || c.LimitsAs == captcha, "limits_as", `%.20q is unknown: want captcha, ban or ""`, c.LimitsAs)
	bad(len(c.Bouncers) > 0 || c.TLS.ClientCAFile != "", "bouncers", "is empty, and there is no tls.client_ca_file: nobody could ask")
	names, keys := map[string]bool{}, map[string]bool{}
	for i, b := range c.Bouncers {
		at := fmt.Sprintf("bouncers[%d].", i)
		bad(b.Name != "", at+"name", "is missing: it tells bouncers apart in the log")
		bad(b.Name == "" || !names[b.Name], at+"name", "%.60q is there twice", b.Name)
		key := b.Key.Reveal()
		bad(len(key) >= minKey, at+"key", "has %d bytes, want at least %d: make one with: openssl rand -hex 32", len(key), minKey)
		bad(!keys[key] || len(key) < minKey, at+"key", "is another bouncer's key: every bouncer needs its own")
		names[b.Name], keys[key] = true, true
	}
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, config.In("tls", err))
	}
	return errors.Join(errs...)
}
