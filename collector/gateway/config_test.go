package gateway

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/warder/warder/internal/config"
)

func TestConfigDecodes(t *testing.T) {
	cfg := DefaultConfig()
	text := `
listen: 0.0.0.0:8443
routes:
  - {upstream: http://127.0.0.1:3000}
  - {name: api, host: api.example.com, path_prefix: /v1, strip_prefix: true, upstream: ["http://a:1", "http://b:2"], timeouts: {upstream_header: 2s}}
timeouts: {idle: 5m}
max_body: 10MiB
trusted_proxies: [10.0.0.0/8, "::1"]
headers: {capture: [x-tenant]}
principal:
  - {type: jwt, jwks_url: https://idp/keys, issuer: https://idp, audience: [shop], claim: email}
  - {type: api_key, query: key, hash_key: s3cret}
`
	if err := config.Decode("warder.yaml", []byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Listen, want.MaxBody, want.TrustedProxies = "0.0.0.0:8443", 10<<20, []string{"10.0.0.0/8", "::1"}
	want.Routes = []Route{
		{Upstream: Upstreams{"http://127.0.0.1:3000"}},
		{Name: "api", Host: "api.example.com", PathPrefix: "/v1", StripPrefix: true, Upstream: Upstreams{"http://a:1", "http://b:2"},
			Timeouts: RouteTimeouts{UpstreamHeader: config.Duration(2e9)}},
	}
	want.Timeouts.Idle = config.Duration(300e9)
	want.Headers.Capture = []string{"x-tenant"}
	want.Principal = []Credential{
		{Type: "jwt", JWKSURL: "https://idp/keys", Issuer: "https://idp", Audience: []string{"shop"}, Claim: "email"},
		{Type: "api_key", Query: "key", HashKey: config.NewSecret("s3cret")},
	}
	if diff := cmp.Diff(want, cfg, cmp.AllowUnexported(config.Secret{})); diff != "" {
		t.Error(diff)
	}
}

func TestConfigFaultsNameTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"listen: nowhere":                                               "warder.yaml:1: listen:",
		"routes: []":                                                    "warder.yaml:1: routes:",
		"routes: [{upstream: [ ]}]":                                     "routes[0].upstream:",
		"routes: [{upstream: a:b}]":                                     "routes[0].upstream:",
		"routes: [{upstream: 'ftp://h'}]":                               "routes[0].upstream:",
		"routes: [{upstream: 'http://u:p@h'}]":                          "routes[0].upstream:",
		"routes: [{upstream: http://h, path_prefix: api}]":              "routes[0].path_prefix:",
		"routes: [{upstream: http://h, path_prefix: /a/../b}]":          "routes[0].path_prefix:",
		"routes: [{upstream: http://h, strip_prefix: true}]":            "routes[0].strip_prefix:",
		"routes: [{upstream: http://h, host: 'a.*.b'}]":                 "routes[0].host:",
		"routes: [{upstream: http://h}, {upstream: http://i}]":          "routes[1]: has the same host",
		"routes: [{upstream: http://h, upstream_tls: {key_file: k}}]":   "routes[0].upstream_tls.cert_file:",
		"tls: {cert_file: c}":                                           "tls.cert_file:",
		"tls: {client_ca_file: c}":                                      "tls.client_ca_file:",
		"tls: {min_version: '1.1'}":                                     "tls.min_version:",
		"timeouts: {drain: 0s}":                                         "timeouts.drain:",
		"max_header_bytes: 1":                                           "max_header_bytes:",
		"trusted_proxies: [10.0.0.0/40]":                                "trusted_proxies[0]:",
		"headers: {capture: ['a b']}":                                   "headers.capture[0]:",
		"principal: [{type: magic}]":                                    "principal[0].type:",
		"principal: [{type: api_key}]":                                  "principal[0].header:",
		"principal: [{type: certificate}]":                              "principal[0].type:",
		"principal: [{type: header, name: x-user}]":                     "principal[0].type:",
		"principal: [{type: jwt, jwks_url: 'http://idp.example/keys'}]": "principal[0].jwks_url:",
		"principal: [{type: jwt, algorithms: [HS256]}]":                 "principal[0].algorithms:",
		"principal: [{type: jwt, algorithms: [none]}]":                  "principal[0].algorithms:",
		"nonsense: 1": "nonsense",
	} {
		cfg := DefaultConfig()
		cfg.Routes = []Route{{Upstream: Upstreams{"http://127.0.0.1:1"}}}
		err := config.Decode("warder.yaml", []byte(text), &cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}

func TestNewNamesMissingFiles(t *testing.T) {
	set := newSet(t, "")
	for want, change := range map[string]func(*Config){
		"tls.cert_file":                  func(c *Config) { c.TLS.CertFile, c.TLS.KeyFile = "absent", "absent" },
		"routes[0].upstream_tls.ca_file": func(c *Config) { c.Routes[0].UpstreamTLS.CAFile = "absent" },
		"principal[0].jwks_file":         func(c *Config) { c.Principal = []Credential{{Type: typeJWT, JWKSFile: "absent"}} },
		"principal[2].hash_key":          func(c *Config) { c.DataDir = "/dev/null/x" },
	} {
		cfg := DefaultConfig()
		cfg.Routes = []Route{{Upstream: Upstreams{"http://127.0.0.1:1"}}}
		change(&cfg)
		if _, err := New(cfg, set, nil, nil); err == nil || !strings.HasPrefix(err.Error(), want+":") {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestListenFailureIsAnError(t *testing.T) {
	b := start(t, echo(t).URL, nil)
	cfg := DefaultConfig()
	cfg.Listen, cfg.Routes = b.gw.Addr().String(), b.gw.cfg.Routes
	g, err := New(cfg, b.set, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(t.Context(), b.emit); err == nil || !strings.Contains(err.Error(), cfg.Listen) {
		t.Errorf("error %v", err)
	}
}
