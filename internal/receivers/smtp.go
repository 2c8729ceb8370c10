package receivers

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/mail"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// SMTP is a mail server that keeps the mail that it takes.
type SMTP struct {
	*journal
	server   *smtp.Server
	listener net.Listener
	addr     string
	username string
	password string
	wg       sync.WaitGroup
	closed   chan struct{}
	once     sync.Once
}

// SMTPOptions of a mail server. The zero value takes mail without encryption and login.
type SMTPOptions struct {
	TLS      *tls.Config // offers STARTTLS
	Implicit bool        // speaks TLS from the first byte
	Username string      // demands a login
	Password string
}

// NewSMTP starts a mail server without encryption and login.
func NewSMTP() (*SMTP, error) { return NewSMTPWith(SMTPOptions{}) }

// NewSMTPWith starts a mail server.
func NewSMTPWith(o SMTPOptions) (*SMTP, error) {
	l, err := listen()
	if err != nil {
		return nil, err
	}
	s := &SMTP{journal: newJournal(), listener: l, addr: l.Addr().String(), username: o.Username, password: o.Password, closed: make(chan struct{})}
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{s: s, in: o.Username == ""}, nil }))
	s.server.Domain = "localhost"
	s.server.MaxMessageBytes = maxMessage
	s.server.AllowInsecureAuth = true
	s.server.ReadTimeout = time.Minute
	s.server.ErrorLog = log.New(io.Discard, "", 0)
	if o.Implicit {
		l = tls.NewListener(l, o.TLS)
	} else {
		s.server.TLSConfig = o.TLS
	}
	s.wg.Go(func() { _ = s.server.Serve(l) })
	return s, nil
}

// Addr returns host:port.
func (s *SMTP) Addr() string { return s.addr }

// Close stops the server and waits for it.
func (s *SMTP) Close() error {
	s.once.Do(func() { close(s.closed) })
	// The listener too: a server that has not come to serve yet would not know it.
	err := errors.Join(s.server.Close(), ignoreClosed(s.listener.Close()))
	s.wg.Wait()
	if errors.Is(err, smtp.ErrServerClosed) {
		return nil
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// session is one client's conversation.
type session struct {
	s  *SMTP
	in bool // logged in, or no login is demanded
}

func (c *session) Reset()        {}
func (c *session) Logout() error { return nil }

func (c *session) AuthMechanisms() []string {
	if c.s.username == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (c *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != c.s.username || password != c.s.password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "bad credentials " + user + " " + password}
		}
		c.in = true
		return nil
	}), nil
}

func (c *session) Mail(string, *smtp.MailOptions) error {
	if !c.in {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (c *session) Rcpt(string, *smtp.RcptOptions) error {
	switch c.s.current(c.s.closed) {
	case Temporary:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again later"}
	case Permanent:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	return nil
}

func (c *session) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	parsed, err := mail.ReadMessage(bytes.NewReader(body))
	if err != nil {
		c.s.problem("not a mail: %v", err)
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "not a mail"}
	}
	m := Message{Header: parsed.Header, Body: body}
	for id := range strings.SplitSeq(parsed.Header.Get("X-Warder-Alert"), ",") {
		if id = strings.TrimSpace(id); id != "" {
			m.Alerts = append(m.Alerts, id)
		}
	}
	c.s.add(m)
	return nil
}
