package crowdsec

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"testing"

	csbouncer "github.com/crowdsecurity/go-cs-bouncer"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/enforcer/gatewaytest/realtest"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
)

// edge is a gateway with a bouncer: it refuses the addresses that the real client of bouncers told it of.
type edge struct {
	stream *csbouncer.StreamBouncer
	has    map[string]bool
}

// newEdge polls Warder at the address until the test ends.
func newEdge(t *testing.T, at string) *edge {
	e := &edge{&csbouncer.StreamBouncer{APIKey: goodKey, APIUrl: "http://" + at, TickerInterval: "5ms", UserAgent: "test/1"}, map[string]bool{}}
	if err := e.stream.Init(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); e.stream.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for {
			select {
			case <-e.stream.Stream: // it waits for someone to take what it has
			case <-done:
				http.DefaultTransport.(*http.Transport).CloseIdleConnections()
				return
			}
		}
	})
	return e
}

// poll takes what the bouncer got, until something that it asked for after the call: the second answer from now on.
func (e *edge) poll(ctx context.Context) error {
	for range 2 {
		select {
		case d, ok := <-e.stream.Stream:
			if !ok {
				return errors.New("the bouncer gave up")
			}
			note(e.has, d)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (e *edge) ask(_ context.Context, q gatewaytest.Request) (gatewaytest.Answer, error) {
	for v := range e.has {
		p, err := netip.ParsePrefix(v)
		if v == q.Address.String() || err == nil && p.Contains(q.Address) {
			return gatewaytest.Answer{Status: 403}, nil
		}
	}
	return gatewaytest.Answer{Status: 200}, nil
}

func TestConformance(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig {
		at := realtest.Addresses(t, 1)[0]
		w := realtest.NewWarder(t, at, func(set *active.Set, listen string) (realtest.Server, error) {
			cfg := configured()
			cfg.Listen = listen
			return New(cfg, set, nil, nil)
		})
		e := newEdge(t, at)
		r := w.Rig(e.ask)
		told := r.Sync
		r.Sync = func(ctx context.Context, want ...*decision.Decision) error {
			return errors.Join(told(ctx, want...), e.poll(ctx))
		}
		r.Expires = false // it is told of the end
		r.Supports = func(d *decision.Decision) error {
			if d.Action != decision.Block || len(d.And) > 0 || d.Scope != decision.Address && d.Scope != decision.CIDR {
				return errors.New("this bouncer refuses addresses and nothing else")
			}
			return nil
		}
		return r
	})
}
