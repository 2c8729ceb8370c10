package app

import (
	"context"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/enforcer/audit"
	"github.com/warder/warder/internal/config"
)

// newEnforcer makes the enforcer, its ledger and its API.
func (a *App) newEnforcer() (err error) {
	if a.enforcer, err = enforcer.New(a.cfg.Enforcer, a.bus, nil, nil, a.log, a.reg); err != nil {
		return config.In("enforcer", err)
	}
	if a.audit, err = audit.New(a.cfg.Audit, a.bus, a.log, a.reg); err != nil {
		return err
	}
	a.admin.Check("audit", a.audit.Ready)
	a.api, err = api.New(a.cfg.API, a.enforcer, a.audit.Read, a.log, a.reg)
	return config.In("api", err)
}

func (a *App) runEnforcer(ctx context.Context) error {
	return a.enforcer.Run(ctx)
}
