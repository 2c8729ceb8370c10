// Package serve runs one HTTP listener from its start to an orderly end, for the parts of Warder that other programs ask.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// drain is how long answers that are under way may take when the listener ends.
const drain = 5 * time.Second

// Listener is an address that is listened on while something runs.
type Listener struct {
	address string
	ready   chan struct{}
	addr    net.Addr // set before ready is closed
}

// NewListener opens no socket.
func NewListener(address string) *Listener {
	return &Listener{address: address, ready: make(chan struct{})}
}

// Open binds the address. It may be called once.
func (l *Listener) Open(ctx context.Context) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", l.address)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address under listen", err)
	}
	l.addr = ln.Addr()
	close(l.ready)
	return ln, nil
}

// Ready is closed once the address is listened on.
func (l *Listener) Ready() <-chan struct{} { return l.ready }

// Addr returns the address that is listened on, nil before Ready.
func (l *Listener) Addr() net.Addr {
	select {
	case <-l.ready:
		return l.addr
	default:
		return nil
	}
}

// HTTP serves h on l until ctx ends, with TLS when tc is not nil. Requests under way get five seconds to end. A request header has at most
// 16 KiB and 5 seconds; a connection without a request is closed after two minutes.
func HTTP(ctx context.Context, l *Listener, tc *tls.Config, h http.Handler, log *slog.Logger) error {
	ln, err := l.Open(ctx)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h, TLSConfig: tc, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	if tc != nil {
		ln = tls.NewListener(ln, tc)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if srv.Shutdown(stop) != nil {
		_ = srv.Close() // whoever is still asking is cut off
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
