package envoy

import (
	"errors"

	"github.com/warder/warder/enforcer/claims"
	"github.com/warder/warder/internal/clientaddr"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/tlsconf"
)

// Config is the part of the configuration about Envoy.
type Config struct {
	// Listen is the address to listen on, "host:port". Whoever reaches it can use limits up: keep it on loopback, or let client_ca_file
	// say who may ask.
	Listen string `yaml:"listen"`
	// TLS makes the listener speak TLS.
	TLS tlsconf.Server `yaml:"tls"`
	// TrustedProxies are the peers of Envoy whose entries in X-Forwarded-For are believed: addresses or prefixes. External
	// authorisation uses it; for the rate limit service Envoy itself finds the client's address.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// Headers are what Envoy says of the request beside its address. Envoy must remove them from what clients send.
	Headers claims.Headers `yaml:"headers"`
	// PeerPrincipal takes the identity in the client's verified certificate for the principal.
	PeerPrincipal bool `yaml:"peer_principal"`
	// JWTPayload is the payload_in_metadata of Envoy's filter jwt_authn: the claim sub is taken for the principal. Empty: none.
	JWTPayload string `yaml:"jwt_payload"`
}

// DefaultConfig listens on loopback and believes the connection's address alone.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:9611"} }

// Validate checks the configuration; its errors are joined [config.FieldError] values.
func (c Config) Validate() error {
	var errs []error
	if c.Listen == "" {
		errs = append(errs, config.Errorf("listen", "is missing: want host:port, for example 127.0.0.1:9611"))
	}
	errs = append(errs, clientaddr.Validate("trusted_proxies", c.TrustedProxies))
	if err := c.Headers.Validate(); err != nil {
		errs = append(errs, config.In("headers", err))
	}
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, config.In("tls", err))
	}
	return errors.Join(errs...)
}
