package email

import (
	"crypto/tls"
	"flag"
	"io"
	"log/slog"
	"mime"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/receivers"
	"github.com/warder/warder/sinks"
	"github.com/warder/warder/sinks/sinkstest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSink(t *testing.T, addr string, change func(*Config)) *Sink {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Name, cfg.Smarthost, cfg.From, cfg.To = "mail", addr, "Warder <warder@example.com>", []string{"soc@example.com", "oncall@example.com"}
	cfg.Security = Plaintext
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newServer(t *testing.T, o receivers.SMTPOptions) *receivers.SMTP {
	t.Helper()
	r, err := receivers.NewSMTPWith(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestConformance(t *testing.T) {
	sinkstest.Run(t, func(t *testing.T) sinkstest.Fixture {
		r := newServer(t, receivers.SMTPOptions{})
		return sinkstest.Fixture{Sink: newSink(t, r.Addr(), nil), Arrived: func() []string { return sinkstest.Collect(r.Messages()) },
			Problems: r.Problems, Fault: r.SetFault, Permanent: true,
			Unreachable: func(t *testing.T) sinks.Sink { return newSink(t, sinkstest.Closed(t), nil) }}
	})
}

func TestProtection(t *testing.T) {
	pair := sinkstest.NewCertificate(t)
	server := &tls.Config{Certificates: []tls.Certificate{pair.Certificate}, MinVersion: tls.VersionTLS12}
	login := func(c *Config) { c.Username, c.Password = "warder", config.NewSecret("s3same-password") }
	trust := func(c *Config) { c.TLS.CAFile = pair.CAFile }
	for _, tt := range []struct {
		name   string
		server receivers.SMTPOptions
		change func(*Config)
		want   string // in the error; "" is success
	}{
		{"starttls", receivers.SMTPOptions{TLS: server}, func(c *Config) { trust(c); c.Security = StartTLS }, ""},
		{"implicit", receivers.SMTPOptions{TLS: server, Implicit: true}, func(c *Config) { trust(c); c.Security = Implicit }, ""},
		{"starttls and login", receivers.SMTPOptions{TLS: server, Username: "warder", Password: "s3same-password"},
			func(c *Config) { trust(c); login(c); c.Security = StartTLS }, ""},
		{"implicit and login", receivers.SMTPOptions{TLS: server, Implicit: true, Username: "warder", Password: "s3same-password"},
			func(c *Config) { trust(c); login(c); c.Security = Implicit }, ""},
		{"opportunistic without tls", receivers.SMTPOptions{}, func(c *Config) { c.Security = Opportunistic }, ""},
		{"no starttls offered", receivers.SMTPOptions{}, func(c *Config) { c.Security = StartTLS }, "offers no STARTTLS"},
		{"unknown authority", receivers.SMTPOptions{TLS: server}, func(c *Config) { c.Security = StartTLS }, "is not trusted"},
		{"wrong name", receivers.SMTPOptions{TLS: server}, func(c *Config) { trust(c); c.Security = StartTLS; c.TLS.ServerName = "other.example" }, "is not trusted"},
		{"implicit against plain", receivers.SMTPOptions{}, func(c *Config) { c.Security = Implicit }, "does not speak TLS"},
		{"bad login", receivers.SMTPOptions{TLS: server, Username: "warder", Password: "other"},
			func(c *Config) { trust(c); login(c); c.Security = StartTLS }, "login at"},
		{"login not offered", receivers.SMTPOptions{TLS: server}, func(c *Config) { trust(c); login(c); c.Security = StartTLS }, "login at"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newServer(t, tt.server)
			retry, err := newSink(t, r.Addr(), tt.change).Send(t.Context(), []*alert.Alert{sinkstest.Alert(1)})
			if tt.want == "" {
				if err != nil || r.Count() != 1 {
					t.Fatalf("Send: %v, %d arrived", err, r.Count())
				}
				return
			}
			if err == nil || !retry || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Send: retry %v, error %v; want %q", retry, err, tt.want)
			}
			if strings.Contains(err.Error(), "s3same") {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	r := newServer(t, receivers.SMTPOptions{})
	s := newSink(t, r.Addr(), nil)
	low := sinkstest.Alert(2)
	low.Severity = alert.Low
	for _, alerts := range [][]*alert.Alert{{low, sinkstest.Alert(1)}, {sinkstest.Alert(1), low}, {sinkstest.Hostile(3)}} {
		if _, err := s.Send(t.Context(), alerts); err != nil {
			t.Fatal(err)
		}
	}
	m := r.Messages()
	h, again, bad := mail.Header(m[0].Header), mail.Header(m[1].Header), mail.Header(m[2].Header)
	if want := "[HIGH] Credential stuffing against the login route: 203.0.113.2 (+1 more)"; h.Get("Subject") != want {
		t.Errorf("subject %q, want %q", h.Get("Subject"), want)
	}
	if id := h.Get("Message-ID"); id != again.Get("Message-ID") || !strings.HasSuffix(id, "@example.com>") {
		t.Errorf("message ids %q and %q", id, again.Get("Message-ID"))
	}
	if h.Get("Auto-Submitted") != "auto-generated" || h.Get("To") != "<soc@example.com>, <oncall@example.com>" {
		t.Errorf("headers %v", h)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(bad.Get("Subject"))
	if err != nil || bad.Get("Bcc") != "" || strings.ContainsAny(subject, "\r\n") || !strings.HasPrefix(subject, "[HIGH] Title a\\r\\nBcc:") {
		t.Errorf("hostile subject %q, %v, headers %v", subject, err, bad)
	}
}

func TestGolden(t *testing.T) {
	shadow := sinkstest.Alert(3)
	shadow.Mode, shadow.Severity, shadow.Coverage.Dropped = alert.Shadow, alert.Medium, 7
	for name, alerts := range map[string][]*alert.Alert{
		"one":     {sinkstest.Alert(1)},
		"several": {sinkstest.Alert(1), sinkstest.Alert(2), shadow},
		"hostile": {sinkstest.Hostile(1)},
		"bare":    {{Version: 1, ID: "0001", Rule: "bare", Severity: alert.Info, Time: time.Unix(1_700_000_000, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := renderText(alerts)
			if err != nil {
				t.Fatal(err)
			}
			html, err := renderHTML(alerts)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", text)
			golden(t, name+".html", html)
		})
	}
}

// No text from a request may reach a reader as markup or as a link.
func TestNothingLive(t *testing.T) {
	a := sinkstest.Hostile(1)
	a.Title, a.Description, a.Tags, a.Values = "T", "D", nil, nil // the rule's own words
	text, err := renderText([]*alert.Alert{a})
	if err != nil {
		t.Fatal(err)
	}
	html, err := renderHTML([]*alert.Alert{a})
	if err != nil {
		t.Fatal(err)
	}
	for _, live := range []string{"://", "evil.example", "\u202e", "\x1b", "\x00"} {
		if strings.Contains(text, live) {
			t.Errorf("%q is live in the text", live)
		}
	}
	for _, live := range []string{"<script", "<!channel", "://", "evil.example", "\u202e", "\x1b", "\x00"} {
		if strings.Contains(html, live) {
			t.Errorf("%q is live in the HTML", live)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

func TestConfig(t *testing.T) {
	const good = "name: m\nsmarthost: mail.example.com:587\nfrom: warder@example.com\nto: [a@example.com]\n"
	for _, tt := range []struct{ name, yaml, want string }{
		{"good", good, ""},
		{"no port", "name: m\nsmarthost: mail.example.com\nfrom: w@example.com\nto: [a@example.com]\n", "smarthost: "},
		{"no recipient", "name: m\nsmarthost: mail.example.com:25\nfrom: w@example.com\n", "to: want 1 to 50"},
		{"bad recipient", "name: m\nsmarthost: mail.example.com:25\nfrom: w@example.com\nto: [nobody]\n", "to[0]: "},
		{"security", good + "security: ssl\n", "security: "},
		{"auth", good + "auth: ntlm\n", "auth: "},
		{"half a login", good + "username: x\n", "username and password go together"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c Config
			err := config.Decode("m.yaml", []byte(tt.yaml), &c)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
		})
	}
}
