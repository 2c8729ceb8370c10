package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/collector/gateway"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/telemetry"
)

// upFlags are the few things that `warder up` takes without a configuration file.
type upFlags struct {
	config, upstream, listen, dataDir, rules string
	enforce                                  bool
}

func newUp(s streams) *cobra.Command {
	var f upFlags
	c := &cobra.Command{Use: "up", GroupID: "run", Short: "Run every role in one process",
		Long: `Runs every role in one process: the gateway in front of a service, detection, enforcement, notification and the store.

Without a configuration file everything is embedded and the shipped rule packs are on. Nothing is blocked until --enforce: it
says what it would have done. With --config it is the same with your own Kafka, ClickHouse, receivers and rules; ` + "`warder init`" + `
writes a commented one. Flags override the file.`,
		Example: `  warder up --upstream http://127.0.0.1:3000
  warder up --upstream http://127.0.0.1:3000 --enforce
  warder up --config warder.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := f.load(c)
			if err != nil {
				return usageError{err}
			}
			return up(c.Context(), s, cfg)
		}}
	c.Flags().StringVarP(&f.config, "config", "c", "", "configuration `file`")
	c.Flags().StringVarP(&f.upstream, "upstream", "u", "", "protect the service at this `URL`")
	c.Flags().StringVarP(&f.listen, "listen", "l", "", "the gateway's `host:port` (default 127.0.0.1:8080)")
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "`folder` for the data")
	c.Flags().StringVar(&f.rules, "rules", "", "`file or folder` with more rules")
	c.Flags().BoolVar(&f.enforce, "enforce", false, "refuse what the rules ask to be blocked")
	return c
}

func (f *upFlags) load(c *cobra.Command) (app.Config, error) {
	cfg := app.DefaultConfig()
	if f.config != "" {
		var err error
		if cfg, err = app.Load(f.config); err != nil {
			return cfg, err
		}
	} else {
		cfg.Log.Level = "warn" // the timeline tells what happens
	}
	if f.upstream != "" {
		cfg.Gateway.Routes = []gateway.Route{{Name: "upstream", Upstream: gateway.Upstreams{f.upstream}}}
	}
	if f.listen != "" {
		cfg.Gateway.Listen = f.listen
	}
	if f.dataDir != "" {
		dir, err := filepath.Abs(f.dataDir)
		if err != nil {
			return cfg, err
		}
		cfg.DataDir = dir
	}
	if f.rules != "" {
		cfg.Rules.Paths = append(cfg.Rules.Paths, f.rules)
	}
	if c.Flags().Changed("enforce") {
		cfg.Enforcer.Enforce = f.enforce
	}
	if f.config == "" && f.upstream == "" {
		return cfg, errors.New("nothing to protect: give --upstream URL or --config FILE; see `warder up --help`")
	}
	return cfg, cfg.Validate()
}

func up(ctx context.Context, s streams, cfg app.Config) error {
	log := telemetry.NewLogger(cfg.Log, s.err)
	a, err := app.New(ctx, cfg, app.Roles(), log)
	if err != nil {
		return asUsage(err)
	}
	p := console.NewPalette(console.IsTerminal(s.out))
	tl := console.NewTimeline(s.out, zeroTime)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Run(ctx) })
	g.Go(func() error {
		select {
		case <-a.Up():
		case <-ctx.Done():
			return nil
		}
		banner(s, p, a, cfg)
		return a.Watch(ctx, func(al *alert.Alert) { tl.Alert(al) }, func(d *decision.Decision) { tl.Decision(d) })
	})
	err = g.Wait()
	return errors.Join(err, a.Close())
}

// banner says where things are.
func banner(s streams, p console.Palette, a *app.App, cfg app.Config) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(s.out, "  %s %s\n", p.Dim(fmt.Sprintf("%-10s", name)), fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(s.out, p.Bold("warder is up"))
	if gw := a.Gateway(); gw != nil {
		scheme := "http"
		if cfg.Gateway.TLS.CertFile != "" {
			scheme = "https"
		}
		row("gateway", "%s://%s", scheme, gw.Addr())
		for _, r := range cfg.Gateway.Routes {
			row("", "%s → %v", orAll(r.Host+r.PathPrefix), []string(r.Upstream))
		}
	}
	for _, l := range cfg.AccessLogs {
		row("log", "%s", l.Path)
	}
	if admin := a.Admin(); admin != "" {
		row("admin", "http://%s/metrics, /healthz, /readyz", admin)
	}
	row("data", "%s", cfg.DataDir)
	if cfg.Enforcer.Enforce {
		row("blocking", "%s", p.Red("on"))
	} else {
		row("blocking", "off: says what it would do; turn it on with --enforce or enforcer.enforce: true")
	}
	row("configure", "warder init > warder.yaml; warder up --config warder.yaml")
	fmt.Fprintln(s.out)
}

func orAll(s string) string {
	if s == "" {
		return "everything"
	}
	return s
}

// asUsage marks errors that the configuration causes.
func asUsage(err error) error {
	var op *net.OpError
	if isConfigError(err) && !errors.As(err, &op) {
		return usageError{err}
	}
	return err
}
