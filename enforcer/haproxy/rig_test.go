package haproxy

import (
	"context"
	"log/slog"
	"path"
	"testing"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/internal/decision"
)

// rig is a gateway under test; ask sends a request to it.
func rig(t *testing.T, cfg Config, ask func(context.Context, gatewaytest.Request) (gatewaytest.Answer, error)) *gatewaytest.Rig {
	t.Helper()
	var g *Gateway
	restart := func(context.Context) (err error) {
		g, err = New(cfg, slog.New(slog.DiscardHandler), nil)
		return err
	}
	if err := restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := g
	return &gatewaytest.Rig{
		Sync: func(ctx context.Context, want ...*decision.Decision) error {
			var ds []*decision.Decision
			for _, d := range want {
				if g.Supports(d) == nil {
					ds = append(ds, d)
				}
			}
			_, err := g.Sync(ctx, ds, false)
			return err
		},
		Ask: ask, Restart: restart, Supports: first.Supports, Expires: true,
		Tamper: func(ctx context.Context) error {
			d := gatewaytest.New(decision.Block, decision.Term{Scope: decision.Address, Value: gatewaytest.Foreign.String()})
			f, k, v := entry(d)
			if err := g.api.do(ctx, "clear map "+path.Join(cfg.Maps, refuseIP)); err != nil {
				return err
			}
			// Twice: HAProxy keeps both.
			return g.api.do(ctx, "add map "+path.Join(cfg.Maps, f)+" <<\n"+k+" "+v+"\n"+k+" "+v+"\n")
		},
		Size: func(ctx context.Context) (n int, err error) {
			for _, f := range files() {
				have, extra, err := g.api.read(ctx, path.Join(cfg.Maps, f))
				if err != nil {
					return 0, err
				}
				n += len(have) + extra
			}
			return n, nil
		},
	}
}
