package collector

import (
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/event"
)

// NormaliseConfig says how events are brought into one form and what is removed from them.
type NormaliseConfig struct {
	Routes RoutesConfig `yaml:"routes"`
	Redact RedactConfig `yaml:"redact"`
}

// DefaultNormaliseConfig returns route heuristics without patterns and the default redaction.
func DefaultNormaliseConfig() NormaliseConfig {
	return NormaliseConfig{Routes: DefaultRoutesConfig(), Redact: DefaultRedactConfig()}
}

// Validate checks the configuration; its errors are joined [config.FieldError] values.
func (c NormaliseConfig) Validate() error {
	return joinIn("routes", c.Routes.Validate(), "redact", c.Redact.Validate())
}

// Normaliser brings events of every tap into one form: host and route, redaction, bounds. `warder detect` uses it without a
// collector. It is safe for concurrent use.
type Normaliser struct {
	routes *routes
	redact *redactor
}

// NewNormaliser compiles the configuration.
func NewNormaliser(cfg NormaliseConfig, reg prometheus.Registerer) (*Normaliser, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r, err := newRoutes(cfg.Routes, reg)
	if err != nil {
		return nil, err
	}
	return &Normaliser{routes: r, redact: newRedactor(cfg.Redact)}, nil
}

// Apply changes the event in place. Path and query stay as the client sent them, except for redacted values; the route is made
// from the decoded path. What the tap has set already (a route, a version) stays.
func (n *Normaliser) Apply(e *event.Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	e.Request.Host = normalHost(e.Request.Host, e.Request.Scheme)
	e.Source.Address = normalAddr(e.Source.Address)
	e.Source.Peer = normalAddr(e.Source.Peer)
	if e.API.Route == "" {
		e.API.Route = n.routes.route(e.Request.Host, e.Request.Path, e.Response.Code)
	}
	if e.API.Version == "" {
		e.API.Version = pathVersion(e.Request.Path)
	}
	n.redact.apply(e)
	e.Bound()
}

// Route returns the route template that Apply would give the event if it was not answered with 404. It notes nothing, so that asking
// does not use up the bound of routes.
func (n *Normaliser) Route(e *event.Event) string {
	return n.routes.peek(normalHost(e.Request.Host, e.Request.Scheme), e.Request.Path)
}

// normalAddr makes one form of an address: IPv4 in IPv6 becomes IPv4, a zone is dropped.
func normalAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// normalHost lower-cases the host and removes the scheme's default port and the root dot. Without a known scheme both default
// ports are removed.
func normalHost(host, scheme string) string {
	host = strings.ToLower(host)
	if h, ok := strings.CutSuffix(host, ":443"); ok && scheme != "http" && !strings.HasSuffix(h, ":") {
		host = h
	} else if h, ok := strings.CutSuffix(host, ":80"); ok && scheme != "https" && !strings.HasSuffix(h, ":") {
		host = h
	}
	return strings.TrimSuffix(host, ".")
}

// pathVersion returns "v1" for a path with /v1/, /v2.1 and the like among its first three segments.
func pathVersion(path string) string {
	for range 3 {
		var seg string
		path = strings.TrimPrefix(path, "/")
		seg, path, _ = strings.Cut(path, "/")
		if isVersion(seg) {
			return seg
		}
		if path == "" {
			break
		}
	}
	return ""
}

func isVersion(s string) bool {
	if len(s) < 2 || len(s) > 8 || s[0] != 'v' || s[1] < '0' || s[1] > '9' || s[len(s)-1] == '.' {
		return false
	}
	for _, c := range []byte(s[1:]) {
		if (c < '0' || c > '9') && c != '.' {
			return false
		}
	}
	return true
}
