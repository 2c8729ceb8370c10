// Package email sends alerts as mail over SMTP: one message, text and HTML, for what the dispatcher hands over together.
package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	gomail "github.com/wneessen/go-mail"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/outbound"
	"github.com/warder/warder/sinks"
)

// Security says how the connection to the smarthost is protected.
type Security string

// The kinds of protection.
const (
	StartTLS      Security = "starttls"      // mandatory STARTTLS
	Opportunistic Security = "opportunistic" // STARTTLS when it is offered
	Implicit      Security = "tls"           // TLS from the first byte, port 465
	Plaintext     Security = "none"          // for a smarthost on the same machine
)

// Auth names a way to log in.
type Auth string

// The ways to log in. AuthAuto takes the strongest that the smarthost offers.
const (
	AuthAuto  Auth = "auto"
	AuthPlain Auth = "plain"
	AuthLogin Auth = "login"
	AuthCRAM  Auth = "cram-md5"
)

// Config of one mail destination.
type Config struct {
	sinks.Common `yaml:",inline"`
	// Smarthost is the server that takes the mail: host:port.
	Smarthost string   `yaml:"smarthost"`
	From      string   `yaml:"from"` // "Warder <warder@example.com>"
	To        []string `yaml:"to"`
	Security  Security `yaml:"security"`
	// Username and Password log in when they are set.
	Username string        `yaml:"username"`
	Password config.Secret `yaml:"password"`
	Auth     Auth          `yaml:"auth"`
	// Hello is the name given in EHLO; the machine's name by default.
	Hello string       `yaml:"hello"`
	TLS   outbound.TLS `yaml:"tls"`
}

// DefaultConfig returns the defaults: mandatory STARTTLS, a burst of two seconds makes one mail of up to 20 alerts, none older
// than a day.
func DefaultConfig() Config {
	c := Config{Common: sinks.DefaultCommon(), Security: StartTLS, Auth: AuthAuto}
	c.GroupWait = config.Duration(2 * time.Second)
	c.MaxAlerts = 20
	c.Timeout = config.Duration(30 * time.Second)
	c.MaxAge = config.Duration(24 * time.Hour)
	return c
}

// UnmarshalYAML decodes over the defaults, so that an entry of a list has them too.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// Validate reports what is wrong as config.FieldErrors.
func (c *Config) Validate() error {
	errs := []error{c.Check(), config.In("tls", c.TLS.Validate())}
	bad := func(key, format string, args ...any) { errs = append(errs, config.Errorf(key, format, args...)) }
	if _, _, err := c.address(); err != nil {
		bad("smarthost", "%.80q is not host:port: write for example smtp.example.com:587", c.Smarthost)
	}
	if _, err := mail.ParseAddress(c.From); err != nil {
		bad("from", "%.80q is not a mail address: write for example Warder <warder@example.com>", c.From)
	}
	if len(c.To) == 0 || len(c.To) > 50 {
		bad("to", "want 1 to 50 recipients, have %d", len(c.To))
	}
	for i, to := range c.To {
		if _, err := mail.ParseAddress(to); err != nil {
			bad(fmt.Sprintf("to[%d]", i), "%.80q is not a mail address", to)
		}
	}
	switch c.Security {
	case StartTLS, Opportunistic, Implicit, Plaintext:
	default:
		bad("security", "%.20q is not one of starttls, opportunistic, tls, none", c.Security)
	}
	if _, err := c.authType(); err != nil {
		bad("auth", "%v", err)
	}
	if c.Username != "" && !c.Password.IsSet() || c.Username == "" && c.Password.IsSet() {
		bad("username", "username and password go together: set both or none")
	}
	if c.MaxAlerts > 100 {
		bad("max_alerts", "want at most 100 in a mail, have %d", c.MaxAlerts)
	}
	if c.Events {
		bad("events", "mail takes alerts only; send events with a syslog sink")
	}
	return errors.Join(errs...)
}

func (c *Config) address() (host string, port int, err error) {
	host, p, err := net.SplitHostPort(c.Smarthost)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(p)
	if err == nil && (host == "" || port < 1 || port > 65535) {
		err = errors.New("host or port is out of range")
	}
	return host, port, err
}

// authType maps Auth. Without encryption go-mail's plain and login are refused unless the server is local; to send a password in
// the clear must be asked for with security: none and the way by name.
func (c *Config) authType() (gomail.SMTPAuthType, error) {
	switch c.Auth {
	case AuthAuto:
		return gomail.SMTPAuthAutoDiscover, nil
	case AuthPlain:
		if c.Security == Plaintext {
			return gomail.SMTPAuthPlainNoEnc, nil
		}
		return gomail.SMTPAuthPlain, nil
	case AuthLogin:
		if c.Security == Plaintext {
			return gomail.SMTPAuthLoginNoEnc, nil
		}
		return gomail.SMTPAuthLogin, nil
	case AuthCRAM:
		return gomail.SMTPAuthCramMD5, nil
	}
	return "", fmt.Errorf("%.20q is not one of auto, plain, login, cram-md5", c.Auth)
}

// Sink sends mail through one smarthost. Each Send is a connection of its own.
type Sink struct {
	cfg     Config
	host    string
	port    int
	auth    gomail.SMTPAuthType
	hello   string
	tls     *tls.Config
	secrets []string
}

