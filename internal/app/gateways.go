package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/collector/gateway"
	"github.com/warder/warder/enforcer/apipark"
	"github.com/warder/warder/enforcer/apisix"
	"github.com/warder/warder/enforcer/crowdsec"
	"github.com/warder/warder/enforcer/envoy"
	"github.com/warder/warder/enforcer/forwardauth"
	"github.com/warder/warder/enforcer/haproxy"
	"github.com/warder/warder/enforcer/kong"
	"github.com/warder/warder/enforcer/nftables"
	"github.com/warder/warder/enforcer/nginx"
	"github.com/warder/warder/enforcer/push"
	"github.com/warder/warder/enforcer/webhook"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision/active"
)

// Gateways lists the gateways beside the inline one. Those that ask Warder are off while their listen is empty; of those that
// Warder keeps in line there may be several.
type Gateways struct {
	// Name is the first part of the gateways' names in acknowledgements, unique to this process; by default the host's name.
	Name        string             `yaml:"name"`
	ForwardAuth forwardauth.Config `yaml:"forward_auth"` // NGINX, Traefik, Caddy
	Envoy       envoy.Config       `yaml:"envoy"`
	CrowdSec    crowdsec.Config    `yaml:"crowdsec"` // bouncers
	HAProxy     []haproxy.Config   `yaml:"haproxy"`
	Kong        []kong.Config      `yaml:"kong"`
	APISIX      []apisix.Config    `yaml:"apisix"`
	APIPark     []apipark.Config   `yaml:"apipark"`
	Webhook     []webhook.Config   `yaml:"webhook"`
	NGINX       []nginx.Config     `yaml:"nginx"` // an include file
	NFTables    []nftables.Config  `yaml:"nftables"`
}

// defaultGateways has none.
func defaultGateways() Gateways {
	g := Gateways{ForwardAuth: forwardauth.DefaultConfig(), Envoy: envoy.DefaultConfig(), CrowdSec: crowdsec.DefaultConfig()}
	g.ForwardAuth.Listen, g.Envoy.Listen, g.CrowdSec.Listen = "", "", ""
	return g
}

// any tells whether there is one.
func (g *Gateways) any() bool {
	return g.ForwardAuth.Listen != "" || g.Envoy.Listen != "" || g.CrowdSec.Listen != "" ||
		len(g.HAProxy)+len(g.Kong)+len(g.APISIX)+len(g.APIPark)+len(g.Webhook)+len(g.NGINX)+len(g.NFTables) > 0
}

// Validate tells what is wrong with the configuration.
func (g *Gateways) Validate() error {
	var errs []error
	if g.ForwardAuth.Listen != "" {
		errs = append(errs, config.In("forward_auth", g.ForwardAuth.Validate()))
	}
	if g.Envoy.Listen != "" {
		errs = append(errs, config.In("envoy", g.Envoy.Validate()))
	}
	if g.CrowdSec.Listen != "" {
		errs = append(errs, config.In("crowdsec", g.CrowdSec.Validate()))
	}
	names := map[string]string{}
	for _, p := range g.pushed() {
		errs = append(errs, config.In(p.at, p.validate()))
		if at, ok := names[p.name]; ok {
			errs = append(errs, config.Errorf(p.at+".name", "%q is also the name of %s; each gateway needs its own", p.name, at))
		}
		names[p.name] = p.at
	}
	return errors.Join(errs...)
}

// pushed is a gateway with a state of its own.
type pushed struct {
	at, kind, name string
	push           push.Config
	validate       func() error
	make           func(*App) (push.Gateway, error)
}

// pushed lists the gateways with a state of their own. A new kind is one package, one field of Gateways and one block here.
func (g *Gateways) pushed() []pushed {
	var out []pushed
	for i := range g.HAProxy {
		c := &g.HAProxy[i]
		out = append(out, pushed{fmt.Sprintf("haproxy[%d]", i), haproxy.Kind, c.Name, c.Config, c.Validate,
			func(a *App) (push.Gateway, error) { return haproxy.New(*c, a.log, a.reg) }})
	}
	for i := range g.Kong {
		c := &g.Kong[i]
		out = append(out, pushed{fmt.Sprintf("kong[%d]", i), kong.Kind, c.Name, c.Push, c.Validate,
			func(a *App) (push.Gateway, error) { return kong.New(*c, a.log, a.reg) }})
	}
	for i := range g.APISIX {
		c := &g.APISIX[i]
		out = append(out, pushed{fmt.Sprintf("apisix[%d]", i), apisix.Kind, c.Name, c.Push, c.Validate,
			func(a *App) (push.Gateway, error) { return apisix.New(*c, a.log, a.reg) }})
	}
	for i := range g.APIPark {
		c := &g.APIPark[i]
		out = append(out, pushed{fmt.Sprintf("apipark[%d]", i), apipark.Kind, c.Name, c.Push, c.Validate,
			func(a *App) (push.Gateway, error) { return apipark.New(*c, a.log, a.reg) }})
	}
	for i := range g.Webhook {
		c := &g.Webhook[i]
		out = append(out, pushed{fmt.Sprintf("webhook[%d]", i), webhook.Kind, c.Name, c.Push, c.Validate,
			func(a *App) (push.Gateway, error) { return webhook.New(*c, a.log, a.reg) }})
	}
	for i := range g.NGINX {
		c := &g.NGINX[i]
		out = append(out, pushed{fmt.Sprintf("nginx[%d]", i), nginx.Kind, c.Name, c.Push, c.Validate,
			func(a *App) (push.Gateway, error) { return nginx.New(*c, a.log, a.reg) }})
	}
	for i := range g.NFTables {
		c := &g.NFTables[i]
		out = append(out, pushed{fmt.Sprintf("nftables[%d]", i), nftables.Kind, c.Name, c.Push, c.Validate,
			func(a *App) (push.Gateway, error) { return nftables.New(*c, a.log, a.reg) }})
	}
	return out
}

