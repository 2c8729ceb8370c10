// Package app puts Warder together: it constructs everything in one visible, straight-line order and runs the chosen roles.
// Only cmd imports it.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/collector"
	"github.com/warder/warder/collector/accesslog"
	"github.com/warder/warder/collector/gateway"
	"github.com/warder/warder/detector/stage"
	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/engine"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/ingest"
	"github.com/warder/warder/internal/telemetry"
	"github.com/warder/warder/sinks"
)

// App is Warder in one process: the roles that were asked for, and what they stand on. Parts that belong to no chosen role
// are nil.
type App struct {
	cfg   Config
	roles []Role
	log   *slog.Logger
	reg   *prometheus.Registry
	admin *telemetry.Admin

	broker     *bus.Embedded
	bus        *bus.Client
	engine     *engine.Engine
	decisions  *active.Set
	gateway    *gateway.Gateway
	collector  *collector.Collector
	taps       []collector.Tap
	detector   *stage.Stage
	enforcer   *enforcer.Enforcer
	dispatcher *sinks.Dispatcher

	storeReady chan struct{} // closed when store is set
	store      *store.Store
	up         chan struct{} // closed when the topics exist and the store is open
}

// New constructs the roles and starts the embedded broker and engine where no server is configured. It does not wait for
// servers to be reachable: Run does. The caller must call Close, also after Run.
func New(ctx context.Context, cfg Config, roles []Role, log *slog.Logger) (_ *App, err error) {
	if err := cfg.check(roles); err != nil {
		return nil, err
	}
	cfg = cfg.resolved()
	a := &App{cfg: cfg, roles: roles, log: log, reg: prometheus.NewRegistry(), storeReady: make(chan struct{}), up: make(chan struct{})}
	a.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w; set data_dir to a folder that Warder may write to", err)
	}
	if a.admin, err = telemetry.NewAdmin(cfg.Admin, a.reg); err != nil {
		return nil, err
	}
	if err := a.newBus(); err != nil {
		return nil, err
	}
	if a.has(RoleStore) && len(cfg.Store.Addrs) == 0 {
		if a.engine, err = engine.Start(ctx, cfg.Engine, log, a.reg); err != nil {
			return nil, err
		}
	}
	if a.has(RoleGateway) || a.has(RoleCollector) {
		if err := a.newCollector(); err != nil {
			return nil, err
		}
	}
	if a.has(RoleDetector) {
		set, err := LoadRules(cfg.Rules)
		if err != nil {
			return nil, err
		}
		if a.detector, err = stage.New(cfg.Detector, a.bus, set, log, a.reg); err != nil {
			return nil, err
		}
	}
	if a.has(RoleEnforcer) {
		if a.enforcer, err = enforcer.New(cfg.Enforcer, a.bus, log, a.reg); err != nil {
			return nil, err
		}
	}
	if a.has(RoleSinks) {
		receivers, err := newReceivers(cfg.Sinks, log, a.reg)
		if err != nil {
			return nil, err
		}
		if a.dispatcher, err = sinks.New(cfg.Sinks.Config, a.bus, receivers, log, a.reg); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *App) has(r Role) bool { return slices.Contains(a.roles, r) }

func (a *App) newBus() (err error) {
	cfg := a.cfg.Kafka.Config
	if a.cfg.Kafka.IsEmbedded() {
		if a.broker, err = bus.StartEmbedded(a.cfg.Kafka.Embedded, a.log); err != nil {
			return err
		}
		cfg = a.broker.ClientConfig(cfg)
	}
	a.bus, err = bus.New(cfg, a.log, a.reg)
	return err
}

// Embedded returns the store's configuration with the engine as its server.
func Embedded(cfg store.Config, e *engine.Engine) store.Config {
	cfg.Addrs, cfg.Protocol, cfg.Username, cfg.Password = []string{e.Addr()}, e.Protocol(), e.User(), e.Password()
	return cfg
}

// newCollector makes the collector and the taps of the chosen roles.
func (a *App) newCollector() (err error) {
	if a.collector, err = collector.New(a.cfg.Collector, a.bus, a.log, a.reg); err != nil {
		return err
	}
	if a.has(RoleGateway) && len(a.cfg.Gateway.Routes) > 0 {
		if err := a.newGateway(); err != nil {
			return err
		}
		a.taps = append(a.taps, a.gateway)
	}
	if !a.has(RoleCollector) {
		return nil
	}
	for i, cfg := range a.cfg.AccessLogs {
		if cfg.Name == "" {
			cfg.Name = a.cfg.Collector.Name
		}
		tap, err := accesslog.New(cfg, a.log, a.reg)
		if err != nil {
			return config.In(fmt.Sprintf("access_logs[%d]", i), err)
		}
		a.taps = append(a.taps, tap)
	}
	return nil
}

func (a *App) newGateway() (err error) {
	if a.decisions, err = active.Open(filepath.Join(a.cfg.Gateway.DataDir, "decisions.json"), a.log); err != nil {
		return err
	}
	a.gateway, err = gateway.New(a.cfg.Gateway, a.decisions, a.log, a.reg)
	return err
}

