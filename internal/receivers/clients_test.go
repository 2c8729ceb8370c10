package receivers_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"net/url"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/warder/warder/internal/receivers"
)

// receiver is what all receivers have.
type receiver interface {
	io.Closer
	Count() int
	Repeats() int
	Messages() []receivers.Message
	Problems() []string
	SetFault(receivers.Fault)
}

// fixture is a receiver with a client of its protocol.
type fixture struct {
	receiver
	// send sends one message with the alerts. An error is the receiver's refusal; permanent tells that it is for good.
	send func(ctx context.Context, ids ...string) (permanent bool, err error)
	// junk sends what is not in the protocol's form.
	junk func() error
	// noAnswer is set for a protocol that has no answers, so that its receiver cannot refuse.
	noAnswer bool
}

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// must unpacks what a constructor returned, and closes the receiver when the test is over.
func must[R io.Closer](t *testing.T) func(R, error) R {
	return func(r R, err error) R {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
		return r
	}
}

func fixtures() map[string]func(t *testing.T) fixture {
	return map[string]func(t *testing.T) fixture{
		"mail": mailServer, "slack webhook": slackWebhook, "slack api": slackAPI, "webhook": webhook,
		"syslog udp": func(t *testing.T) fixture { return syslog(t, "udp", nil, nil) },
		"syslog tcp": func(t *testing.T) fixture { return syslog(t, "tcp", nil, nil) },
		"syslog tls": func(t *testing.T) fixture {
			server, client := certificate(t)
			return syslog(t, "tcp", server, client)
		},
	}
}

// certificate returns what a server on loopback shows, and what a client needs to trust it.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}

func mailServer(t *testing.T) fixture {
	r := must[*receivers.SMTP](t)(receivers.NewSMTP())
	deliver := func(ctx context.Context, body string) (bool, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.Addr())
		if err != nil {
			return false, err
		}
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		defer stop()
		client, err := smtp.NewClient(c, "localhost")
		if err != nil {
			return false, err
		}
		defer client.Close()
		if err := converse(client, body); err != nil {
			return strings.HasPrefix(err.Error(), "55"), err
		}
		return false, client.Quit()
	}
	return fixture{receiver: r,
		send: func(ctx context.Context, ids ...string) (bool, error) {
			return deliver(ctx, "Subject: test\r\nX-Warder-Alert: "+strings.Join(ids, ", ")+"\r\n\r\nbody\r\n")
		},
		junk: func() error { _, err := deliver(context.Background(), "no header\r\n"); return err }}
}

func converse(c *smtp.Client, body string) error {
	if err := c.Mail("warder@example.com"); err != nil {
		return err
	}
	if err := c.Rcpt("soc@example.com"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, body); err != nil {
		return err
	}
	return w.Close()
}

// post sends over a connection of its own and returns the status and the answer.
func post(ctx context.Context, target, kind, body string, header http.Header) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Content-Type", kind)
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer), err
}

// refusal makes an error of an answer that is none of success.
func refusal(status int, answer string, err error) (permanent bool, _ error) {
	if err != nil {
		return false, err
	}
	if status >= 300 || strings.Contains(answer, `"ok":false`) {
		return status != http.StatusTooManyRequests, fmt.Errorf("status %d: %s", status, answer)
	}
	return false, nil
}

func attachments(ids []string) string {
	var blocks []string
	for _, id := range ids {
		blocks = append(blocks, fmt.Sprintf(`{"type":"section","block_id":%q,"text":{"type":"mrkdwn","text":"x"}}`, id))
	}
	return `[{"blocks":[` + strings.Join(blocks, ",") + `]}]`
}

func slackWebhook(t *testing.T) fixture {
	r := must[*receivers.Slack](t)(receivers.NewSlack())
	send := func(ctx context.Context, body string) (bool, error) {
		return refusal(post(ctx, r.WebhookURL(), "application/json", body, nil))
	}
	return fixture{receiver: r,
		send: func(ctx context.Context, ids ...string) (bool, error) {
			return send(ctx, `{"text":"x","attachments":`+attachments(ids)+`}`)
		},
		junk: func() error { _, err := send(context.Background(), `{"text":"x"}`); return err }}
}

func slackAPI(t *testing.T) fixture {
	r := must[*receivers.Slack](t)(receivers.NewSlack())
	send := func(ctx context.Context, attachments string) (bool, error) {
		form := url.Values{"channel": {"C0DEMO"}, "text": {"x"}, "attachments": {attachments}}
		return refusal(post(ctx, r.APIURL()+"chat.postMessage", "application/x-www-form-urlencoded", form.Encode(), nil))
	}
	return fixture{receiver: r,
		send: func(ctx context.Context, ids ...string) (bool, error) { return send(ctx, attachments(ids)) },
		junk: func() error { _, err := send(context.Background(), `{`); return err }}
}

func webhook(t *testing.T) fixture {
	r := must[*receivers.Webhook](t)(receivers.NewWebhook(secret))
	send := func(ctx context.Context, body string) (bool, error) {
		return refusal(post(ctx, r.URL(), "application/json", body, signed(t, secret, body)))
	}
	return fixture{receiver: r,
		send: func(ctx context.Context, ids ...string) (bool, error) { return send(ctx, hook(ids...)) },
		junk: func() error { _, err := send(context.Background(), `{"type":"other"}`); return err }}
}

func hook(ids ...string) string {
	var alerts []string
	for _, id := range ids {
		alerts = append(alerts, fmt.Sprintf(`{"id":%q}`, id))
	}
	return `{"type":"warder.alerts","alerts":[` + strings.Join(alerts, ",") + `]}`
}

func signed(t *testing.T, secret, body string) http.Header {
	t.Helper()
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	signature, err := w.Sign("msg_1", now, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Set("Webhook-Id", "msg_1")
	h.Set("Webhook-Timestamp", fmt.Sprint(now.Unix()))
	h.Set("Webhook-Signature", signature)
	return h
}

func syslog(t *testing.T, network string, server, client *tls.Config) fixture {
	r := must[*receivers.Syslog](t)(receivers.NewSyslog(network, server))
	write := func(message string) error {
		var c net.Conn
		var err error
		if server != nil {
			c, err = tls.Dial(network, r.Addr(), client)
		} else {
			c, err = net.Dial(network, r.Addr())
		}
		if err != nil {
			return err
		}
		defer c.Close()
		if network != "udp" {
			message = fmt.Sprintf("%d %s", len(message), message)
		}
		_, err = io.WriteString(c, message)
		return err
	}
	return fixture{receiver: r, noAnswer: true,
		send: func(_ context.Context, ids ...string) (bool, error) {
			for _, id := range ids {
				if err := write(fmt.Sprintf(`<134>1 2026-11-22T10:00:00Z host warder - alert [warder@32473 id="%s"] text`, id)); err != nil {
					return false, err
				}
			}
			return false, nil
		},
		junk: func() error { return write("not a message") }}
}
