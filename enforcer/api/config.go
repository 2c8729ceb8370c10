// Package api is the enforcer's HTTP API: reading decisions, making, extending, revoking and approving them, the global switch and
// the audit ledger, for people and their tools. openapi.yaml describes it, and is served.
package api

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"

	"github.com/warder/warder/internal/config"
)

// minToken is the shortest accepted token, in bytes: shorter ones can be guessed.
const minToken = 16

// Role says what the bearer of a token may do. Each role includes those before it.
type Role string

// The roles.
const (
	Read    Role = "read"    // see everything
	Operate Role = "operate" // make, extend and revoke decisions; turn the switch to observe
	Approve Role = "approve" // approve proposals; turn the switch to enforce
)

// Roles lists all of them, from the one that may do least.
func Roles() []Role { return []Role{Read, Operate, Approve} }

// allows tells whether the role includes what needs the other one.
func (r Role) allows(needed Role) bool {
	return slices.Index(Roles(), r) >= slices.Index(Roles(), needed)
}

// Config says where the API listens and who may use it.
type Config struct {
	// Listen is host:port; empty turns the API off. Without TLS it must be a loopback address.
	Listen string `yaml:"listen"`
	TLS    TLS    `yaml:"tls"`
	// Tokens are the bearer tokens. When there is none, one is made at the first start in the file api.token in DataDir, with the name
	// "local" and the role approve, so that the command line on the same machine works without set-up.
	Tokens []Token `yaml:"tokens"`
	// DataDir is where api.token is.
	DataDir string `yaml:"data_dir"`
}

// TLS names the listener's certificate. The zero value is plain HTTP.
type TLS struct {
	CertFile string `yaml:"cert_file"` // PEM
	KeyFile  string `yaml:"key_file"`  // PEM
}

// Token lets somebody in.
type Token struct {
	// Name is whose token it is. Decisions and the audit ledger say "person:<name>".
	Name  string        `yaml:"name"`
	Token config.Secret `yaml:"token"` // at least 16 bytes
	Role  Role          `yaml:"role"`
}

// DefaultConfig listens on loopback.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:9601"} }

// Validate tells what is wrong with the configuration, as config.FieldErrors.
func (c *Config) Validate() error {
	errs := []error{c.validateListen(), config.In("tls", c.TLS.validate())}
	names, tokens := map[string]int{}, map[string]int{}
	for i, t := range c.Tokens {
		key := fmt.Sprintf("tokens[%d]", i)
		errs = append(errs, config.In(key, t.validate()))
		if first, ok := names[t.Name]; ok {
			errs = append(errs, config.Errorf(key+".name", "%q is also the name of tokens[%d]; give each person a name of their own", t.Name, first))
		}
		if first, ok := tokens[t.Token.Reveal()]; ok && t.Token.IsSet() {
			errs = append(errs, config.Errorf(key+".token", "is the same as that of tokens[%d]; nobody could tell who did what", first))
		}
		names[t.Name], tokens[t.Token.Reveal()] = i, i
	}
	return errors.Join(errs...)
}

func (c *Config) validateListen() error {
	if c.Listen == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return config.Errorf("listen", "%.60q is not host:port; write for example 127.0.0.1:9601, or \"\" for no API", c.Listen)
	}
	if c.TLS.CertFile == "" && !loopback(host) {
		return config.Errorf("listen", "%.60q can be reached from other machines, and tokens would cross the network in the clear: "+
			"set tls.cert_file and tls.key_file, or listen on 127.0.0.1", c.Listen)
	}
	return nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

func (t *TLS) validate() error {
	if (t.CertFile == "") != (t.KeyFile == "") {
		return config.Errorf("cert_file", "cert_file and key_file belong together")
	}
	return nil
}

var tokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

func (t *Token) validate() error {
	var errs []error
	if !tokenName.MatchString(t.Name) {
		errs = append(errs, config.Errorf("name", "%.70q is not a name: write 1 to 64 letters, digits, or any of . _ @ -, for example alice", t.Name))
	}
	if n := len(t.Token.Reveal()); n < minToken {
		errs = append(errs, config.Errorf("token", "has %d bytes, want at least %d; `openssl rand -hex 32` makes a good one", n, minToken))
	}
	if !slices.Contains(Roles(), t.Role) {
		errs = append(errs, config.Errorf("role", "%.20q is not read, operate or approve", t.Role))
	}
	return errors.Join(errs...)
}
