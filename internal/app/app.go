// Package app puts Warder together: it constructs everything in one visible, straight-line order and runs the chosen roles.
// Only cmd imports it.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/warder/warder/collector"
	"github.com/warder/warder/collector/accesslog"
	"github.com/warder/warder/collector/gateway"
	"github.com/warder/warder/detector/stage"
	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/enforcer/audit"
	"github.com/warder/warder/enforcer/proof"
	"github.com/warder/warder/enforcer/traffic"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/engine"
	"github.com/warder/warder/internal/store"
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

	reporter   *telemetry.Reporter
	broker     *bus.Embedded
	bus        *bus.Client
	engine     *engine.Engine
	decisions  *active.Set
	acks       *acks
	gateway    *gateway.Gateway
	beside     []runner // the other gateways
	closers    []func()
	collector  *collector.Collector
	taps       []collector.Tap
	detector   *stage.Stage
	rules      *ruleWatch
	enforcer   *enforcer.Enforcer
	traffic    *traffic.Meter
	proof      *proof.Tracker
	audit      *audit.Stage
	api        *api.Server
	accesses   *accesses
	past       atomic.Pointer[past] // once the store is open
	dispatcher *sinks.Dispatcher

	unreadable prometheus.Counter // decisions on the topic that the gateway cannot read

	decisionsKnown chan struct{} // closed when the topic of decisions was read to its end for the first time
	knowDecisions  sync.Once

	busWait    waiting       // for the topics
	storeWait  waiting       // for the store to be open
	storeReady chan struct{} // closed when store is set
	store      *store.Store  // written before storeReady is closed, and by Close, which must not run beside Run
	up         chan struct{} // closed when the topics exist and the store is open
}

// New constructs the roles and starts the embedded broker and engine where no server is configured. It does not wait for
// servers to be reachable: Run does. The caller must call Close, also after Run.
func New(ctx context.Context, cfg Config, roles []Role, log *slog.Logger) (_ *App, err error) {
	if err := cfg.check(roles); err != nil {
		return nil, err
	}
	cfg = cfg.resolved()
	a := &App{cfg: cfg, roles: roles, log: log, reg: prometheus.NewRegistry(), storeReady: make(chan struct{}), up: make(chan struct{}),
		decisionsKnown: make(chan struct{})}
	a.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
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
	if a.reporter, err = telemetry.NewReporter(cfg.Telemetry, instance(roles), a.report, a.reg, log); err != nil {
		return nil, err
	}
	if err := a.newDecisions(); err != nil {
		return nil, err
	}
	if a.has(RoleGateway) || a.has(RoleCollector) {
		if err := a.newCollector(); err != nil {
			return nil, err
		}
	}
	if a.has(RoleDetector) {
		src := ruleSource{cfg.Rules, cfg.Collector.Enrich.Geo.Databases, log}
		set, files, err := src.load()
		if err != nil {
			return nil, err
		}
		if a.detector, err = stage.New(cfg.Detector, a.bus, set, log, a.reg); err != nil {
			return nil, err
		}
		if a.rules, err = newRuleWatch(src, set, files, a.detector.Use, a.reg); err != nil {
			return nil, err
		}
	}
	if a.has(RoleEnforcer) {
		if err := a.newEnforcer(); err != nil {
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
		a.dispatcher.Report(a.reporter.Delivery)
	}
	if a.has(RoleStore) {
		a.admin.Check("clickhouse", a.checkStore)
		if len(cfg.Store.Addrs) == 0 { // last, because it takes longest: whatever else is wrong has been said by now
			if a.engine, err = engine.Start(ctx, cfg.Engine, log, a.reg); err != nil {
				return nil, err
			}
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
	if a.bus, err = bus.New(cfg, a.log, a.reg); err != nil {
		return config.In("kafka", err)
	}
	a.admin.Check("kafka", a.checkBus)
	return nil
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
	if a.acts() {
		if err := a.newGateways(); err != nil {
			return err
		}
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

// Close releases what New and Run acquired, the embedded engine and broker last. It may be called twice, and must not be called
// while Run runs.
func (a *App) Close() error {
	var errs []error
	closing := func(name string, fn func() error) {
		if err := fn(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", name, err))
		}
	}
	if a.admin != nil {
		closing("admin listener", a.admin.Close)
		a.admin = nil
	}
	if a.api != nil {
		closing("api", a.api.Close)
		a.api = nil
	}
	for _, c := range a.closers {
		c()
	}
	a.closers = nil
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

// Admin is where the admin listener is, "" when there is none or the App is closed.
func (a *App) Admin() string {
	if a.admin == nil {
		return ""
	}
	return a.admin.Addr()
}

// API is where the enforcer's API is, "" when there is none or the App is closed.
func (a *App) API() string {
	if a.api == nil {
		return ""
	}
	return a.api.Addr()
}

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
