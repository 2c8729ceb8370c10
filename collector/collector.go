// Package collector takes access events from the taps to the bus: it brings them into one form, removes what must not be
// kept, writes them to a disk spool, and ships the spool to the topic warder.events.
//
// A tap calls emit from any goroutine. Emit returns when the event is in the spool; the broker is never waited for. One
// shipper reads the spool in order, so the events of one tap ascend by number within each partition.
package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/collector/enrich"
	"github.com/warder/warder/collector/spool"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

// Tap is a source of events. Run blocks until ctx ends (then it returns nil) or the source is exhausted. emit may be called
// from several goroutines, also while Run winds down after ctx ended; the event is the collector's until emit returns.
type Tap interface {
	Run(ctx context.Context, emit func(ctx context.Context, e *event.Event) error) error
}

// Numbered is implemented by a tap whose events bring their own Tap and Seq and whose heartbeats it emits itself. For the
// others the collector numbers the events and beats.
type Numbered interface{ Numbered() bool }

// Producer is the part of the bus that the collector needs; *bus.Client implements it.
type Producer interface {
	Produce(ctx context.Context, recs ...bus.Record) error
	Partitions(ctx context.Context, topic string) (int, error)
}

// Config is the collector's part of the configuration; each tap has its own beside it.
type Config struct {
	// Name is the readable part of the tap's name: "name@epoch". One name for each collector.
	Name  string       `yaml:"name"`
	Spool spool.Config `yaml:"spool"`
	// Heartbeat is the time between heartbeats.
	Heartbeat config.Duration `yaml:"heartbeat"`
	// Drain is how long a stopping collector goes on shipping what is in the spool; the rest waits there for the next start.
	Drain     config.Duration `yaml:"drain"`
	Normalise NormaliseConfig `yaml:",inline"`
	// Enrich says what is added to events.
	Enrich enrich.Config `yaml:"enrich"`
}

// DefaultConfig returns the defaults; Spool.Dir is left empty.
func DefaultConfig() Config {
	return Config{
		Name:      "collector",
		Spool:     spool.DefaultConfig(),
		Heartbeat: config.Duration(time.Second),
		Drain:     config.Duration(5 * time.Second),
		Normalise: DefaultNormaliseConfig(),
		Enrich:    enrich.DefaultConfig(),
	}
}

// Validate checks the configuration; its errors are joined [config.FieldError] values.
func (c Config) Validate() error {
	var errs []error
	if c.Name == "" || len(c.Name) > 128 {
		errs = append(errs, config.Errorf("name", "has %d bytes, want 1 to 128", len(c.Name)))
	}
	if c.Heartbeat < config.Duration(100*time.Millisecond) || c.Heartbeat > config.Duration(time.Minute) {
		errs = append(errs, config.Errorf("heartbeat", "%s is out of range: want 100ms to 1m", c.Heartbeat))
	}
	if c.Drain < 0 {
		errs = append(errs, config.Errorf("drain", "must not be negative"))
	}
	return errors.Join(append(errs, config.In("spool", c.Spool.Validate()), c.Normalise.Validate(), config.In("enrich", c.Enrich.Validate()))...)
}

// Collector is one collector. Emit is safe for concurrent use.
type Collector struct {
	cfg      Config
	log      *slog.Logger
	m        *metrics
	norm     *Normaliser
	enrich   *enrich.Enricher
	spool    *spool.Spool
	producer Producer
}

// New opens the spool. Run or Close must be called.
func New(cfg Config, producer Producer, log *slog.Logger, reg prometheus.Registerer) (*Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("collector: %w", err)
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	norm, err := NewNormaliser(cfg.Normalise, reg)
	if err != nil {
		return nil, err
	}
	enricher, err := enrich.New(cfg.Enrich, log, reg)
	if err != nil {
		return nil, config.In("collector.enrich", err)
	}
	sp, err := spool.Open(cfg.Spool, cfg.Name, log, reg)
	if err != nil {
		return nil, err
	}
	return &Collector{cfg: cfg, log: log, m: m, norm: norm, enrich: enricher, spool: sp, producer: producer}, nil
}

