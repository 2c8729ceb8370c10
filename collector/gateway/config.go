package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/warder/warder/internal/clientaddr"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/tlsconf"
	"golang.org/x/net/http/httpguts"
)

// Config is the gateway's part of the configuration.
type Config struct {
	// Listen is the address to listen on, "host:port".
	Listen string `yaml:"listen"`
	// TLS makes the listener speak TLS with HTTP/1.1 and HTTP/2.
	TLS TLS `yaml:"tls"`
	// H2C accepts HTTP/2 without TLS (prior knowledge) on a listener without TLS.
	H2C bool `yaml:"h2c"`
	// Routes says where requests go. The most specific host, then the longest path prefix wins.
	Routes []Route `yaml:"routes"`
	// Timeouts bound every wait.
	Timeouts Timeouts `yaml:"timeouts"`
	// MaxHeaderBytes bounds a request's line and header; MaxHeaders the number of header lines. Above: 431.
	MaxHeaderBytes config.Bytes `yaml:"max_header_bytes"`
	MaxHeaders     int          `yaml:"max_headers"`
	// MaxBody bounds a request's body; 0 is no bound. Above: 413.
	MaxBody config.Bytes `yaml:"max_body"`
	// MaxConnections bounds the open client connections; further ones wait to be accepted. 0 is no bound.
	MaxConnections int `yaml:"max_connections"`
	// TrustedProxies are the peers whose X-Forwarded-For, X-Real-IP and principal header are believed: addresses or prefixes.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// Headers says which request headers an event keeps.
	Headers Headers `yaml:"headers"`
	// Principal lists where to find out who is asking; the first one whose credential is present decides.
	Principal []Credential `yaml:"principal"`
	// DataDir is where the gateway keeps the key that API keys are hashed with, unless hash_key is given.
	DataDir string `yaml:"data_dir"`
}

// TLS configures the listener's TLS. The zero value is plain HTTP.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ClientCAFile makes the listener ask for client certificates of these authorities.
	ClientCAFile string `yaml:"client_ca_file"`
	// ClientAuth is "require" (default) or "optional".
	ClientAuth string `yaml:"client_auth"`
	// MinVersion is "1.2" (default) or "1.3".
	MinVersion string `yaml:"min_version"`
}

// Headers says which request headers an event keeps.
type Headers struct {
	// Capture are header names. Those that carry a configured credential are kept as "<redacted>"; the collector, which every event
	// passes, redacts the well-known secret ones.
	Capture []string `yaml:"capture"`
}

// Route is one rule of where requests go.
type Route struct {
	// Name identifies the route in events (api.name). Default: host and path prefix.
	Name string `yaml:"name"`
	// Host is "api.example.com", "*.example.com" or empty for every host.
	Host string `yaml:"host"`
	// PathPrefix matches whole segments: "/api" matches "/api" and "/api/x". Empty is every path.
	PathPrefix string `yaml:"path_prefix"`
	// StripPrefix removes PathPrefix from the path that the upstream gets.
	StripPrefix bool `yaml:"strip_prefix"`
	// Upstream is one URL or several, used in turn. Schemes: http, https, h2c (HTTP/2 without TLS).
	Upstream Upstreams `yaml:"upstream"`
	// UpstreamHost makes the upstream see its own name as the Host instead of the one that the client sent.
	UpstreamHost bool `yaml:"upstream_host"`
	// UpstreamTLS says how an https upstream is verified and what certificate it is shown. Verification cannot be turned off.
	UpstreamTLS tlsconf.Client `yaml:"upstream_tls"`
	// Timeouts overrides the gateway's upstream timeouts where not zero.
	Timeouts RouteTimeouts `yaml:"timeouts"`
}

// Upstreams is written as one URL or a list of them.
type Upstreams []string

// UnmarshalYAML implements goccy/go-yaml's InterfaceUnmarshaler.
func (u *Upstreams) UnmarshalYAML(unmarshal func(any) error) error {
	var one string
	if unmarshal(&one) == nil {
		*u = Upstreams{one}
		return nil
	}
	var list []string
	if err := unmarshal(&list); err != nil {
		return errors.New("an upstream is one URL or a list of URLs")
	}
	*u = list
	return nil
}

