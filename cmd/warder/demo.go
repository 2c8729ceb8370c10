package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/collector/gateway"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/demo"
	"github.com/warder/warder/internal/receivers"
	"github.com/warder/warder/internal/telemetry"
	"github.com/warder/warder/sinks/email"
	"github.com/warder/warder/sinks/slack"
	"github.com/warder/warder/sinks/webhook"
)

// customers is how many ordinary people use the shop, settleTime how long the end waits for what is under way.
const (
	customers   = 40
	settleTime  = 20 * time.Second
	minDuration = 5 * time.Second
	webhookKey  = "whsec_d2FyZGVyLWRlbW8td2ViaG9vay1rZXk="
)

func newDemo(s streams) *cobra.Command {
	duration, asJSON, verbose := 30*time.Second, false, false
	c := &cobra.Command{Use: "demo", GroupID: "run", Short: "Attack a sample API and watch Warder stop it",
		Long: `Starts everything on loopback, with nothing left behind: a sample shop, the
gateway in front of it, ordinary customers, a handful of attackers, and
receivers for mail, Slack and webhooks. Prints what happens, and a summary at
the end.

Exits with 1 when the loop did not close: an attacker was not refused, a
customer was, an event is missing in the store, or an alert did not arrive
exactly once at each receiver.`,
		Example: "  warder demo\n  warder demo --json --duration 30s",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if duration < minDuration {
				return usageError{fmt.Errorf("--duration %s is too short for the attackers to appear; give at least %s", duration, minDuration)}
			}
			return runDemo(c.Context(), s, duration, asJSON, verbose)
		}}
	c.Flags().DurationVar(&duration, "duration", duration, "how `long` the traffic lasts")
	c.Flags().BoolVar(&asJSON, "json", false, "print only the summary, as one JSON object")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "also print the log")
	return c
}

// stage is the demo's scenery: everything around Warder.
type scenery struct {
	shop    *http.Server
	shopURL string
	smtp    *receivers.SMTP
	slack   *receivers.Slack
	webhook *receivers.Webhook
}

func newScenery() (*scenery, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sample API: %w", err)
	}
	sc := &scenery{shop: &http.Server{Handler: demo.Shop(), ReadHeaderTimeout: 5 * time.Second}, shopURL: "http://" + ln.Addr().String()}
	go func() { _ = sc.shop.Serve(ln) }() // ends with Close
	if sc.smtp, err = receivers.NewSMTP(); err == nil {
		if sc.slack, err = receivers.NewSlack(); err == nil {
			sc.webhook, err = receivers.NewWebhook(webhookKey)
		}
	}
	if err != nil {
		sc.close()
		return nil, err
	}
	return sc, nil
}

func (sc *scenery) close() {
	_ = sc.shop.Close()
	for _, c := range []io.Closer{sc.smtp, sc.slack, sc.webhook} {
		_ = c.Close()
	}
}

func (sc *scenery) delivered() map[string]int {
	return map[string]int{"email": sc.smtp.Count(), "slack": sc.slack.Count(), "webhook": sc.webhook.Count()}
}

// configure is Warder's configuration for the scenery.
func (sc *scenery) configure(dir string) app.Config {
	cfg := app.DefaultConfig()
	cfg.DataDir = dir
	cfg.Log.Level = "warn"
	cfg.Admin.Listen, cfg.API.Listen = "", ""
	cfg.Gateway.Listen = "127.0.0.1:0"
	cfg.Gateway.TrustedProxies = []string{"127.0.0.0/8"} // each actor says where it comes from
	cfg.Gateway.Routes = []gateway.Route{{Name: "shop", Upstream: gateway.Upstreams{sc.shopURL}}}
	cfg.Enforcer.Enforce = true

	mail := email.DefaultConfig()
	mail.Name, mail.Smarthost, mail.From, mail.To = "email", sc.smtp.Addr(), "warder@example.com", []string{"soc@example.com"}
	mail.Security = email.Plaintext
	sl := slack.DefaultConfig()
	sl.Name, sl.WebhookURL = "slack", config.NewSecret(sc.slack.WebhookURL())
	wh := webhook.DefaultConfig()
	wh.Name, wh.URL, wh.Secret = "webhook", config.NewSecret(sc.webhook.URL()), config.NewSecret(webhookKey)
	cfg.Sinks.Email, cfg.Sinks.Slack, cfg.Sinks.Webhook = []email.Config{mail}, []slack.Config{sl}, []webhook.Config{wh}
	return cfg
}