var _ sinks.Sink = (*Sink)(nil)

// New makes the sink. It does not dial.
func New(cfg Config, _ *slog.Logger, _ prometheus.Registerer) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("email %s: %w", cfg.Name, err)
	}
	s := &Sink{cfg: cfg, hello: cfg.Hello, secrets: []string{cfg.Password.Reveal()}}
	var err error
	if s.tls, err = cfg.TLS.Config(); err != nil {
		return nil, fmt.Errorf("email %s: %w", cfg.Name, err)
	}
	if s.host, s.port, err = cfg.address(); err != nil {
		return nil, fmt.Errorf("email %s: smarthost: %w", cfg.Name, err)
	}
	if s.auth, err = cfg.authType(); err != nil {
		return nil, fmt.Errorf("email %s: %w", cfg.Name, err)
	}
	if s.tls.ServerName == "" {
		s.tls.ServerName = s.host
	}
	if s.hello == "" {
		if s.hello, err = os.Hostname(); err != nil || s.hello == "" {
			s.hello = "localhost"
		}
	}
	return s, nil
}

// Send sends one mail with all alerts to all recipients, in one transaction: either all of them get it or none. A reply 5xx to the
// message itself is final. A smarthost that cannot be reached, whose certificate or login fails, or that answers 4xx may be
// tried again.
func (s *Sink) Send(ctx context.Context, alerts []*alert.Alert) (retry bool, err error) {
	if len(alerts) == 0 {
		return false, nil
	}
	msg, err := s.message(alerts, time.Now())
	if err != nil {
		return false, fmt.Errorf("email: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout.Std())
	defer cancel()
	link := &link{ctx: ctx, tls: s.tls, implicit: s.cfg.Security == Implicit}
	defer link.close()
	client, err := s.client(link)
	if err != nil {
		return false, fmt.Errorf("email: %w", err)
	}
	smtp, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return true, s.explain(ctx, err)
	}
	err = client.SendWithSMTPClient(smtp, msg)
	if msg.IsDelivered() { // what fails after the server took the message does not matter
		_ = smtp.Quit()
		return false, nil
	}
	var refused *gomail.SendError
	if errors.As(err, &refused) && refused.ErrorCode()/100 == 5 {
		return false, fmt.Errorf("email: %s refused the message: %s", s.cfg.Smarthost, s.quote(err))
	}
	return true, s.explain(ctx, err)
}

func (s *Sink) client(l *link) (*gomail.Client, error) {
	policy := gomail.TLSMandatory
	switch s.cfg.Security {
	case Opportunistic, Implicit: // over implicit TLS a server offers no STARTTLS (RFC 3207); go-mail then finds the TLS connection
		policy = gomail.TLSOpportunistic
	case Plaintext:
		policy = gomail.NoTLS
	}
	opts := []gomail.Option{gomail.WithPort(s.port), gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(s.tls), gomail.WithHELO(s.hello),
		gomail.WithTimeout(s.cfg.Timeout.Std()), gomail.WithDialContextFunc(l.dial), gomail.WithoutNoop()}
	if s.cfg.Username != "" {
		opts = append(opts, gomail.WithUsername(s.cfg.Username), gomail.WithPassword(s.cfg.Password.Reveal()), gomail.WithSMTPAuth(s.auth))
	}
	return gomail.NewClient(s.host, opts...)
}

// link owns the connection of one Send: go-mail leaves it open when the greeting, TLS or the login fails, and does not watch the
// context once it is open.
type link struct {
	ctx      context.Context
	tls      *tls.Config
	implicit bool

	mu   sync.Mutex
	conn net.Conn
	stop func() bool
}

func (l *link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.conn = conn
	l.stop = context.AfterFunc(l.ctx, func() { _ = conn.Close() })
	l.mu.Unlock()
	if !l.implicit {
		return conn, nil
	}
	secure := tls.Client(conn, l.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("tls handshake: %w", err)
	}
	return secure, nil
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.stop()
		_ = l.conn.Close()
	}
}

// explain words a failure that is not about the message: what, where, and what to do.
func (s *Sink) explain(ctx context.Context, err error) error {
	where := s.cfg.Smarthost
	var cert *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var op *net.OpError
	text := err.Error()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("email: %s did not answer within %s", where, s.cfg.Timeout)
	case errors.As(err, &cert):
		return fmt.Errorf("email: the certificate of %s is not trusted: %s (set tls.ca_file or tls.server_name)", where, s.quote(cert.Err))
	case errors.As(err, &header):
		return fmt.Errorf("email: %s does not speak TLS on this port (set security to starttls, or use port 465)", where)
	case strings.Contains(text, "does not support STARTTLS"):
		return fmt.Errorf("email: %s offers no STARTTLS (set security to tls for port 465, or to opportunistic)", where)
	case strings.Contains(text, "AUTH"):
		return fmt.Errorf("email: login at %s failed: %s (check username, password and auth)", where, s.quote(err))
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("email: %s cannot be reached: %s (check smarthost)", where, s.quote(op.Err))
	}
	return fmt.Errorf("email: %s: %s", where, s.quote(err))
}

func (s *Sink) quote(err error) string { return outbound.Snippet(err.Error(), s.secrets...) }
