package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/ingest"
)

// Run runs the roles until ctx ends or one fails for good. Then it stops the taps first, lets the pipeline finish what it
// holds, and returns what failed; nil when nothing did. It may be called once.
//
// A server that cannot be reached is no failure: Run waits for it, says so in the log and under /readyz, and does what can be
// done without. A broker that refuses us (login, certificate, rights), or a schema that is newer than this program, is one.
// But while the gateway is among the roles nothing of that stops it, because it must go on serving; a process without it ends,
// so that whoever started it learns of it.
func (a *App) Run(ctx context.Context) error {
	admin, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAdmin()
	pipeline, stopPipeline := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPipeline()
	intake, stopIntake := context.WithCancel(ctx)
	defer stopIntake()
	fail := make(chan error, 3) // one for each run below
	run := func(ctx context.Context, fn func(context.Context) error) <-chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := fn(ctx); err != nil {
				a.log.Error("a part of warder failed for good; stopping", "error", err)
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
	a.drain(pipeline, pipelineDone)
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

// runPipeline waits for the bus and the store and runs everything behind the taps.
func (a *App) runPipeline(ctx context.Context) error {
	if err := a.awaitBus(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	stage := func(name string, fn func(context.Context) error) {
		g.Go(func() error { return a.contain(ctx, name, fn) })
	}
	stage("telemetry", a.reporter.Run)
	if a.decisions != nil {
		stage("decisions", a.followDecisions)
		stage("acknowledgements", a.acks.Run)
	}
	if a.detector != nil {
		stage("detector", a.detector.Run)
		stage("rules", a.rules.Run)
	}
	if a.enforcer != nil {
		stage("enforcer", a.runEnforcer)
		stage("audit", a.audit.Run)
		stage("api", a.api.Run)
		stage("history", a.runHistory)
	}
	if a.dispatcher != nil {
		stage("sinks", a.dispatcher.Run)
	}
	if a.has(RoleStore) {
		stage("store", a.runStore)
	} else {
		close(a.up)
	}
	return g.Wait()
}

// contain runs a stage. Beside a gateway a stage that fails for good must not take the gateway down: it is logged, /readyz
// names it, everything else goes on, and its error is returned when the process is stopped.
func (a *App) contain(ctx context.Context, name string, fn func(context.Context) error) error {
	err := fn(ctx)
	if err == nil || !a.has(RoleGateway) {
		return err
	}
	a.log.Error("a stage failed for good; the gateway serves on without it, restart warder when the cause is removed", "stage", name, "error", err)
	a.admin.Check(name, func(context.Context) error { return err })
	<-ctx.Done()
	return err
}

// awaitBus returns when the topics exist.
func (a *App) awaitBus(ctx context.Context) error {
	return a.persist(ctx, "kafka", &a.busWait, func(ctx context.Context) error {
		if err := a.bus.Ping(ctx); err != nil {
			return err
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
	if err := a.persist(ctx, "clickhouse", &a.storeWait, func(ctx context.Context) (err error) {
		a.store, err = store.Open(ctx, cfg, a.log, a.reg)
		return err
	}); err != nil || ctx.Err() != nil {
		return err
	}
	close(a.storeReady)
	stage, err := ingest.New(a.bus, a.store, a.log, a.reg)
	if err != nil {
		return err
	}
	close(a.up)
	return stage.Run(ctx)
}

// retryEvery is the pause between attempts to reach a server at start, and logEvery between the log lines about it.
const (
	retryEvery = 500 * time.Millisecond
	logEvery   = 10 * time.Second
)

// persist calls fn until it succeeds or ctx ends, and then returns nil; now and then it logs why fn does not succeed, and w
// remembers it. What is hopeless is returned, unless there is a gateway to keep serving.
func (a *App) persist(ctx context.Context, what string, w *waiting, fn func(context.Context) error) error {
	var logged time.Time
	for {
		err := fn(ctx)
		if ctx.Err() != nil {
			return nil
		}
		w.set(err)
		if err == nil {
			return nil
		}
		if hopeless(err) && !a.has(RoleGateway) {
			return err
		}
		if time.Since(logged) > logEvery {
			a.log.Error(what+" is not ready; trying again, what is in the spool and on the bus waits", "error", err)
			logged = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryEvery):
		}
	}
}

// hopeless tells whether trying again does not help until somebody changes something.
func hopeless(err error) bool { return bus.Permanent(err) || errors.Is(err, store.ErrNewerSchema) }

// waiting is what /readyz tells of a server before it was reached for the first time. It is safe for concurrent use.
type waiting struct {
	mu   sync.Mutex
	done bool
	err  error
}

var errNotTried = errors.New("not reached yet")

func (w *waiting) set(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done, w.err = err == nil, err
}

// why returns why the server was not reached yet, nil once it was.
func (w *waiting) why() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.done:
		return nil
	case w.err == nil:
		return errNotTried
	}
	return w.err
}

// checkBus is the readiness of the bus.
func (a *App) checkBus(ctx context.Context) error {
	if err := a.busWait.why(); err != nil {
		return err
	}
	return a.bus.Ping(ctx)
}

// checkStore is the readiness of the store.
func (a *App) checkStore(ctx context.Context) error {
	if st := a.Store(); st != nil {
		return st.Ping(ctx)
	}
	return a.storeWait.why()
}
