package gateway

import (
	"net/http"
	"strings"
	"testing"
)

func TestForwardingHeaders(t *testing.T) {
	lies := http.Header{
		"X-Forwarded-For": {"1.1.1.1", "198.51.100.1"}, "X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"https"}, "X-Real-Ip": {"1.1.1.1"},
		"Forwarded": {"for=1.1.1.1"}, "True-Client-Ip": {"1.1.1.1"}, "X-Client-Ip": {"1.1.1.1"}, "X-User": {"admin"}, "Host": {"h.example"},
		// What WSGI and its like cannot tell from the real ones.
		"X_forwarded_for": {"1.1.1.1"}, "X_real-Ip": {"1.1.1.1"}, "X-Client_ip": {"1.1.1.1"}, "X_user": {"root"}, "X_harmless": {"stays"},
	}
	for _, tt := range []struct {
		name    string
		trusted bool
		want    map[string]string
	}{
		{"untrusted peer", false, map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "h.example",
			"X-Forwarded-Proto": "http", "X-Real-Ip": "127.0.0.1", "X-User": "", "X-Client-Ip": ""}},
		{"trusted peer", true, map[string]string{"X-Forwarded-For": "1.1.1.1, 198.51.100.1, 127.0.0.1", "X-Forwarded-Host": "evil.example",
			"X-Forwarded-Proto": "https", "X-Real-Ip": "198.51.100.1", "X-User": "admin", "X-Client-Ip": ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, echo(t).URL, func(c *Config) {
				c.Principal = []Credential{{Type: typeHeader, Name: "x-user"}}
				c.TrustedProxies = []string{"10.0.0.0/8"}
				if tt.trusted {
					c.TrustedProxies = []string{"127.0.0.1"}
				}
			})
			res, _, e := b.do("GET", "/", lies, nil)
			for k, v := range tt.want {
				if got := strings.Join(res.Header["Got-"+k], "|"); got != v {
					t.Errorf("upstream got %s: %q, want %q", k, got, v)
				}
			}
			if res.Header.Get("Got-Forwarded") != "" || res.Header.Get("Got-True-Client-Ip") != "" {
				t.Error("a forged header passed")
			}
			for k := range res.Header {
				if strings.Contains(k, "_") && k != "Got-X_harmless" {
					t.Errorf("a forged header passed as %s", k)
				}
			}
			if res.Header.Get("Got-X_harmless") != "stays" {
				t.Error("a header of no concern was removed")
			}
			if got := e.Source.Address.String(); got != tt.want["X-Real-Ip"] {
				t.Errorf("event has the address %s", got)
			}
			if wantUser := tt.want["X-User"]; e.Principal.ID != wantUser {
				t.Errorf("principal %q, want %q", e.Principal.ID, wantUser)
			}
		})
	}
}
