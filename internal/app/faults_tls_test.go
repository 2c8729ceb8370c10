package app_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/receivers"
	"github.com/warder/warder/sinks/email"
	"github.com/warder/warder/sinks/sinkstest"
	"github.com/warder/warder/sinks/slack"
	"github.com/warder/warder/sinks/syslog"
	"github.com/warder/warder/sinks/webhook"
)

// untrusted listens with a certificate that nobody here trusts, and returns where.
func untrusted(t *testing.T) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{sinkstest.NewCertificate(t).Certificate}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				_ = c.(*tls.Conn).Handshake()
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

// A ClickHouse whose certificate is not trusted: said, with what to do; blocks and alerts go on.
func TestWrongCertificateOfStore(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"native", "http"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			address := untrusted(t)
			r := newRig(t, func(c *app.Config) {
				c.Store.Addrs, c.Store.Protocol, c.Store.TLS.Enabled = []string{address}, protocol, true
			})
			r.closes("203.0.113.1")
			r.log.says("level=ERROR", "clickhouse is not ready", "certificate of ClickHouse at "+address+" is not trusted", "set store.tls.ca")
			r.notReady("clickhouse", address, "certificate")
		})
	}
}

// A broker whose certificate is not trusted: said, with what to do; the gateway serves.
func TestWrongCertificateOfBroker(t *testing.T) {
	t.Parallel()
	address := untrusted(t)
	r := newRig(t, func(c *app.Config) { c.Kafka.Brokers, c.Kafka.TLS.Enabled = []string{address}, true })
	r.serves(10)
	r.log.says("level=ERROR", "kafka is not ready", address, "certificate", "set tls.ca")
	r.notReady("kafka", address, "certificate")
	r.serves(10)
}

// Receivers whose certificates are not trusted: each is said, with what to do, and the one that is trusted gets its alerts.
func TestWrongCertificateOfReceivers(t *testing.T) {
	t.Parallel()
	certificate := tls.Config{Certificates: []tls.Certificate{sinkstest.NewCertificate(t).Certificate}}
	smtp := mailServer(t, receivers.SMTPOptions{TLS: &certificate})
	smtps := mailServer(t, receivers.SMTPOptions{TLS: &certificate, Implicit: true})
	siem := untrusted(t)
	hook := httptest.NewUnstartedServer(http.NotFoundHandler())
	hook.TLS = certificate.Clone()
	hook.Config.ErrorLog = newLogbook(t).std()
	hook.StartTLS()
	t.Cleanup(hook.Close)
	host := hook.Listener.Addr().String()
	r := newRig(t, func(c *app.Config) {
		implicit := mailTo(smtps.Addr(), email.Implicit)
		implicit.Name = "mails"
		c.Sinks.Email = []email.Config{mailTo(smtp.Addr(), email.StartTLS), implicit}
		w := webhook.DefaultConfig()
		w.Name, w.URL = "secure-hook", config.NewSecret(hook.URL)
		c.Sinks.Webhook = append(c.Sinks.Webhook, w)
		s := slack.DefaultConfig()
		s.Name, s.WebhookURL, s.GroupWait = "slack", config.NewSecret(hook.URL+"/services/T0/B0/token"), 0
		c.Sinks.Slack = []slack.Config{s}
		y := syslog.DefaultConfig()
		y.Name, y.Address, y.Transport = "siem", siem, syslog.TLS
		c.Sinks.Syslog = []syslog.Config{y}
	})
	r.closes("203.0.113.1")
	for sink, where := range map[string]string{"mail": smtp.Addr(), "mails": smtps.Addr(), "secure-hook": host, "slack": host, "siem": siem} {
		r.log.says("sink failed, will try again", "sink="+sink, where, "certificate", "not trusted", "set tls.ca_file")
		r.counts(1, "warder_sinks_attempts_total", `sink="`+sink+`"`, `result="retry"`)
	}
	if l := r.log.find("token"); l != "" {
		t.Errorf("the log shows a secret: %s", l)
	}
	r.closes("203.0.113.2")
	r.stored()
}

func mailServer(t *testing.T, o receivers.SMTPOptions) *receivers.SMTP {
	t.Helper()
	s, err := receivers.NewSMTPWith(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// An upstream whose certificate is not trusted: 502, said and counted; another route is served.
func TestWrongCertificateOfUpstream(t *testing.T) {
	t.Parallel()
	address := untrusted(t)
	r := newRig(t, func(c *app.Config) {
		broken := c.Gateway.Routes[0]
		broken.Name, broken.PathPrefix, broken.Upstream = "broken", "/broken", []string{"https://" + address}
		c.Gateway.Routes = append(c.Gateway.Routes, broken)
	})
	<-r.app.Up()
	if code := r.get("198.51.100.1", "/broken/x"); code != http.StatusBadGateway {
		t.Errorf("answered with %d, want 502", code)
	}
	r.log.says("upstream did not answer", "route=broken", "upstream="+address, "certificate", "upstream_tls.ca_file")
	r.counts(1, "warder_gateway_upstream_errors_total", `reason="certificate"`)
	r.closes("203.0.113.1")
	r.stored()
}
