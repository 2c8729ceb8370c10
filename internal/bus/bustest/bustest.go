// Package bustest gives tests a bus: a client of an embedded broker of their own.
package bustest

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/warder/warder/internal/bus"
)

// New returns a client of a fresh embedded broker in a temporary directory, with the topics created. Both are closed when
// the test ends.
func New(t testing.TB) *bus.Client {
	t.Helper()
	return Client(t, Broker(t, t.TempDir(), 0))
}

// Broker starts an embedded broker on the directory and port (0: a free one), closed when the test ends. A test may close it
// earlier and start another one on the same directory and port.
func Broker(t testing.TB, dir string, port int) *bus.Embedded {
	t.Helper()
	cfg := bus.DefaultEmbeddedConfig()
	cfg.Dir, cfg.Port = dir, port
	b, err := bus.StartEmbedded(cfg, Log())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// Client returns a client of the broker, with the topics created, closed when the test ends.
func Client(t testing.TB, b *bus.Embedded) *bus.Client {
	t.Helper()
	c, err := bus.New(b.ClientConfig(bus.DefaultConfig()), Log(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := c.EnsureTopics(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// Log drops everything.
func Log() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
