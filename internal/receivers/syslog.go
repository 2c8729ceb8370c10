package receivers

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/leodido/go-syslog/v4/rfc5424"
)

// Syslog takes RFC 5424 messages: a datagram each, or with octet counting over a stream. A message's alerts are the parameter "id" of
// its structured data.
type Syslog struct {
	*journal
	addr   string
	wg     sync.WaitGroup
	closer io.Closer

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// maxFrame bounds a message on a stream, in bytes.
const maxFrame = 1 << 20

// NewSyslog starts a receiver for "udp" or "tcp"; with a TLS configuration the latter speaks TLS.
func NewSyslog(network string, t *tls.Config) (*Syslog, error) {
	s := &Syslog{journal: newJournal(), conns: make(map[net.Conn]bool)}
	if network == "udp" {
		p, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("listen on loopback: %w", err)
		}
		s.addr, s.closer = p.LocalAddr().String(), p
		s.wg.Go(func() { s.datagrams(p) })
		return s, nil
	}
	l, err := listen()
	if err != nil {
		return nil, err
	}
	s.addr, s.closer = l.Addr().String(), l
	if t != nil {
		l = tls.NewListener(l, t)
	}
	s.wg.Go(func() { s.accept(l) })
	return s, nil
}

// Addr returns host:port.
func (s *Syslog) Addr() string { return s.addr }

// Close stops the receiver and waits for it.
func (s *Syslog) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.closer.Close()
	s.Disconnect()
	s.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Disconnect closes the open connections.
func (s *Syslog) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *Syslog) datagrams(p net.PacketConn) {
	b := make([]byte, 64<<10)
	for {
		n, _, err := p.ReadFrom(b)
		if err != nil {
			return
		}
		s.take(b[:n])
	}
}

func (s *Syslog) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		refuse := s.closed
		if !refuse {
			s.conns[c] = true
		}
		s.mu.Unlock()
		if refuse {
			_ = c.Close()
			continue
		}
		s.wg.Go(func() { s.stream(c) })
	}
}

func (s *Syslog) stream(c net.Conn) {
	defer func() {
		_ = c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	r := bufio.NewReader(c)
	for {
		size, err := r.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(size, " "))
		if err != nil || n < 1 || n > maxFrame {
			s.problem("octet count %.20q", size)
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			s.problem("frame of %d bytes: %v", n, err)
			return
		}
		s.take(b)
	}
}

func (s *Syslog) take(b []byte) {
	parsed, err := rfc5424.NewMachine(rfc5424.WithCompliantMsg()).Parse(b)
	if err != nil {
		s.problem("not RFC 5424: %v: %.200q", err, b)
		return
	}
	m := Message{Body: append([]byte(nil), b...)}
	if msg, ok := parsed.(*rfc5424.SyslogMessage); ok && msg.StructuredData != nil {
		for _, params := range *msg.StructuredData {
			if id := params["id"]; id != "" {
				m.Alerts = append(m.Alerts, id)
			}
		}
	}
	s.add(m)
}