// Timeouts bound the waits on the client's and on the upstream's side. No timeout ends a response or an upgraded connection
// that makes progress.
type Timeouts struct {
	ReadHeader config.Duration `yaml:"read_header"` // the whole request header
	ReadBody   config.Duration `yaml:"read_body"`   // between two pieces of the request's body
	Write      config.Duration `yaml:"write"`       // for the client to take one piece of the response
	Idle       config.Duration `yaml:"idle"`        // a kept-alive connection without a request
	Drain      config.Duration `yaml:"drain"`       // at shutdown, for what is in flight
	Emit       config.Duration `yaml:"emit"`        // for an event to reach the spool; then the response goes on without
	// UpstreamConnect and UpstreamHeader bound the connection and the time to the response's header.
	UpstreamConnect config.Duration `yaml:"upstream_connect"`
	UpstreamHeader  config.Duration `yaml:"upstream_header"`
}

// RouteTimeouts override the gateway's for one route where not zero.
type RouteTimeouts struct {
	UpstreamConnect config.Duration `yaml:"upstream_connect"`
	UpstreamHeader  config.Duration `yaml:"upstream_header"`
}

// DefaultConfig listens on loopback, has no route, and reads claimed principals from the usual headers.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:8080",
		Timeouts: Timeouts{
			ReadHeader:      config.Duration(10 * time.Second),
			ReadBody:        config.Duration(time.Minute),
			Write:           config.Duration(time.Minute),
			Idle:            config.Duration(90 * time.Second),
			Drain:           config.Duration(20 * time.Second),
			Emit:            config.Duration(time.Second),
			UpstreamConnect: config.Duration(5 * time.Second),
			UpstreamHeader:  config.Duration(time.Minute),
		},
		MaxHeaderBytes: 64 << 10,
		MaxHeaders:     128,
		MaxConnections: 16384,
		// What the collector keeps by default.
		Headers: Headers{Capture: []string{
			"accept", "accept-encoding", "accept-language", "authorization", "connection", "content-encoding", "content-length",
			"content-type", "cookie", "forwarded", "if-none-match", "origin", "range", "sec-fetch-mode", "sec-fetch-site",
			"traceparent", "transfer-encoding", "upgrade", "via", "x-api-key", "x-forwarded-for", "x-forwarded-host",
			"x-forwarded-proto", "x-http-method-override", "x-original-url", "x-real-ip", "x-request-id", "x-requested-with",
			"request-range", "x-file-name", "x-filename", "x-http-method", "x-method-override",
			"x-rewrite-url",
		}},
		Principal: []Credential{
			{Type: typeJWT},
			{Type: typeBasic},
			{Type: typeAPIKey, Header: "X-Api-Key"},
		},
	}
}

// Validate returns config.FieldErrors.
func (c *Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, config.Errorf(key, format, args...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("listen", "%q is not host:port, for example 0.0.0.0:8080", c.Listen)
	}
	errs = append(errs, config.In("tls", c.TLS.validate()), config.In("timeouts", c.Timeouts.validate()))
	if c.H2C && c.TLS.CertFile != "" {
		bad("h2c", "is for a listener without TLS; with TLS, HTTP/2 is always on")
	}
	if len(c.Routes) == 0 {
		bad("routes", "there is none; write for example routes: [{upstream: 'http://127.0.0.1:3000'}]")
	}
	seen := map[string]int{}
	for i := range c.Routes {
		r, key := &c.Routes[i], fmt.Sprintf("routes[%d]", i)
		errs = append(errs, config.In(key, r.validate()))
		at := strings.ToLower(r.Host) + r.prefix()
		if first, ok := seen[at]; ok {
			bad(key, "has the same host and path_prefix as routes[%d]", first)
		} else {
			seen[at] = i
		}
	}
	if c.MaxHeaderBytes < 1<<10 || c.MaxHeaderBytes > 1<<20 {
		bad("max_header_bytes", "is %d, want 1KiB to 1MiB", c.MaxHeaderBytes)
	}
	if c.MaxHeaders < 16 {
		bad("max_headers", "is %d, want at least 16", c.MaxHeaders)
	}
	if c.MaxConnections < 0 {
		bad("max_connections", "is %d, want 0 (no bound) or more", c.MaxConnections)
	}
	for i, p := range c.TrustedProxies {
		if _, err := clientaddr.ParsePrefix(p); err != nil {
			bad(fmt.Sprintf("trusted_proxies[%d]", i), "%q is not an address or a prefix such as 10.0.0.0/8", p)
		}
	}
	for i, h := range c.Headers.Capture {
		if !httpguts.ValidHeaderFieldName(h) {
			bad(fmt.Sprintf("headers.capture[%d]", i), "%q is not a header name", h)
		}
	}
	for i := range c.Principal {
		errs = append(errs, config.In(fmt.Sprintf("principal[%d]", i), c.Principal[i].validate(c)))
	}
	return errors.Join(errs...)
}

