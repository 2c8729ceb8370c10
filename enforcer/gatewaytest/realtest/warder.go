// Package realtest has what rigs of gateways share: Warder's part of those that ask, a client, and, with the build tag integration, real
// programs on loopback and what is expected of them.
package realtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"testing"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
)

// Addresses returns n different addresses on loopback where nobody listens. Their ports are below those that systems give to clients,
// so that what ends and starts again finds its port free.
func Addresses(t testing.TB, n int) []string {
	t.Helper()
	var out []string
	for tries := 0; len(out) < n; tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err == nil {
			out = append(out, l.Addr().String())
			defer l.Close() // all at the end: none is given out twice
		} else if tries > 100 {
			t.Fatal(err)
		}
	}
	return out
}

// Server is one of Warder's servers that gateways ask.
type Server interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}

// Warder is Warder's part of a gateway that asks: a set of decisions with its snapshot, and the server that answers by it.
// It is for one goroutine.
type Warder struct {
	t      testing.TB
	listen string
	file   string
	open   func(set *active.Set, listen string) (Server, error)
	set    *active.Set
	stop   context.CancelFunc // nil: it does not run
	done   chan error
}

// NewWarder starts Warder's part, without decisions, until the test ends.
func NewWarder(t testing.TB, listen string, open func(set *active.Set, listen string) (Server, error)) *Warder {
	t.Helper()
	w := &Warder{t: t, listen: listen, file: filepath.Join(t.TempDir(), "set"), open: open}
	w.Start()
	t.Cleanup(w.Stop)
	return w
}

// Start opens the snapshot and serves, at the same address as before.
func (w *Warder) Start() {
	w.t.Helper()
	set, err := active.Open(w.file, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.set = set
	s, err := w.open(set, w.listen)
	if err != nil {
		_ = set.Close()
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.stop, w.done = cancel, make(chan error, 1)
	go func() { w.done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-w.done:
		w.done <- err
		w.Stop()
		w.t.FailNow()
	}
}

// Stop ends the server; the decisions stay in the snapshot. Nothing listens at the address afterwards.
func (w *Warder) Stop() {
	w.t.Helper()
	if w.stop == nil {
		return
	}
	w.stop()
	w.stop = nil
	if err := <-w.done; err != nil {
		w.t.Error(err)
	}
	if err := w.set.Close(); err != nil {
		w.t.Error(err)
	}
}

// Rig is a gateway that asks Warder, which the test asks by ask.
func (w *Warder) Rig(ask func(context.Context, gatewaytest.Request) (gatewaytest.Answer, error)) *gatewaytest.Rig {
	return &gatewaytest.Rig{
		Sync: func(_ context.Context, want ...*decision.Decision) error {
			w.set.Sync(want...)
			return nil
		},
		Ask: ask,
		Restart: func(context.Context) error {
			w.Stop()
			w.Start()
			return nil
		},
		Supports: func(*decision.Decision) error { return nil },
		Expires:  true,
	}
}
