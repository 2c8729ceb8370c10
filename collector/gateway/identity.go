package gateway

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

// claimedPrefix marks a principal that somebody claimed without a proof that this gateway could check. A decision about the claimed
// name does not touch the real principal, so nobody gets somebody else blocked by misbehaving under their name.
const claimedPrefix = "unverified:"

// Values of auth.outcome.
const (
	outcomeAnonymous = "anonymous"
	outcomeSuccess   = "success"
	outcomeFailure   = "failure"
)

// authorization is the one credential header that the collector redacts better: it keeps the scheme and can hash the rest.
const authorization = "Authorization"

const reasonUnverified = "unverified"

// identity is what the credentials of a request say.
type identity struct {
	principal event.Principal
	auth      event.Auth
	// proven tells that decisions about the principal apply to this request.
	proven bool
}

// source finds one kind of credential. ok is false when the request has none of that kind.
type source interface {
	identify(r *http.Request) (id identity, ok bool)
}

// identifier asks the sources in order.
type identifier struct {
	sources []source
	keySets []*keySet
	secrets map[string]bool // header names, canonical, whose values never go into an event
	params  []string        // query parameters likewise
}

func newIdentifier(cfg *Config, trusted *proxies, log *slog.Logger, met *metrics) (*identifier, error) {
	id := &identifier{secrets: map[string]bool{}}
	var own []byte
	for i, c := range cfg.Principal {
		at := fmt.Sprintf("principal[%d]", i)
		switch c.Type {
		case typeJWT:
			s, err := newJWTSource(c, log, met)
			if err != nil {
				return nil, config.In(at, err)
			}
			if s.keys != nil {
				id.keySets = append(id.keySets, s.keys)
			}
			id.secrets[s.header] = s.header != authorization
			id.sources = append(id.sources, s)
		case typeAPIKey:
			key := []byte(c.HashKey.Reveal())
			if !c.HashKey.IsSet() {
				if own == nil {
					var err error
					if own, err = ownHashKey(cfg.DataDir, log); err != nil {
						return nil, config.Errorf(at+".hash_key", "%v", err)
					}
				}
				key = own
			}
			if c.Query != "" {
				id.params = append(id.params, c.Query)
			} else {
				id.secrets[http.CanonicalHeaderKey(c.Header)] = true
			}
			id.sources = append(id.sources, &keySource{header: c.Header, query: c.Query, key: key})
		case typeBasic:
			id.sources = append(id.sources, basicSource{trust: c.Trust})
		case typeCertificate:
			id.sources = append(id.sources, certificateSource{})
		case typeHeader:
			id.sources = append(id.sources, headerSource{name: http.CanonicalHeaderKey(c.Name), trusted: trusted})
		}
	}
	return id, nil
}

// identify returns what the first credential found says. Without any it is anonymous, or nothing when no source is configured.
func (i *identifier) identify(r *http.Request) identity {
	for _, s := range i.sources {
		if id, ok := s.identify(r); ok {
			return id
		}
	}
	if len(i.sources) == 0 {
		return identity{}
	}
	return identity{auth: event.Auth{Outcome: outcomeAnonymous}}
}

// claimed is the identity of a name without a proof.
func claimed(kind, name string, auth event.Auth) identity {
	p := event.Principal{Type: kind}
	if name != "" {
		p.ID = boundID(claimedPrefix + name)
	}
	return identity{principal: p, auth: auth}
}

func proven(kind, name string, auth event.Auth) identity {
	return identity{principal: event.Principal{ID: boundID(name), Type: kind}, auth: auth, proven: name != ""}
}

// boundID keeps ids that are long or not printable apart from each other, where cutting them would make them equal.
func boundID(id string) string {
	if len(id) <= event.MaxShort && utf8.ValidString(id) && strings.IndexFunc(id, unicode.IsControl) < 0 {
		return id
	}
	prefix := ""
	if strings.HasPrefix(id, claimedPrefix) {
		prefix = claimedPrefix
	}
	return prefix + hashed(id)
}

func hashed(s string) string {
	h := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(h[:])
}

// basicSource reads the user name of HTTP basic authentication. The password is not checked here and goes nowhere else, nor does
// a name without a password, but for its hash.
type basicSource struct{ trust bool }

func (s basicSource) identify(r *http.Request) (identity, bool) {
	user, password, ok := r.BasicAuth()
	if !ok || user == "" {
		return identity{}, false
	}
	if password == "" || password == "x-oauth-basic" { // then the name is the secret, by a custom of API keys and tokens
		user = hashed(user)
	}
	if s.trust {
		return proven(typeBasic, user, event.Auth{}), true
	}
	return claimed(typeBasic, user, event.Auth{Reason: reasonUnverified}), true
}

// certificateSource names the owner of a verified client certificate: its URI (SPIFFE), else common name, e-mail or DNS name.
type certificateSource struct{}

func (certificateSource) identify(r *http.Request) (identity, bool) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.PeerCertificates) == 0 {
		return identity{}, false
	}
	c := r.TLS.PeerCertificates[0]
	id := proven(typeCertificate, certificateName(c), event.Auth{Outcome: outcomeSuccess})
	if len(c.Subject.Organization) > 0 {
		id.principal.Tenant = c.Subject.Organization[0]
	}
	id.principal.Roles = c.Subject.OrganizationalUnit
	return id, true
}

func certificateName(c *x509.Certificate) string {
	switch {
	case len(c.URIs) > 0:
		return c.URIs[0].String()
	case c.Subject.CommonName != "":
		return c.Subject.CommonName
	case len(c.EmailAddresses) > 0:
		return c.EmailAddresses[0]
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	}
	return "serial:" + c.SerialNumber.Text(16)
}

// headerSource believes a trusted proxy about who is asking.
type headerSource struct {
	name    string
	trusted *proxies
}

func (s headerSource) identify(r *http.Request) (identity, bool) {
	name := r.Header.Get(s.name)
	if name == "" || !s.trusted.Trusts(peerOf(r).Addr()) {
		return identity{}, false
	}
	return proven(typeHeader, name, event.Auth{Outcome: outcomeSuccess}), true
}
