//go:build integration

package email

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/sinks"
	"github.com/warder/warder/sinks/sinkstest"
)

// env returns a variable that the integration run must set.
func env(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: run make integration, which starts a mail server, or name yours", name)
	}
	return v
}

// realSink returns a sink that talks to the real server with STARTTLS; the server demands it, and a login.
func realSink(t *testing.T, change func(*Config)) *Sink {
	t.Helper()
	addr, ca := env(t, "WARDER_SMTP"), env(t, "WARDER_TEST_CA")
	return newSink(t, addr, func(c *Config) {
		c.Security, c.TLS.CAFile = StartTLS, ca
		c.From, c.To = cmp.Or(os.Getenv("WARDER_SMTP_FROM"), c.From), []string{cmp.Or(os.Getenv("WARDER_SMTP_TO"), c.To[0])}
		c.Username, c.Password = cmp.Or(os.Getenv("WARDER_SMTP_USER"), "warder"), config.NewSecret(cmp.Or(os.Getenv("WARDER_SMTP_PASSWORD"), "secret"))
		if change != nil {
			change(c)
		}
	})
}

func implicit(t *testing.T) func(*Config) {
	addr := env(t, "WARDER_SMTPS")
	return func(c *Config) { c.Smarthost, c.Security = addr, Implicit }
}

// fresh returns an alert number that no earlier run against the same server has used.
func fresh() int { return rand.IntN(1 << 30) }

// mailbox is the maildir that the server delivers to. A server that is not of this run's making may keep its mail elsewhere: then
// dir is empty, nothing can be read back, and that the server took the mail is all that a test sees.
type mailbox struct {
	t    *testing.T
	dir  string
	seen map[string]bool
}

func openMailbox(t *testing.T) *mailbox {
	t.Helper()
	b := &mailbox{t: t, seen: make(map[string]bool)}
	if dir := os.Getenv("WARDER_SMTP_MAILDIR"); dir != "" {
		b.dir = filepath.Join(dir, "new")
		b.arrived()
	}
	return b
}

// arrived returns the mails that have come since the last call.
func (b *mailbox) arrived() []*mail.Message {
	b.t.Helper()
	files, err := os.ReadDir(b.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the server makes the folder with the first mail
		b.t.Fatal(err)
	}
	var out []*mail.Message
	for _, f := range files {
		if b.seen[f.Name()] {
			continue
		}
		b.seen[f.Name()] = true
		raw, err := os.ReadFile(filepath.Join(b.dir, f.Name()))
		if err != nil {
			b.t.Fatal(err)
		}
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			b.t.Fatalf("not a mail: %v: %.500q", err, raw)
		}
		out = append(out, m)
	}
	return out
}

// await returns the next n mails; more of them fail the test. It returns nil when the mailbox is unknown.
func (b *mailbox) await(n int) []*mail.Message {
	b.t.Helper()
	if b.dir == "" {
		b.t.Log("WARDER_SMTP_MAILDIR is not set: what arrived cannot be looked at, only that the server took it")
		return nil
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	var got []*mail.Message
	for {
		if got = append(got, b.arrived()...); len(got) >= n {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("%d mails arrived, want %d", len(got), n)
		}
	}
	if len(got) > n {
		b.t.Fatalf("%d mails arrived, want %d", len(got), n)
	}
	return got
}

func deliver(t *testing.T, s *Sink, alerts ...*alert.Alert) {
	t.Helper()
	if retry, err := s.Send(t.Context(), alerts); err != nil {
		t.Fatalf("Send: retry %v, %v", retry, err)
	}
}

func subjectOf(t *testing.T, m *mail.Message) string {
	t.Helper()
	s, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// parts returns the bodies of a multipart/alternative mail by their media types; the order must be text, then HTML.
func parts(t *testing.T, m *mail.Message) map[string]string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %q, %v", kind, err)
	}
	var order []string
	out := make(map[string]string)
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, kind)
		out[kind] = normal(string(body))
	}
	if want := []string{"text/plain", "text/html"}; !slices.Equal(order, want) {
		t.Fatalf("parts %q, want %q", order, want)
	}
	return out
}

