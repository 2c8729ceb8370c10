package receivers_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"strings"
	"testing"

	"github.com/warder/warder/internal/receivers"
)

func TestSignature(t *testing.T) {
	body := hook("a")
	for _, tt := range []struct {
		name   string
		header http.Header
		body   string
	}{
		{"none", nil, body},
		{"another secret", signed(t, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", body), body},
		{"another body", signed(t, secret, body), hook("b")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := must[*receivers.Webhook](t)(receivers.NewWebhook(secret))
			status, _, err := post(t.Context(), r.URL(), "application/json", tt.body, tt.header)
			if err != nil || status != http.StatusUnauthorized || r.Count() != 0 {
				t.Errorf("status %d, %v, %d alerts", status, err, r.Count())
			}
			if p := r.Problems(); len(p) != 1 || !strings.HasPrefix(p[0], "signature: ") {
				t.Errorf("problems %q", p)
			}
		})
	}
	t.Run("not checked", func(t *testing.T) {
		r := must[*receivers.Webhook](t)(receivers.NewWebhook(""))
		if status, _, err := post(t.Context(), r.URL(), "application/json", body, nil); err != nil || status != http.StatusNoContent || r.Count() != 1 {
			t.Errorf("status %d, %v, %d alerts", status, err, r.Count())
		}
	})
	if _, err := receivers.NewWebhook("whsec_not base64"); err == nil {
		t.Error("a secret that is none was taken")
	}
}

// The receiver refuses what Slack refuses.
func TestSlackLimits(t *testing.T) {
	block := func(id, text string) string {
		return fmt.Sprintf(`{"type":"section","block_id":%q,"text":{"type":"mrkdwn","text":%q}}`, id, text)
	}
	many := func(n int) string {
		var b []string
		for i := range n {
			b = append(b, block(fmt.Sprint(i), "x"))
		}
		return strings.Join(b, ",")
	}
	fields := func(n, size int) string {
		return `{"type":"section","fields":[` + strings.TrimSuffix(strings.Repeat(`{"type":"mrkdwn","text":"`+strings.Repeat("ä", size)+`"},`, n), ",") + `]}`
	}
	for name, tt := range map[string]struct {
		text, blocks string
		want         string // the problem; "" is success
	}{
		"as many as fit":     {"x", many(50), ""},
		"longest text":       {"x", block("1", strings.Repeat("ä", 3000)), ""},
		"longest fields":     {"x", fields(10, 2000), ""},
		"too many blocks":    {"x", many(51), "more than 50"},
		"too long a text":    {"x", block("1", strings.Repeat("ä", 3001)), "too many characters"},
		"no text in a block": {"x", block("1", ""), "no or too many characters"},
		"repeated id":        {"x", block("1", "x") + "," + block("1", "y"), "block_id is repeated"},
		"too long an id":     {"x", block(strings.Repeat("x", 256), "x"), "block_id is too long"},
		"too many fields":    {"x", fields(11, 1), "more than 10 fields"},
		"too long a field":   {"x", fields(1, 2001), "a field has"},
		"empty section":      {"x", `{"type":"section"}`, "a section without text"},
		"no fallback text":   {"", many(1), "no_text"},
	} {
		t.Run(name, func(t *testing.T) {
			r := must[*receivers.Slack](t)(receivers.NewSlack())
			body := fmt.Sprintf(`{"text":%q,"attachments":[{"blocks":[%s]}]}`, tt.text, tt.blocks)
			status, _, err := post(t.Context(), r.WebhookURL(), "application/json", body, nil)
			p := r.Problems()
			if tt.want == "" {
				if err != nil || status != http.StatusOK || len(p) > 0 {
					t.Fatalf("status %d, %v, problems %q", status, err, p)
				}
				return
			}
			if err != nil || status != http.StatusBadRequest || len(p) != 1 || !strings.Contains(p[0], tt.want) || r.Count() != 0 {
				t.Errorf("status %d, %v, problems %q, want %q", status, err, p, tt.want)
			}
		})
	}
}

func TestMailLogin(t *testing.T) {
	server, client := certificate(t)
	r := must[*receivers.SMTP](t)(receivers.NewSMTPWith(receivers.SMTPOptions{TLS: server, Username: "warder", Password: "s3cret"}))
	for password, want := range map[string]string{"s3cret": "", "other": "535", "": "authenticat"} {
		c, err := smtp.Dial(r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.StartTLS(client); err != nil {
			t.Fatal(err)
		}
		if password != "" {
			err = c.Auth(smtp.PlainAuth("", "warder", password, "127.0.0.1"))
		}
		if err == nil {
			err = converse(c, "X-Warder-Alert: a\r\n\r\n")
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("password %q: %v, want %q", password, err, want)
		}
		_ = c.Close()
	}
	if r.Count() != 1 || r.Repeats() != 0 {
		t.Errorf("%d alerts, %d repeats", r.Count(), r.Repeats())
	}
}

// Broken framing ends the connection, and the next one is served.
func TestSyslogFraming(t *testing.T) {
	for _, junk := range []string{"x ", "-5 <134>1 - - - - - - x", "9999999999 x", "100 cut off"} {
		t.Run(junk, func(t *testing.T) {
			r := must[*receivers.Syslog](t)(receivers.NewSyslog("tcp", nil))
			c, err := net.Dial("tcp", r.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			good := `<134>1 - - warder - alert [w@1 id="a"] two` + "\n" + `lines`
			if _, err := fmt.Fprintf(c, "%d %s%s", len(good), good, junk); err != nil {
				t.Fatal(err)
			}
			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			await(t, "the junk went unnoticed", func() bool { return len(r.Problems()) == 1 })
			if m := r.Messages(); r.Count() != 1 || !bytes.HasSuffix(m[0].Body, []byte("two\nlines")) {
				t.Errorf("messages %v", m)
			}
		})
	}
}

// Close is idempotent, and ends connections that are open.
func TestDisconnect(t *testing.T) {
	r, err := receivers.NewSyslog("tcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []func(){r.Disconnect, func() { _ = r.Close() }} {
		c, err := net.Dial("tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		seen := len(r.Problems())
		if _, err := io.WriteString(c, "1 x"); err != nil { // a whole frame, but no message
			t.Fatal(err)
		}
		await(t, "the frame did not arrive", func() bool { return len(r.Problems()) == seen+1 })
		end()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is still open")
		}
		_ = c.Close()
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