func runDemo(ctx context.Context, s streams, duration time.Duration, asJSON, verbose bool) error {
	dir, err := os.MkdirTemp("", "warder-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sc, err := newScenery()
	if err != nil {
		return err
	}
	defer sc.close()
	logs := io.Discard
	if verbose {
		logs = s.err
	}
	cfg := sc.configure(filepath.Join(dir, "data"))
	out := s.out
	if asJSON {
		out = io.Discard
	}
	fmt.Fprintln(out, "starting the shop, the gateway, the broker, the ClickHouse engine and the receivers on loopback …")
	a, err := app.New(ctx, cfg, app.Roles(), telemetry.NewLogger(cfg.Log, logs))
	if err != nil {
		return err
	}
	summary, err := play(ctx, a, sc, console.NewTimeline(out, time.Now()), duration)
	if err = errors.Join(err, a.Close()); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errInterrupted // a summary of half a demo would say that the loop did not close
	}
	if asJSON {
		if err := json.NewEncoder(s.out).Encode(summary); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(s.out)
		summary.Write(s.out)
	}
	if !summary.Closed {
		return errSilent
	}
	return nil
}

// play runs Warder and the cast, waits until everything has arrived, and reckons up.
func play(ctx context.Context, a *app.App, sc *scenery, tl *console.Timeline, duration time.Duration) (demo.Summary, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Run(gctx) })
	var summary demo.Summary
	g.Go(func() error {
		defer stop()
		select {
		case <-a.Up():
		case <-gctx.Done():
			return nil
		}
		r := demo.NewReckoning()
		watching := make(chan error, 1)
		wctx, watched := context.WithCancel(gctx)
		go func() {
			watching <- a.Watch(wctx, func(al *alert.Alert) {
				if r.Alert(al) {
					tl.Alert(al)
				}
			}, func(d *decision.Decision) {
				if r.Decision(d) {
					tl.Decision(d)
				}
			})
		}()
		tl.Note("the gateway listens on http://%s, %d customers are shopping", a.Gateway().Addr(), customers)
		t := demo.NewTraffic("http://"+a.Gateway().Addr().String(), customers,
			func(at demo.Attacker) { tl.Attack(at.Name, at.Address) },
			func(address string, at time.Time) {
				tl.Refused(address, r.AwaitLatency(gctx, address, at))
			})
		t.Run(gctx, duration)
		tl.Note("traffic is over; waiting until everything is stored and delivered")
		stored, err := settle(gctx, a, sc, r, t)
		watched()
		if err := errors.Join(err, <-watching); err != nil {
			return err
		}
		summary = r.Summary(t, stored, sc.delivered())
		return nil
	})
	err := g.Wait()
	if err == nil && summary.Delivered == nil {
		err = errInterrupted
	}
	return summary, err
}

// settle waits until every request is stored and every alert delivered, at most settleTime, and returns how many are stored.
func settle(ctx context.Context, a *app.App, sc *scenery, r *demo.Reckoning, t *demo.Traffic) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := a.Store().Stats(context.WithoutCancel(ctx), time.Time{})
		if err != nil {
			return 0, err
		}
		done := int64(st.Events) >= t.Requests()
		for _, n := range sc.delivered() {
			done = done && n >= r.Alerts()
		}
		if done {
			return int64(st.Events), nil
		}
		select {
		case <-ctx.Done():
			return int64(st.Events), nil
		case <-tick.C:
		}
	}
}
