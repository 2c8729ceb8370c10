package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/warder/warder/internal/outbound"
)

// conn is one connection to a receiver, opened when it is needed. It is safe for concurrent use: writes follow each other.
type conn struct {
	transport Transport
	address   string
	tls       *tls.Config

	mu  sync.Mutex
	net net.Conn // nil when there is none
}

// probe is how long a look for the receiver's goodbye may take.
const probe = time.Millisecond

// write sends the frames. An error leaves the connection closed; some of the frames may have arrived.
func (c *conn) write(ctx context.Context, frames [][]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("send to %s: %w", c.address, err)
	}
	if c.net != nil && c.transport != UDP && gone(c.net) {
		c.drop()
	}
	if c.net == nil {
		if err := c.dial(ctx); err != nil {
			return err
		}
	}
	open := c.net
	stop := context.AfterFunc(ctx, func() { _ = open.SetDeadline(time.Unix(1, 0)) })
	err := c.put(frames)
	if !stop() && err == nil {
		// The deadline was, or is being, set behind a write that succeeded: the connection cannot be used again.
		c.drop()
	}
	if err == nil {
		return nil
	}
	c.drop()
	if ctx.Err() != nil {
		return fmt.Errorf("send to %s: no progress in time", c.address)
	}
	return fmt.Errorf("send to %s: %s", c.address, reason(err))
}

func (c *conn) put(frames [][]byte) error {
	if c.transport == UDP {
		for _, f := range frames {
			if _, err := c.net.Write(f); err != nil {
				return err
			}
		}
		return nil
	}
	var b []byte
	for _, f := range frames { // octet counting: RFC 6587, section 3.4.1
		b = strconv.AppendInt(b, int64(len(f)), 10)
		b = append(b, ' ')
		b = append(b, f...)
	}
	_, err := c.net.Write(b)
	return err
}

func (c *conn) dial(ctx context.Context) error {
	network := "tcp"
	if c.transport == UDP {
		network = "udp"
	}
	raw, err := (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext(ctx, network, c.address)
	if err != nil {
		return fmt.Errorf("connect to %s: %s (check address and transport)", c.address, reason(err))
	}
	if c.transport != TLS {
		c.net = raw
		return nil
	}
	secure := tls.Client(raw, c.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		var cert *tls.CertificateVerificationError
		if errors.As(err, &cert) {
			return fmt.Errorf("the certificate of %s is not trusted: %s (set tls.ca_file or tls.server_name)", c.address, reason(cert.Err))
		}
		return fmt.Errorf("tls handshake with %s: %s (check that it is a TLS port, and tls.cert_file if it wants one)", c.address, reason(err))
	}
	c.net = secure
	return nil
}

// gone looks whether the receiver has closed the connection since the last write. A receiver never sends anything, so what can
// be read is its goodbye; a timeout means that it is still there.
func gone(n net.Conn) bool {
	if err := n.SetReadDeadline(time.Now().Add(probe)); err != nil {
		return true
	}
	var b [256]byte
	for {
		_, err := n.Read(b[:])
		switch {
		case err == nil: // chatter; read on
		case errors.Is(err, os.ErrDeadlineExceeded):
			return n.SetReadDeadline(time.Time{}) != nil
		default:
			return true
		}
	}
}

func (c *conn) drop() {
	_ = c.net.Close()
	c.net = nil
}

// Close closes the connection; a later write opens a new one.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.net == nil {
		return nil
	}
	err := c.net.Close()
	c.net = nil
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("syslog: close: %s", reason(err))
	}
	return nil
}

// reason is an error's cause without the addresses around it.
func reason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return outbound.Snippet(err.Error())
}