// Route returns the route template that the event will have when it is emitted, unless its answer is a 404.
func (c *Collector) Route(e *event.Event) string { return c.norm.Route(e) }

// Place returns what the geo databases know of an address: its country and autonomous system; "" and 0 without a database.
func (c *Collector) Place(a netip.Addr) (country string, asn uint32) {
	if db := c.enrich.Geo(); db != nil {
		p := db.Place(a)
		return p.Country, p.ASN
	}
	return "", 0
}

// Tap returns the name under which this collector numbers events.
func (c *Collector) Tap() string { return c.spool.Tap() }

// Emit normalises, redacts, enriches and bounds the event and appends it to the spool; see [spool.Spool.Append] for what it waits for
// and when it returns an error. An event without a Tap is numbered. The firewall judges it later, on its way from the spool to the bus.
func (c *Collector) Emit(ctx context.Context, e *event.Event) error {
	c.m.events.Inc()
	if e.Kind == event.Request {
		c.norm.Apply(e)
		c.enrich.Apply(e)
	} else {
		e.Bound()
	}
	return c.spool.Append(ctx, e)
}

// Run runs the taps and ships until ctx ends, then lets the taps wind down, drains the spool and closes it. It returns nil when
// ctx ended it, and the first tap's error when one failed. Taps that come to their end leave the others running; when all of
// them have ended, Run drains and returns nil.
func (c *Collector) Run(ctx context.Context, taps ...Tap) error {
	shipCtx, stopShipping := context.WithCancel(context.WithoutCancel(ctx))
	defer stopShipping()
	shipped := make(chan error, 1)
	go func() { shipped <- c.ship(shipCtx) }()
	refreshCtx, stopRefreshing := context.WithCancel(ctx)
	refreshed := make(chan struct{})
	go func() {
		defer close(refreshed)
		c.enrich.Run(refreshCtx)
	}()

	err := c.runTaps(ctx, taps)
	stopRefreshing()
	<-refreshed
	c.drain(shipCtx)
	stopShipping()
	shipErr := <-shipped
	closeErr := c.Close()
	if err == nil {
		err = shipErr
	}
	if err == nil {
		err = closeErr
	}
	return err
}

// runTaps runs the taps and the heartbeat until they have all ended.
func (c *Collector) runTaps(ctx context.Context, taps []Tap) error {
	beatCtx, stopBeating := context.WithCancel(ctx)
	defer stopBeating()
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		if c.beats(taps) {
			c.beat(beatCtx)
		}
	}()
	g, tapCtx := errgroup.WithContext(ctx)
	for _, t := range taps {
		g.Go(func() error { return t.Run(tapCtx, c.Emit) })
	}
	if len(taps) == 0 {
		g.Go(func() error { <-tapCtx.Done(); return nil })
	}
	err := g.Wait()
	stopBeating()
	<-beating
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// beats tells whether the collector itself numbers events of any tap. A collector that only reads old logs must not push event
// time forward to the present.
func (c *Collector) beats(taps []Tap) bool {
	for _, t := range taps {
		if n, ok := t.(Numbered); !ok || !n.Numbered() {
			return true
		}
	}
	return len(taps) == 0
}

func (c *Collector) beat(ctx context.Context) {
	t := time.NewTicker(c.cfg.Heartbeat.Std())
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			if err := c.spool.Heartbeat(now); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// drain waits until everything is acknowledged, at most for the configured time.
func (c *Collector) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Drain.Std())
	defer cancel()
	if err := c.spool.Empty(ctx); err != nil {
		c.log.Warn("collector stops with events in the spool, they are shipped after the next start", "bytes", c.spool.Backlog())
	}
}

// Close closes the spool. Run does it too; calling it twice is safe.
func (c *Collector) Close() error { return c.spool.Close() }