// Run runs the roles until ctx ends or one fails for good. Then it stops the taps first, lets the pipeline finish what it
// holds, and returns.
func (a *App) Run(ctx context.Context) error {
	admin, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	pipeline, stopPipeline := context.WithCancel(context.WithoutCancel(ctx))
	intake, stopIntake := context.WithCancel(ctx)
	defer stopIntake()
	fail := make(chan error, 3)
	run := func(ctx context.Context, fn func(context.Context) error) <-chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := fn(ctx); err != nil {
				fail <- err
				stopIntake()
			}
		}()
		return done
	}
	adminDone := run(admin, a.admin.Run)
	pipelineDone := run(pipeline, a.runPipeline)
	intakeDone := run(intake, a.runIntake)
	<-intake.Done()
	<-intakeDone
	a.drain(pipeline)
	stopPipeline()
	<-pipelineDone
	stopAdmin()
	<-adminDone
	close(fail)
	var errs []error
	for err := range fail {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// runIntake runs the taps: they serve and fill the spool whether or not the bus can be reached.
func (a *App) runIntake(ctx context.Context) error {
	if a.collector == nil {
		<-ctx.Done()
		return nil
	}
	if err := a.collector.Run(ctx, a.taps...); err != nil {
		return err
	}
	<-ctx.Done() // a log file was read to its end: the other roles go on
	return nil
}

// runPipeline waits for the bus and the store and runs everything behind the taps.
func (a *App) runPipeline(ctx context.Context) error {
	if err := a.awaitBus(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	if a.decisions != nil {
		g.Go(func() error { return a.followDecisions(ctx) })
	}
	if a.detector != nil {
		g.Go(func() error { return a.detector.Run(ctx) })
	}
	if a.enforcer != nil {
		g.Go(func() error { return a.enforcer.Run(ctx) })
	}
	if a.dispatcher != nil {
		g.Go(func() error { return a.dispatcher.Run(ctx) })
	}
	if a.has(RoleStore) {
		g.Go(func() error { return a.runStore(ctx) })
	} else {
		close(a.up)
	}
	return g.Wait()
}

// retryEvery is the pause between attempts to reach a server at start, and logEvery between the log lines about it.
const (
	retryEvery = 500 * time.Millisecond
	logEvery   = 10 * time.Second
)

// persist calls fn until it succeeds or ctx ends; it logs why it does not, now and then.
func (a *App) persist(ctx context.Context, what string, fn func(context.Context) error) error {
	var logged time.Time
	var last string
	for {
		err := fn(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if err.Error() != last || time.Since(logged) > logEvery {
			a.log.Error(what+" is not ready; trying again, what is in the spool and on the bus waits", "error", err)
			logged, last = time.Now(), err.Error()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryEvery):
		}
	}
}

func (a *App) awaitBus(ctx context.Context) error {
	ready := false
	a.admin.Check("kafka", func(ctx context.Context) error { return a.bus.Ping(ctx) })
	return a.persist(ctx, "kafka", func(ctx context.Context) error {
		if !ready {
			if err := a.bus.Ping(ctx); err != nil {
				return err
			}
			ready = true
		}
		return a.bus.EnsureTopics(ctx)
	})
}

// runStore opens the store, once it can be reached, and fills it.
func (a *App) runStore(ctx context.Context) error {
	cfg := a.cfg.Store
	if a.engine != nil {
		cfg = Embedded(cfg, a.engine)
	}
	if err := a.persist(ctx, "clickhouse", func(ctx context.Context) (err error) {
		a.store, err = store.Open(ctx, cfg, a.log, a.reg)
		return err
	}); err != nil || ctx.Err() != nil {
		return err
	}
	close(a.storeReady)
	close(a.up)
	a.admin.Check("clickhouse", a.store.Ping)
	stage, err := ingest.New(a.bus, a.store, a.log, a.reg)
	if err != nil {
		return err
	}
	return stage.Run(ctx)
}

// Close releases what New and Run acquired, the embedded engine and broker last. It may be called twice.
func (a *App) Close() error {
	var errs []error
	closing := func(name string, fn func() error) {
		if err := fn(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", name, err))
		}
	}
	if a.collector != nil {
		closing("spool", a.collector.Close)
		a.collector = nil
	}
	if a.decisions != nil {
		closing("decisions", a.decisions.Close)
		a.decisions = nil
	}
	if a.store != nil {
		closing("store", a.store.Close)
		a.store = nil
	}
	if a.engine != nil {
		closing("engine", a.engine.Close)
		a.engine = nil
	}
	if a.bus != nil {
		closing("bus", a.bus.Close)
		a.bus = nil
	}
	if a.broker != nil {
		closing("broker", a.broker.Close)
		a.broker = nil
	}
	return errors.Join(errs...)
}

// Up is closed when the topics exist and the store, if it is one of the roles, is open.
func (a *App) Up() <-chan struct{} { return a.up }

// Admin is where the admin listener is, "" when there is none.
func (a *App) Admin() string { return a.admin.Addr() }

// Gateway is the inline gateway, nil when it is not among the roles.
func (a *App) Gateway() *gateway.Gateway { return a.gateway }

// Store is the store. It is nil until Up is closed and without the store role.
func (a *App) Store() *store.Store {
	select {
	case <-a.storeReady:
		return a.store
	default:
		return nil
	}
}
