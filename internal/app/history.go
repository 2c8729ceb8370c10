package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/privacy"
	"github.com/warder/warder/internal/store"
)

// past is the history that the API answers from: the store, asked under people's real names, and the book of who asked.
type past struct {
	privacy.Reader
	privacy.Eraser
	store    *store.Store
	accesses *accesses
}

// whole is everything that the store answers.
type whole struct {
	*store.Store
	*store.Searcher
}

func (a *App) newPast(st *store.Store) *past {
	search := &filters{databases: a.cfg.Collector.Enrich.Geo.Databases, log: a.log}
	return &past{
		Reader: privacy.Reader{Reader: whole{st, store.NewSearcher(st, search.compile)}, Names: st.Names()},
		Eraser: privacy.Eraser{Store: st, Names: st.Names()},
		store:  st, accesses: a.accesses,
	}
}

func (p *past) Triage(ctx context.Context, by, id string, t history.Triage) (*history.Alert, error) {
	return p.store.Triage(ctx, by, id, t)
}

func (p *past) Accessed(a history.Access) { p.accesses.add(a) }

func (p *past) Note(ctx context.Context, a history.Access) error {
	return p.store.InsertAccess(ctx, []history.Access{a})
}

// history is the API's source of the past: the store of this process, or a connection of its own to the one that is configured.
func (a *App) history() (api.History, error) {
	if p := a.past.Load(); p != nil {
		return p, nil
	}
	if !a.has(RoleStore) && len(a.cfg.Store.Addrs) == 0 {
		return nil, errors.New("this process knows no store: name it under store.addrs, or ask a process that runs warder up")
	}
	return nil, errors.New("the store is not ready yet; try again in a moment")
}

// runHistory connects to the store where the enforcer runs without the role store, and writes down who asks the API.
func (a *App) runHistory(ctx context.Context) error {
	if !a.has(RoleStore) {
		if len(a.cfg.Store.Addrs) == 0 {
			return nil
		}
		var st *store.Store
		err := a.persist(ctx, "clickhouse", &a.storeWait, func(ctx context.Context) (err error) {
			st, err = store.Open(ctx, a.cfg.Store, a.log, a.reg)
			return err
		})
		if err != nil || ctx.Err() != nil {
			return err
		}
		defer func() {
			if err := st.Close(); err != nil {
				a.log.Warn("the store's connections were not closed in order", "err", err)
			}
		}()
		a.past.Store(a.newPast(st))
		return a.accesses.run(ctx, st)
	}
	select {
	case <-a.storeReady:
	case <-ctx.Done():
		return nil
	}
	a.past.Store(a.newPast(a.store))
	return a.accesses.run(ctx, a.store)
}

// Bounds of the accesses that wait to be written.
const (
	maxAccesses = 10_000
	accessBatch = 1000
	accessEvery = time.Second
)

// accesses takes down who read what. add never waits.
type accesses struct {
	waiting chan history.Access
	log     *slog.Logger
	lost    prometheus.Counter
}

func newAccesses(log *slog.Logger, reg prometheus.Registerer) (*accesses, error) {
	a := &accesses{waiting: make(chan history.Access, maxAccesses), log: log, lost: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "warder_api_accesses_lost_total", Help: "Reads of the history that could not be written down in the table audit.",
	})}
	return a, reg.Register(a.lost)
}

func (a *accesses) add(x history.Access) {
	select {
	case a.waiting <- x:
	default:
		a.lose(1, errors.New("too many wait"))
	}
}

func (a *accesses) lose(n int, why error) {
	a.lost.Add(float64(n))
	a.log.Error("reads of the history could not be written down", "reads", n, "why", why)
}

// run writes what waits until ctx ends, and then the rest.
func (a *accesses) run(ctx context.Context, st *store.Store) error {
	tick := time.NewTicker(accessEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.flush(ctx, st)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			a.flush(last, st)
			return nil
		}
	}
}

func (a *accesses) flush(ctx context.Context, st *store.Store) {
	for len(a.waiting) > 0 {
		batch := make([]history.Access, 0, min(len(a.waiting), accessBatch))
		for len(batch) < cap(batch) {
			batch = append(batch, <-a.waiting)
		}
		if err := st.InsertAccess(ctx, batch); err != nil {
			a.lose(len(batch), err)
		}
	}
}
