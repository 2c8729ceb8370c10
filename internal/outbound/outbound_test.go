package outbound

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/internal/tlsconf"
)

func TestSnippet(t *testing.T) {
	got := Snippet("no\r\n\x1b[1m entry for T0KEN at /hooks/T0KEN\u2028\xff "+strings.Repeat("x", 500), "T0KEN", "")
	if strings.Contains(got, "T0KEN") || strings.ContainsAny(got, "\r\n\x1b\u2028") || len(got) > 210 || !strings.HasPrefix(got, "no [1m entry for <redacted> at /hooks/<redacted>") {
		t.Errorf("%q", got)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "-5": 0, "soon": 0, "999999999": MaxRetryAfter,
		now.Add(time.Minute).Format(http.TimeFormat):  time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {in}}, now); got != want {
			t.Errorf("RetryAfter(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestWithoutURL(t *testing.T) {
	client := NewHTTPClient(nil)
	_, err := client.Get("http://127.0.0.1:1/hooks/T0KEN?key=T0KEN")
	if err == nil || strings.Contains(WithoutURL(err).Error(), "T0KEN") {
		t.Errorf("%v", WithoutURL(err))
	}
	if err := errors.New("x"); WithoutURL(err) != err {
		t.Error("another error changed")
	}
}

func TestSecretsOf(t *testing.T) {
	got := strings.Join(SecretsOf("https://user:pass1@example.com/a/b?key=v4lue"), " ")
	for _, want := range []string{"/a/b", "v4lue", "pass1"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not among %q", want, got)
		}
	}
}

func TestTLS(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, files := range map[string]tlsconf.Client{
		"":                         {ServerName: "x"},
		"tls.ca_file: open":        {CAFile: junk + ".missing"},
		"holds no PEM certificate": {CAFile: junk},
		"tls.cert_file: ":          {CertFile: junk, KeyFile: junk},
	} {
		c := TLS{Client: files, InsecureSkipVerify: true}
		if _, err := c.Config(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if err := (&TLS{Client: tlsconf.Client{CertFile: junk}}).Validate(); err == nil {
		t.Error("a certificate without its key was accepted")
	}
}
