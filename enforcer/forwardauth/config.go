package forwardauth

import (
	"errors"

	"github.com/warder/warder/enforcer/claims"
	"github.com/warder/warder/internal/clientaddr"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/tlsconf"
)

// Config is the part of the configuration about gateways that ask over HTTP.
type Config struct {
	// Listen is the address to listen on, "host:port".
	Listen string `yaml:"listen"`
	// TLS makes the listener speak TLS.
	TLS tlsconf.Server `yaml:"tls"`
	// TrustedPeers are the gateways that may ask and whose headers are believed: addresses or prefixes. Anyone else gets 503.
	TrustedPeers []string `yaml:"trusted_peers"`
	// TrustedProxies are further proxies, in front of the gateways, whose entries in X-Forwarded-For are believed.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// Headers are what the gateway says of the request beside its address.
	Headers claims.Headers `yaml:"headers"`
}

// DefaultConfig listens on loopback and answers loopback alone; no header but those about the address is believed.
func DefaultConfig() Config {
	return Config{Listen: "127.0.0.1:9610", TrustedPeers: []string{"127.0.0.0/8", "::1"}}
}

// Validate checks the configuration; its errors are joined [config.FieldError] values.
func (c Config) Validate() error {
	var errs []error
	if c.Listen == "" {
		errs = append(errs, config.Errorf("listen", "is missing: want host:port, for example 127.0.0.1:9610"))
	}
	if len(c.TrustedPeers) == 0 {
		errs = append(errs, config.Errorf("trusted_peers", "is empty: name the gateways that may ask, for example 127.0.0.1"))
	}
	errs = append(errs, clientaddr.Validate("trusted_peers", c.TrustedPeers), clientaddr.Validate("trusted_proxies", c.TrustedProxies))
	if err := c.Headers.Validate(); err != nil {
		errs = append(errs, config.In("headers", err))
	}
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, config.In("tls", err))
	}
	return errors.Join(errs...)
}
