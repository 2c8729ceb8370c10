package app

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/enforcer/audit"
	"github.com/warder/warder/enforcer/proof"
	"github.com/warder/warder/enforcer/traffic"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
)

// newEnforcer makes the enforcer, what it knows of the traffic and of its effect, its ledger and its API.
func (a *App) newEnforcer() (err error) {
	cfg := a.cfg.Enforcer
	if a.traffic, err = traffic.New(cfg.Traffic, a.reg); err != nil {
		return config.In("enforcer.traffic", err)
	}
	if a.proof, err = proof.New(cfg.Proof, a.decisions.Refusing, a.log, a.reg); err != nil {
		return config.In("enforcer.proof", err)
	}
	if a.enforcer, err = enforcer.New(cfg.Config, a.bus, a.traffic, a.proof, a.log, a.reg); err != nil {
		return config.In("enforcer", err)
	}
	if a.audit, err = audit.New(a.cfg.Audit, a.bus, a.log, a.reg); err != nil {
		return config.In("audit", err)
	}
	a.admin.Check("audit", a.audit.Ready)
	if a.accesses, err = newAccesses(a.log, a.reg); err != nil {
		return err
	}
	a.api, err = api.New(a.cfg.API, a.enforcer, a.audit.Read, a.history, a.log, a.reg)
	return config.In("api", err)
}

// catchUp is how long the enforcer waits to know the last minutes' traffic before it decides. Later it decides without, rather than
// not at all.
const catchUp = 15 * time.Second

// runEnforcer decides, once the guardrails know the last minutes' traffic, and watches over the effect, once it knows what was decided
// and acknowledged.
func (a *App) runEnforcer(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	traffic, acked := make(chan struct{}), make(chan struct{})
	after := func(fn func() error, known ...<-chan struct{}) {
		g.Go(func() error {
			for _, k := range known {
				select {
				case <-k:
				case <-ctx.Done():
					return nil
				}
			}
			return fn()
		})
	}
	g.Go(func() error { return a.bus.Tail(ctx, bus.TopicAcks, a.seeAcks, func() { close(acked) }) })
	after(func() error {
		since := time.Now().Add(-a.cfg.Enforcer.Traffic.Window.Std())
		return a.bus.TailFrom(ctx, bus.TopicEvents, since, a.seeEvents, func() { close(traffic) })
	}, a.decisionsKnown, acked)
	after(func() error { return a.proof.Run(ctx, a.tell) }, a.decisionsKnown, acked)
	g.Go(func() error {
		select {
		case <-traffic:
		case <-time.After(catchUp):
			a.log.Warn("the last minutes' traffic is not read yet; guardrails that need it know only a part of it for now")
		case <-ctx.Done():
			return nil
		}
		return a.enforcer.Run(ctx)
	})
	return g.Wait()
}

// seeEvents shows events to who must know the traffic. What cannot be read the detector sets aside.
func (a *App) seeEvents(recs []bus.Record) error {
	now := time.Now()
	for _, r := range recs {
		if e, err := event.Decode(r.Value); err == nil {
			a.traffic.Observe(e)
			a.proof.Seen(e, now)
		}
	}
	return nil
}

// seeAcks shows acknowledgements to the proof of enforcement.
func (a *App) seeAcks(recs []bus.Record) error {
	now := time.Now()
	for _, r := range recs {
		switch ack, err := decision.DecodeAck(r.Value); {
		case len(r.Value) == 0:
			a.proof.Forgotten(string(r.Key))
		case err != nil:
			a.log.Warn("an acknowledgement cannot be read; it is ignored", "offset", r.Offset, "error", err)
		default:
			a.proof.Acked(ack, now)
		}
	}
	return nil
}

// tell writes an alert of Warder's own.
func (a *App) tell(ctx context.Context, al *alert.Alert) error {
	v, err := al.Encode()
	if err != nil {
		return err
	}
	return a.bus.Produce(ctx, bus.Record{Topic: bus.TopicAlerts, Partition: bus.AnyPartition, Key: al.Key(), Value: v})
}