// runner is a part of the app that runs until ctx ends.
type runner interface {
	Run(ctx context.Context) error
}

// acts tells whether there is a gateway that acts on decisions.
func (a *App) acts() bool {
	return a.has(RoleGateway) && (len(a.cfg.Gateway.Routes) > 0 || a.cfg.Gateways.any())
}

// newDecisions makes the decisions in force, which gateways answer from and the proof of enforcement compares with.
func (a *App) newDecisions() (err error) {
	if !a.acts() && !a.has(RoleEnforcer) {
		return nil
	}
	if a.decisions, err = active.Open(filepath.Join(a.cfg.Gateway.DataDir, "decisions.snapshot"), a.log); err != nil {
		return err
	}
	if a.unreadable, err = newUnreadable(a.reg); err != nil {
		return err
	}
	a.acks = newAcks(a.bus, a.decisions, a.log)
	return nil
}

// newGateways makes every gateway that acts on the decisions.
func (a *App) newGateways() (err error) {
	if len(a.cfg.Gateway.Routes) > 0 {
		if a.gateway, err = gateway.New(a.cfg.Gateway, a.decisions, a.log, a.reg); err != nil {
			return config.In("gateway", err)
		}
		a.gateway.Know(gateway.Facts{Route: a.collector.Route, Place: a.collector.Place})
		a.taps = append(a.taps, a.gateway)
		a.acks.answersFromMemory(a.gatewayName("inline"), "inline")
	}
	return config.In("gateways", errors.Join(a.newAsked(), a.newPushed()))
}

// newAsked makes the gateways that ask Warder about each request, or for the decisions.
func (a *App) newAsked() error {
	g := &a.cfg.Gateways
	asked := func(kind, listen string, fn func() (runner, error)) error {
		if listen == "" {
			return nil
		}
		r, err := fn()
		if err != nil {
			return config.In(kind, err)
		}
		a.beside = append(a.beside, r)
		a.acks.answersFromMemory(a.gatewayName(kind), kind)
		return nil
	}
	return errors.Join(
		asked("forward_auth", g.ForwardAuth.Listen, func() (runner, error) {
			return forwardauth.New(g.ForwardAuth, a.decisions, a.collector.Place, a.log, a.reg)
		}),
		asked("envoy", g.Envoy.Listen, func() (runner, error) {
			return envoy.New(g.Envoy, a.decisions, a.collector.Place, a.log, a.reg)
		}),
		asked("crowdsec", g.CrowdSec.Listen, func() (runner, error) {
			return crowdsec.New(g.CrowdSec, a.decisions, a.log, a.reg)
		}),
	)
}

// newPushed makes the gateways that Warder keeps in line.
func (a *App) newPushed() error {
	for _, p := range a.cfg.Gateways.pushed() {
		gw, err := p.make(a)
		if err != nil {
			return config.In(p.at, err)
		}
		if c, ok := gw.(interface{ Close() }); ok {
			a.closers = append(a.closers, c.Close)
		}
		d, err := push.New(a.gatewayName(p.name), p.kind, gw, a.decisions, p.push, a.acks.put, a.log, a.reg)
		if err != nil {
			return config.In(p.at, err)
		}
		a.beside = append(a.beside, d)
	}
	return nil
}

// gatewayName is what acknowledgements call a gateway of this process.
func (a *App) gatewayName(name string) string {
	host := a.cfg.Gateways.Name
	if host == "" {
		if h, err := os.Hostname(); err == nil {
			host = h
		}
	}
	return host + "/" + name
}

// runIntake runs the taps and the gateways: they serve, by the decisions that they know, and fill the spool whether or not the bus can
// be reached.
func (a *App) runIntake(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range a.beside {
		g.Go(func() error { return r.Run(ctx) })
	}
	if a.collector != nil {
		g.Go(func() error { return a.collector.Run(ctx, a.taps...) })
	}
	g.Go(func() error {
		<-ctx.Done() // a log file was read to its end: the other roles go on
		return nil
	})
	return g.Wait()
}