// normal makes texts comparable: a mail's lines end in CRLF on the wire and in LF in a maildir.
func normal(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }

// check compares a mail with what the alerts should have become.
func check(t *testing.T, m *mail.Message, s *Sink, alerts ...*alert.Alert) {
	t.Helper()
	text, err := renderText(alerts)
	if err != nil {
		t.Fatal(err)
	}
	html, err := renderHTML(alerts)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"text/plain": normal(text), "text/html": normal(html)}
	if d := gocmp.Diff(want, parts(t, m)); d != "" {
		t.Errorf("parts (-want +got):\n%s", d)
	}
	headers := map[string]string{
		"Message-Id": "<" + messageID(alerts, s.cfg.From) + ">", "X-Warder-Alert": strings.Join(sinks.IDs(alerts), ", "),
		"To": "<" + strings.Join(s.cfg.To, ">, <") + ">", "Cc": "", "Bcc": "", "Auto-Submitted": "auto-generated",
	}
	for name, want := range headers {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := subjectOf(t, m); got != subject(alerts) {
		t.Errorf("subject %q, want %q", got, subject(alerts))
	}
}

func TestIntegrationDelivers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
	}{
		{"starttls", nil},
		{"implicit", implicit(t)},
		{"auth plain", func(c *Config) { c.Auth = AuthPlain }},
		{"opportunistic", func(c *Config) { c.Security = Opportunistic }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, box, n := realSink(t, tt.change), openMailbox(t), fresh()
			one, several := []*alert.Alert{sinkstest.Alert(n)}, []*alert.Alert{sinkstest.Alert(n + 1), sinkstest.Alert(n + 2), sinkstest.Alert(n + 3)}
			deliver(t, s, one...)
			for _, m := range box.await(1) {
				check(t, m, s, one...)
			}
			deliver(t, s, several...)
			for _, m := range box.await(1) {
				check(t, m, s, several...)
			}
		})
	}
}

// A repeat has the Message-ID of the first, so that a mail server can drop it; other alerts have another one.
func TestIntegrationMessageID(t *testing.T) {
	s, box, n := realSink(t, nil), openMailbox(t), fresh()
	count := make(map[string]int)
	for _, i := range []int{n, n + 1, n} {
		deliver(t, s, sinkstest.Alert(i))
	}
	for _, m := range box.await(3) {
		count[m.Header.Get("Message-Id")]++
	}
	want := map[string]int{}
	if box.dir != "" {
		want["<"+messageID([]*alert.Alert{sinkstest.Alert(n)}, s.cfg.From)+">"] = 2
		want["<"+messageID([]*alert.Alert{sinkstest.Alert(n + 1)}, s.cfg.From)+">"] = 1
	}
	if d := gocmp.Diff(want, count); d != "" {
		t.Errorf("mails by Message-ID (-want +got):\n%s", d)
	}
}

// Header lines, ends of data and commands in an alert stay text: one mail arrives, to its recipient, whole.
func TestIntegrationHostile(t *testing.T) {
	s, box, n := realSink(t, nil), openMailbox(t), fresh()
	deliver(t, s, sinkstest.Hostile(n), sinkstest.Hostile(n+1))
	hostile := box.await(1)
	deliver(t, s, sinkstest.Alert(n+2))
	after := box.await(1) // a mail smuggled into the first would have come before
	for _, m := range hostile {
		check(t, m, s, sinkstest.Hostile(n), sinkstest.Hostile(n+1))
	}
	for _, m := range after {
		check(t, m, s, sinkstest.Alert(n+2))
	}
}

