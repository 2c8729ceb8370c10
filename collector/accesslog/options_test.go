package accesslog

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

func TestForwarded(t *testing.T) {
	trusted, err := prefixes([]string{"10.0.0.0/8", "2001:db8::1"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewParser("combined", WithTrustedProxies(trusted...))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ peer, list, address, from string }{
		{"10.0.0.1", "198.51.100.4, 10.0.0.2", "198.51.100.4", "10.0.0.1"},
		{"10.0.0.1", "192.0.2.99, 198.51.100.4", "198.51.100.4", "10.0.0.1"}, // the left one is the client's own claim
		{"203.0.113.9", "198.51.100.4", "203.0.113.9", ""},                   // not a proxy that is trusted
		{"10.0.0.1", "garbage, 10.0.0.2", "10.0.0.2", "10.0.0.1"},
		{"10.0.0.1", "-", "10.0.0.1", ""},
		{"2001:db8::1", "2001:db8::7", "2001:db8::7", "2001:db8::1"},
	} {
		line := fmt.Sprintf(`%s - - [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-" "%s"`, tc.peer, tc.list)
		var e event.Event
		if err := p.Parse([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		from := ""
		if e.Source.Peer.IsValid() {
			from = e.Source.Peer.String()
		}
		if e.Source.Address.String() != tc.address || from != tc.from {
			t.Errorf("%s %q: got %s by %s, want %s by %s", tc.peer, tc.list, e.Source.Address, from, tc.address, tc.from)
		}
	}
}

func TestKeysAndConfig(t *testing.T) {
	p, err := NewParser("json", WithKeys(map[string]string{"who.name": "user", "when": "time", "request_uri": ""}))
	if err != nil {
		t.Fatal(err)
	}
	var e event.Event
	if err := p.Parse([]byte(`{"when":"2026-10-10T13:55:36Z","who":{"name":"bob"},"path":"/x","request_uri":"/y"}`), &e); err != nil {
		t.Fatal(err)
	}
	if e.Principal.ID != "bob" || e.Request.Path != "/x" {
		t.Errorf("got %+v", e)
	}
	if _, err := NewParser("json", WithKeys(map[string]string{"a": "colour"})); err == nil || !strings.Contains(err.Error(), "unknown field") {
		t.Errorf("got %v", err)
	}
	if _, err := NewParser("w3c"); err == nil || !strings.Contains(err.Error(), "combined") {
		t.Errorf("got %v", err)
	}
	bad := Config{Format: "w3c", From: "middle", Follow: true, Lag: -1, TrustedProxies: []string{"x"}}
	for _, key := range []string{"path", "format", "from", "poll", "lag", "trusted_proxies"} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), key+": ") {
			t.Errorf("%s: %v", key, err)
		}
	}
	if c := DefaultConfig(); c.Validate() == nil {
		t.Error("a path is not asked for")
	}
}

func TestConfigYAML(t *testing.T) {
	var c struct {
		Logs []Config `yaml:"access_logs"`
	}
	if err := config.Decode("w.yaml", []byte("access_logs:\n  - path: a.log\n    lag: 5s\n  - {path: b.log, follow: false}\n"), &c); err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Path, want.Lag = "a.log", config.Duration(5*time.Second)
	if diff := cmp.Diff(want, c.Logs[0]); diff != "" || c.Logs[1].Follow || c.Logs[1].Format != Auto {
		t.Errorf("%+v (-want +got):\n%s", c.Logs[1], diff)
	}
	err := config.Decode("w.yaml", []byte("access_logs:\n  - path: a.log\n    fromat: x\n"), &c)
	if err == nil || !strings.Contains(err.Error(), `w.yaml:3: unknown field "fromat"`) {
		t.Errorf("got %v", err)
	}
}

func TestDetect(t *testing.T) {
	for _, format := range []string{"combined", "traefik_clf", "traefik_json", "caddy", "json", "envoy", "envoy_json",
		"nginx_proxy_manager", "haproxy", "aws_alb", "auto"} {
		text, err := os.ReadFile("testdata/" + format + ".log")
		if err != nil {
			t.Fatal(err)
		}
		var sample [][]byte
		for l := range strings.Lines(string(text)) {
			if format != "combined" || !strings.Contains(l, "/common") {
				sample = append(sample, []byte(l))
			}
		}
		if got, err := Detect(sample); err != nil || got != format {
			t.Errorf("%s was taken for %q, %v", format, got, err)
		}
	}
	if _, err := Detect([][]byte{[]byte("hello")}); err == nil {
		t.Error("nonsense has a format")
	}
}

// What servers take for the same request must not look different: a client would choose the form that rules do not know.
func TestRequestLine(t *testing.T) {
	for line, want := range map[string]event.RequestInfo{
		"GET /login?a=1 HTTP/1.1":          {Method: "GET", Path: "/login", Query: "a=1", Protocol: "HTTP/1.1"},
		"GET   /login   HTTP/1.1  ":        {Method: "GET", Path: "/login", Protocol: "HTTP/1.1"},
		"GET /login#x?y HTTP/1.1":          {Method: "GET", Path: "/login", Query: "#x?y", Protocol: "HTTP/1.1"},
		"GET /login?a#b?c HTTP/1.1":        {Method: "GET", Path: "/login", Query: "a#b?c", Protocol: "HTTP/1.1"},
		"GET http://a.example/#x HTTP/1.1": {Method: "GET", Host: "a.example", Scheme: "http", Path: "/", Query: "#x", Protocol: "HTTP/1.1"},
		"GET /a b HTTP/1.1":                {Method: "GET", Path: "/a b", Protocol: "HTTP/1.1"},
		"GET /login ":                      {Method: "GET", Path: "/login"},
		"GET  HTTP/1.1":                    {Method: "GET", Protocol: "HTTP/1.1"},
		" GET / HTTP/1.1":                  {Path: " GET / HTTP/1.1"},
		"-":                                {},
		"   ":                              {},
		"\x16\x03":                         {Path: "\x16\x03"},
	} {
		var got event.RequestInfo
		requestLine(line, &got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", line, d)
		}
	}
}