func (t *TLS) validate() error {
	var errs []error
	if (t.CertFile == "") != (t.KeyFile == "") {
		errs = append(errs, config.Errorf("cert_file", "cert_file and key_file belong together"))
	}
	if t.ClientCAFile != "" && t.CertFile == "" {
		errs = append(errs, config.Errorf("client_ca_file", "needs cert_file and key_file"))
	}
	if !slices.Contains([]string{"", "require", "optional"}, t.ClientAuth) {
		errs = append(errs, config.Errorf("client_auth", "%q is not require or optional", t.ClientAuth))
	}
	if !slices.Contains([]string{"", "1.2", "1.3"}, t.MinVersion) {
		errs = append(errs, config.Errorf("min_version", "%q is not 1.2 or 1.3", t.MinVersion))
	}
	return errors.Join(errs...)
}

func (t *Timeouts) validate() error {
	var errs []error
	for _, f := range []struct {
		key string
		d   config.Duration
	}{
		{"read_header", t.ReadHeader}, {"read_body", t.ReadBody}, {"write", t.Write}, {"idle", t.Idle}, {"drain", t.Drain},
		{"emit", t.Emit}, {"upstream_connect", t.UpstreamConnect}, {"upstream_header", t.UpstreamHeader},
	} {
		if f.d <= 0 {
			errs = append(errs, config.Errorf(f.key, "is %s, want more than zero", f.d))
		}
	}
	return errors.Join(errs...)
}

func (r *Route) validate() error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, config.Errorf(key, format, args...)) }
	if len(r.Upstream) == 0 {
		bad("upstream", "is missing; write a URL such as http://127.0.0.1:3000")
	}
	for i, raw := range r.Upstream {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
			!slices.Contains([]string{"http", "https", "h2c"}, u.Scheme) {
			bad("upstream", "entry %d is not a URL http://, https:// or h2c://host[:port][/path] without user and query", i+1)
		}
	}
	if r.PathPrefix != "" && (r.PathPrefix[0] != '/' || cleanPath(r.PathPrefix) != r.prefix()) {
		bad("path_prefix", "%q is not a clean path that begins with /", r.PathPrefix)
	}
	if r.StripPrefix && r.prefix() == "/" {
		bad("strip_prefix", "needs a path_prefix")
	}
	if host := strings.TrimPrefix(r.Host, "*."); strings.ContainsAny(host, "*/: ") || r.Host == "*." {
		bad("host", "%q is not a host name or *.name; leave it out for every host", r.Host)
	}
	errs = append(errs, config.In("upstream_tls", r.UpstreamTLS.Validate()))
	if r.Timeouts.UpstreamConnect < 0 || r.Timeouts.UpstreamHeader < 0 {
		bad("timeouts", "must not be negative")
	}
	return errors.Join(errs...)
}

// prefix is PathPrefix without the slash at its end; "/" for every path.
func (r *Route) prefix() string {
	if p := strings.TrimRight(r.PathPrefix, "/"); p != "" {
		return p
	}
	return "/"
}
