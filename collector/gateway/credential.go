package gateway

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"

	"github.com/warder/warder/internal/config"
	"golang.org/x/net/http/httpguts"
)

// The types of credential; they are the values of principal.type.
const (
	typeJWT         = "jwt"
	typeAPIKey      = "api_key"
	typeBasic       = "basic"
	typeCertificate = "certificate"
	typeHeader      = "header"
)

// Credential is one place to find out who is asking.
type Credential struct {
	// Type is jwt, api_key, basic, certificate or header.
	Type string `yaml:"type"`

	// Header carries the credential of jwt (default Authorization, as "Bearer <token>") and api_key.
	Header string `yaml:"header"`
	// Query is the query parameter that carries an api_key, instead of a header.
	Query string `yaml:"query"`
	// Name is the header of type header; it counts only from a trusted proxy and is removed when anyone else sends it.
	Name string `yaml:"name"`

	// JWKSURL or JWKSFile has the keys that a jwt's signature is verified with. Without either the claims are only claimed.
	JWKSURL  string `yaml:"jwks_url"`
	JWKSFile string `yaml:"jwks_file"`
	// Issuer and Audience must match when given; one of the audiences suffices.
	Issuer   string   `yaml:"issuer"`
	Audience []string `yaml:"audience"`
	// Algorithms are the accepted signatures; default: the asymmetric ones.
	Algorithms []string `yaml:"algorithms"`
	// Claim names the principal (default sub), TenantClaim and RolesClaim the tenant and the roles; "a.b" looks into objects.
	Claim       string `yaml:"claim"`
	TenantClaim string `yaml:"tenant_claim"`
	RolesClaim  string `yaml:"roles_claim"`

	// HashKey keys the HMAC-SHA256 of an api_key. Give all gateways the same one; without it each makes its own.
	HashKey config.Secret `yaml:"hash_key"`

	// Trust says that something in front of Warder has verified this credential already: a jwt without JWKS or basic. Then a
	// block by principal applies to whoever claims the name.
	Trust bool `yaml:"trust"`
}

func (c *Credential) validate(gw *Config) error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, config.Errorf(key, format, args...)) }
	for key, h := range map[string]string{"header": c.Header, "name": c.Name} {
		if h != "" && !httpguts.ValidHeaderFieldName(h) {
			bad(key, "%q is not a header name", h)
		}
	}
	switch c.Type {
	case typeJWT:
		errs = append(errs, c.validateJWT())
	case typeAPIKey:
		if (c.Header == "") == (c.Query == "") {
			bad("header", "an api_key comes from a header or from a query parameter: give one of header and query")
		}
	case typeBasic:
	case typeCertificate:
		if gw.TLS.ClientCAFile == "" {
			bad("type", "certificate needs tls.client_ca_file")
		}
	case typeHeader:
		if c.Name == "" {
			bad("name", "is missing: the header that a trusted proxy sets, for example X-User")
		}
		if len(gw.TrustedProxies) == 0 {
			bad("type", "header needs trusted_proxies: from anyone else the header is not believed")
		}
	default:
		bad("type", "%q is not jwt, api_key, basic, certificate or header", c.Type)
	}
	return errors.Join(errs...)
}

func (c *Credential) validateJWT() error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, config.Errorf(key, format, args...)) }
	if c.JWKSURL != "" && c.JWKSFile != "" {
		bad("jwks_url", "give jwks_url or jwks_file, not both")
	}
	if c.JWKSURL != "" {
		u, err := url.Parse(c.JWKSURL)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
			bad("jwks_url", "is not an https URL")
		case u.Scheme == "http" && !loopback(u.Hostname()):
			bad("jwks_url", "must be https: keys that came over plain HTTP could be anyone's")
		}
	}
	for _, a := range c.Algorithms {
		if !slices.Contains(asymmetric(), a) {
			bad("algorithms", "%q is not one of %v", a, asymmetric())
		}
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// asymmetric are the signature algorithms whose keys can be public. "none" and the HMAC family are never accepted.
func asymmetric() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}
