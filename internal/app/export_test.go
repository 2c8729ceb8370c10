package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/internal/store"
)

// What tests of the whole look at: the embedded engine and the bus.

// EngineConfig is how to reach the embedded engine.
func (a *App) EngineConfig() store.Config { return Embedded(a.cfg.Store, a.engine) }

// EnginePID is the engine's process, 0 while there is none.
func (a *App) EnginePID() int { return a.engine.PID() }

// Bus is the bus client.
func (a *App) Bus() *bus.Client { return a.bus }

// Registry is where the process's metrics are.
func (a *App) Registry() *prometheus.Registry { return a.reg }

// Decisions is what the gateways answer from.
func (a *App) Decisions() *active.Set { return a.decisions }

// Enforcer is the enforcer, for what people ask of it.
func (a *App) Enforcer() *enforcer.Enforcer { return a.enforcer }
