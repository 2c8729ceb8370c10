// Package claims reads what a trusted gateway says of a request in headers of its own: who is asking, by which route, with which TLS
// fingerprint. No header is believed unless the configuration names it.
package claims

import (
	"errors"
	"net/netip"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
	"golang.org/x/net/http/httpguts"
)

// Headers names the headers. Empty ones are not read. The gateway must remove or overwrite them in what clients send.
type Headers struct {
	Principal   string `yaml:"principal"`      // the proven id
	Type        string `yaml:"principal_type"` // what proved it; the value "api_key" is an API key
	Tenant      string `yaml:"tenant"`         // the tenant that the principal belongs to
	Fingerprint string `yaml:"fingerprint"`    // of TLS: JA4, or what the gateway has
	Route       string `yaml:"route"`          // the route template
}

// Geo tells where an address is: a country in upper case and an autonomous system, empty and 0 when unknown. It is called for each
// request, by several goroutines.
type Geo func(netip.Addr) (country string, asn uint32)

// Validate checks the names; its errors are joined [config.FieldError] values.
func (h Headers) Validate() error {
	var errs []error
	for _, f := range []struct{ key, name string }{{"principal", h.Principal}, {"principal_type", h.Type}, {"tenant", h.Tenant},
		{"fingerprint", h.Fingerprint}, {"route", h.Route}} {
		if f.name != "" && !httpguts.ValidHeaderFieldName(f.name) {
			errs = append(errs, config.Errorf(f.key, "%.60q is not a header's name", f.name))
		}
	}
	return errors.Join(errs...)
}

// Read writes what the headers say into q. get returns a header's value, "" when it is missing.
func (h Headers) Read(q *decision.Subject, get func(name string) string) {
	value := func(name string) string {
		if name == "" {
			return ""
		}
		return get(name)
	}
	if id := value(h.Principal); id != "" {
		q.Principal, q.APIKey = id, value(h.Type) == "api_key"
	}
	if q.Principal != "" {
		q.Tenant = value(h.Tenant)
	}
	q.Fingerprint, q.Route = value(h.Fingerprint), value(h.Route)
}

// Place writes where the subject's address is into q. g may be nil.
func (g Geo) Place(q *decision.Subject) {
	if g != nil && q.Address.IsValid() {
		q.Country, q.ASN = g(q.Address)
	}
}
