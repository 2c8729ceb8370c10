package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/collector/gateway"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/telemetry"
)

// upFlags are the few things that `warder up` takes without a configuration file.
type upFlags struct {
	config, upstream, listen, admin, api, dataDir string
	rules                                         []string
	enforce                                       bool
}

func newUp(s streams) *cobra.Command {
	var f upFlags
	c := &cobra.Command{Use: "up", GroupID: "run", Short: "Run every role in one process",
		Long: `Runs every role in one process: the gateway in front of a service, detection,
enforcement, notification and the store.

Without a configuration file everything is embedded and the shipped rule packs
are on. Nothing is blocked until --enforce: it says what it would have done.
With --config it is the same with your own Kafka, ClickHouse, receivers and
rules; ` + "`warder init`" + ` writes a commented one. Flags override the file.

It runs until SIGINT (Ctrl-C) or SIGTERM, and then ends what is under way.`,
		Example: `  warder up --upstream http://127.0.0.1:3000
  warder up --upstream http://127.0.0.1:3000 --enforce
  warder up --config warder.yaml`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := f.load(c.Flags())
			if err != nil {
				return usageError{err}
			}
			return up(c.Context(), s, cfg, f.config)
		}}
	f.register(c.Flags())
	return c
}

func (f *upFlags) register(fs *pflag.FlagSet) {
	fs.StringVarP(&f.config, "config", "c", "", "configuration `file`")
	fs.StringVarP(&f.upstream, "upstream", "u", "", "protect the service at this `URL`")
	fs.StringVarP(&f.listen, "listen", "l", "", "the gateway's `host:port` (default 127.0.0.1:8080)")
	fs.StringVar(&f.admin, "admin", "", "`host:port` of metrics and health (default 127.0.0.1:9600)")
	fs.StringVar(&f.api, "api", "", "`host:port` of the API for warder decisions (default 127.0.0.1:9601)")
	fs.StringVar(&f.dataDir, "data-dir", "", "`folder` for the data (default $XDG_DATA_HOME/warder, else ~/.local/share/warder)")
	fs.StringArrayVarP(&f.rules, "rules", "r", nil, "`path` of a rule file or a folder of them, besides the shipped packs; may be given again")
	fs.BoolVar(&f.enforce, "enforce", false, "refuse what the rules ask to be blocked")
}

// load makes the configuration of the file, if there is one, and the flags.
func (f *upFlags) load(fs *pflag.FlagSet) (app.Config, error) {
	if f.config == "" && !fs.Changed("upstream") {
		return app.Config{}, errors.New("nothing to protect: give --upstream URL or --config FILE (`warder up --help`)")
	}
	cfg := app.DefaultConfig()
	cfg.Log.Level = "warn" // the timeline tells what happens
	if f.config != "" {
		var err error
		if cfg, err = loadConfig(f.config); err != nil {
			return cfg, err
		}
	}
	if f.listen != "" {
		cfg.Gateway.Listen = f.listen
	}
	if f.admin != "" {
		cfg.Admin.Listen = f.admin
	}
	if f.api != "" {
		cfg.API.Listen = f.api
	}
	if fs.Changed("upstream") {
		u, err := upstreamURL(f.upstream, cfg.Gateway.Listen)
		if err != nil {
			return cfg, err
		}
		cfg.Gateway.Routes = []gateway.Route{{Name: "upstream", Upstream: gateway.Upstreams{u}}}
	}
	if f.dataDir != "" {
		dir, err := filepath.Abs(f.dataDir)
		if err != nil {
			return cfg, err
		}
		cfg.DataDir = dir
	}
	cfg.Rules.Paths = append(cfg.Rules.Paths, f.rules...)
	if fs.Changed("enforce") {
		cfg.Enforcer.Enforce = f.enforce
	}
	return cfg, f.named(cfg.Validate())
}

// named says the flag instead of the key where a flag set the value.
func (f *upFlags) named(err error) error {
	flags := map[string]bool{"--listen": f.listen != "", "--admin": f.admin != "", "--api": f.api != "", "--data-dir": f.dataDir != "", "--rules": len(f.rules) > 0}
	var out []error
	for _, e := range flatten(err) {
		var field *config.FieldError
		if errors.As(e, &field) {
			key, _, _ := strings.Cut(field.Key, "[")
			flag := map[string]string{"gateway.listen": "--listen", "admin.listen": "--admin", "api.listen": "--api", "data_dir": "--data-dir", "rules.paths": "--rules"}[key]
			if flags[flag] {
				e = config.Errorf(flag, "%s", field.Msg)
			}
		}
		out = append(out, e)
	}
	return errors.Join(out...)
}

// upstreamURL reads --upstream. host:port alone is taken for http, and the gateway's own address is refused: it would ask itself.
func upstreamURL(text, listen string) (string, error) {
	const flag, example = "--upstream", "write for example http://127.0.0.1:3000"
	if text == "" {
		return "", config.Errorf(flag, "is empty; %s", example)
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "":
		return "", config.Errorf(flag, "is not a URL with a host; %s", example)
	case u.User != nil:
		return "", config.Errorf(flag, "must not hold a user and password; clients send their own")
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "h2c":
		return "", config.Errorf(flag, "%.20q is not a scheme that the gateway speaks: use http, https or h2c", u.Scheme)
	case u.RawQuery != "" || u.Fragment != "":
		return "", config.Errorf(flag, "must not hold a query or fragment; %s", example)
	case sameListener(u, listen):
		return "", config.Errorf(flag, "%s is where the gateway itself listens; give the service another port, or the gateway with --listen", u.Host)
	}
	return text, nil
}

// sameListener tells whether the URL leads to the gateway's own listener on this machine.
func sameListener(u *url.URL, listen string) bool {
	host, port, err := net.SplitHostPort(listen)
	return err == nil && port == u.Port() && port != "0" && local(u.Hostname()) && (host == "" || local(host))
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

func up(ctx context.Context, s streams, cfg app.Config, file string) error {
	log := telemetry.NewLogger(cfg.Log, s.err)
	p := console.NewPalette(console.WantsColour(s.out))
	if _, err := app.Check(cfg); err != nil {
		return usageError{asUsage(file, err)}
	}
	if starting := embedded(cfg); starting != "" {
		fmt.Fprintln(s.out, p.Dim("starting "+starting+" …"))
	}
	a, err := app.New(ctx, cfg, app.Roles(), log)
	if err != nil {
		return asUsage(file, err)
	}
	tl := console.NewTimeline(s.out, zeroTime)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Run(gctx) })
	g.Go(func() error {
		select {
		case <-a.Up():
		case <-gctx.Done():
			return nil
		}
		banner{s.out, p}.write(a, cfg, file)
		tryUpstreams(gctx, cfg, tl)
		return a.Watch(gctx, func(al *alert.Alert) { tl.Alert(al) }, func(d *decision.Decision) { tl.Decision(d) })
	})
	g.Go(func() error {
		<-gctx.Done()
		if ctx.Err() != nil {
			tl.Note("stopping: ending what is under way; Ctrl-C again stops at once")
		}
		return nil
	})
	err = g.Wait()
	return errors.Join(err, a.Close())
}
