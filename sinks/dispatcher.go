package sinks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/opsrecord"
)

// Dispatcher reads the alerts, and for a SIEM the events, once for each sink and sees to it that each one arrives.
type Dispatcher struct {
	cfg     Config
	client  *bus.Client
	sinks   []Receiver
	log     *slog.Logger
	metrics *metrics
	report  func(opsrecord.Delivery)
}

// New makes a dispatcher. It neither dials nor starts anything. reg may be nil.
func New(cfg Config, client *bus.Client, receivers []Receiver, log *slog.Logger, reg prometheus.Registerer) (*Dispatcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("sinks: %w", err)
	}
	names := make(map[string]bool, len(receivers))
	for _, r := range receivers {
		switch {
		case r.Common.Check() != nil:
			return nil, fmt.Errorf("sink %.70q: %w", r.Common.Name, r.Common.Check())
		case names[r.Common.Name]:
			return nil, fmt.Errorf("two sinks are named %s: give each its own name", r.Common.Name)
		case r.Sink == nil:
			return nil, fmt.Errorf("sink %s: there is nothing to send with", r.Common.Name)
		case r.Common.Events && r.EventSink == nil:
			return nil, fmt.Errorf("sink %s: it cannot take events: remove events, or use a syslog sink", r.Common.Name)
		}
		names[r.Common.Name] = true
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	return &Dispatcher{cfg: cfg, client: client, sinks: receivers, log: log, metrics: m, report: func(opsrecord.Delivery) {}}, nil
}

// Group returns the consumer group in which the sink reads alerts. Its events are read in Group(sink) + ".events".
func Group(sink string) string { return "warder.sink." + sink }

// Run delivers until ctx ends; then it returns nil, having closed the sinks that are io.Closers. Each sink has consumer groups
// of its own, so that one that is slow or dead delays no other.
func (d *Dispatcher) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range d.sinks {
		g.Go(func() error { return d.alerts(ctx, r) })
		if r.Common.Events {
			g.Go(func() error { return d.events(ctx, r) })
		}
	}
	g.Go(func() error { <-ctx.Done(); return nil }) // Run lasts until ctx ends even without sinks
	err := g.Wait()
	for _, r := range d.sinks {
		if c, ok := r.Sink.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}

func (d *Dispatcher) alerts(ctx context.Context, r Receiver) error {
	log := d.log.With("sink", r.Common.Name)
	m := d.metrics.of(r.Common.Name)
	b := &batcher{
		jobs: make(chan *job),
		wait: r.Common.GroupWait.Std(),
		max:  r.Common.MaxAlerts,
		sender: &sender[*alert.Alert]{send: r.Sink.Send, backoff: d.cfg.Backoff,
			giveUp: r.Common.GiveUpAfter.Std(), tell: d.tellAlerts(&r), log: log, metrics: m},
	}
	// The batcher outlives the consumption: a partition that is being closed still waits for its answers.
	bctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.run(bctx)
	}()
	defer func() {
		stop()
		<-done
	}()
	open := func(ctx context.Context, n int) (bus.Partition, int64, error) {
		p := &alertPartition{d: d, receiver: &r, number: n, batcher: b, seen: newMemory(d.cfg.Remember), log: log, metrics: m}
		if err := p.restore(ctx); err != nil {
			return nil, 0, err
		}
		return p, bus.Committed, nil
	}
	return ended(ctx, d.client.Consume(ctx, Group(r.Common.Name), bus.TopicAlerts, open))
}

func (d *Dispatcher) events(ctx context.Context, r Receiver) error {
	log := d.log.With("sink", r.Common.Name, "stream", "events")
	m := d.metrics.of(r.Common.Name)
	s := &sender[*event.Event]{send: r.EventSink.SendEvents, backoff: d.cfg.Backoff, endless: true, tell: d.tellEvents(&r), log: log, metrics: m}
	open := func(_ context.Context, n int) (bus.Partition, int64, error) {
		return &eventPartition{d: d, name: r.Common.Name, sender: s, high: newHighWater(maxTaps), log: log, metrics: m}, bus.Committed, nil
	}
	return ended(ctx, d.client.Consume(ctx, Group(r.Common.Name)+".events", bus.TopicEvents, open))
}

// ended takes the error of a consumption that was asked to end.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// now is the wall clock: sinks talk to people, in their time.
func now() time.Time { return time.Now() }