// refuse sends and wants an error; it returns it and whether it may be tried again.
func refuse(t *testing.T, s *Sink) (retry bool, text string) {
	t.Helper()
	box := openMailbox(t)
	retry, err := s.Send(t.Context(), []*alert.Alert{sinkstest.Alert(fresh())})
	if err == nil {
		t.Fatal("Send succeeded")
	}
	if strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 1000 {
		t.Errorf("the error is not one bounded line: %q", err)
	}
	if box.dir != "" {
		deliver(t, realSink(t, nil), sinkstest.Alert(fresh()))
		box.await(1) // and none of the refused one
	}
	return retry, err.Error()
}

func holds(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("the error does not hold %q: %s", w, text)
		}
	}
}

func TestIntegrationWrongPassword(t *testing.T) {
	const wrong = "not-the-passw0rd"
	for _, auth := range []Auth{AuthAuto, AuthPlain} {
		s := realSink(t, func(c *Config) { c.Password, c.Auth = config.NewSecret(wrong), auth })
		retry, text := refuse(t, s)
		if !retry {
			t.Errorf("auth %s: a wrong password is final: %s", auth, text)
		}
		holds(t, text, "login at "+s.cfg.Smarthost, "password")
		sent := base64.StdEncoding.EncodeToString([]byte("\x00" + s.cfg.Username + "\x00" + wrong))
		for _, secret := range []string{wrong, sent} {
			if strings.Contains(text, secret) {
				t.Errorf("auth %s: the error holds the password: %s", auth, text)
			}
		}
	}
}

// knownServer tells whether the server is the one of .ci/exim.conf, whose rules of what it refuses are known.
func knownServer(t *testing.T) bool {
	t.Helper()
	known := os.Getenv("WARDER_SMTP_MAILDIR") != ""
	if !known {
		t.Log("WARDER_SMTP_MAILDIR is not set: what the server refuses is not known")
	}
	return known
}

// Without a login the server refuses the recipient.
func TestIntegrationNoLogin(t *testing.T) {
	s := realSink(t, func(c *Config) { c.Username, c.Password = "", config.Secret{} })
	if !knownServer(t) {
		return
	}
	retry, text := refuse(t, s)
	if retry {
		t.Errorf("tried again: %s", text)
	}
	holds(t, text, s.cfg.Smarthost+" refused the message", s.cfg.To[0])
}

func TestIntegrationCertificate(t *testing.T) {
	other := sinkstest.NewCertificate(t).CAFile
	for name, change := range map[string]func(*Config){
		"starttls":   func(c *Config) { c.TLS.CAFile = other },
		"wrong name": func(c *Config) { c.TLS.ServerName = "other.example" },
		"implicit":   func(c *Config) { implicit(t)(c); c.TLS.CAFile = other },
	} {
		t.Run(name, func(t *testing.T) {
			s := realSink(t, change)
			retry, text := refuse(t, s)
			if !retry {
				t.Errorf("a certificate that is not trusted is final: %s", text)
			}
			holds(t, text, "the certificate of "+s.cfg.Smarthost+" is not trusted", "tls.ca_file")
		})
	}
}

// The wrong kind of port is named.
func TestIntegrationWrongPort(t *testing.T) {
	plain := env(t, "WARDER_SMTP")
	s := realSink(t, func(c *Config) { implicit(t)(c); c.Smarthost = plain })
	_, text := refuse(t, s)
	holds(t, text, plain+" does not speak TLS")
}

// One refused recipient: nobody gets the mail, and it is not tried again.
func TestIntegrationRefusedRecipient(t *testing.T) {
	const nobody = "no-such-mailbox@example.com"
	s := realSink(t, func(c *Config) { c.To = append(c.To, nobody) })
	if !knownServer(t) {
		return
	}
	retry, text := refuse(t, s)
	if retry {
		t.Errorf("a refused recipient is tried again: %s", text)
	}
	holds(t, text, s.cfg.Smarthost+" refused the message", nobody)
}
