package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/warder/warder/dashboards/push"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/console"
)

// exitDiffers is the exit code of `dashboards push --diff` when there is something to push.
const exitDiffers = 3

// errDiffers ends the program with exitDiffers.
var errDiffers = errors.New("differs")

// pushFlags say which Grafana, who asks, and how.
type pushFlags struct {
	wantFlags
	url, token, tokenFile, caFile string
	diff, resend                  bool
}

func newDashboardsPush(s streams) *cobra.Command {
	f := &pushFlags{}
	c := &cobra.Command{Use: "push --url URL --token-file FILE", Short: "Bring Grafana to the wanted state through its API", Args: noArgs,
		Long: `Looks at Grafana (9.3 or newer, with the ClickHouse data source plugin) and
writes what it lacks: folder, data source, dashboards, alert rules and, where
flags say so, contact points. A second run changes nothing. --diff only shows
what would be written.

The token is a service account's with the role Admin: --token-file, or
WARDER_GRAFANA_TOKEN. --token shows it to everybody who lists processes.
Passwords that Grafana has cannot be compared: --resend-secrets sends them
again.

Exit codes of --diff: 0 nothing differs, 3 something does; others as usual.`,
		Example: `  export WARDER_GRAFANA_TOKEN=glsa_...
  warder dashboards push --url https://grafana.example.com \
      --clickhouse clickhouse.internal:9440 --clickhouse-tls \
      --contact-email soc@example.com --diff`}
	c.RunE = func(c *cobra.Command, _ []string) error { return f.run(c, s) }
	fs := c.Flags()
	fs.StringVar(&f.url, "url", "", "Grafana's `URL` (default $WARDER_GRAFANA_URL)")
	fs.StringVar(&f.tokenFile, "token-file", "", "`file` with the token (default $WARDER_GRAFANA_TOKEN itself)")
	fs.StringVar(&f.token, "token", "", "the token itself; others on this machine can see it")
	fs.StringVar(&f.caFile, "ca-file", "", "PEM `file` with the authorities that vouch for Grafana")
	fs.BoolVar(&f.diff, "diff", false, "show what would be written, and write nothing")
	fs.BoolVar(&f.resend, "resend-secrets", false, "send passwords and webhook addresses even if Grafana has some")
	f.register(fs)
	return c
}

func (f *pushFlags) client(c *cobra.Command) (*push.Client, error) {
	cfg := push.DefaultConfig()
	cfg.URL, cfg.TLS.CAFile = cmp.Or(f.url, os.Getenv("WARDER_GRAFANA_URL")), f.caFile
	if cfg.URL == "" {
		return nil, wrong(c, "which Grafana? --url https://grafana.example.com, or WARDER_GRAFANA_URL")
	}
	switch {
	case f.token != "" && f.tokenFile != "":
		return nil, wrong(c, "--token and --token-file are both given: keep --token-file")
	case f.tokenFile != "":
		var err error
		if cfg.Token, err = secretFile("--token-file", f.tokenFile); err != nil {
			return nil, usageError{err}
		}
	default:
		cfg.Token = config.NewSecret(strings.TrimSpace(cmp.Or(f.token, os.Getenv("WARDER_GRAFANA_TOKEN"))))
	}
	if !cfg.Token.IsSet() {
		return nil, wrong(c, "no token: give --token-file or WARDER_GRAFANA_TOKEN; Grafana makes one under Administration, Service accounts (role Admin)")
	}
	cl, err := push.New(cfg)
	if err != nil {
		return nil, usageError{err}
	}
	return cl, nil
}

func (f *pushFlags) run(c *cobra.Command, s streams) error {
	cl, err := f.client(c)
	if err != nil {
		return err
	}
	want, err := f.want(c)
	if err != nil {
		return err
	}
	want.Resend = f.resend
	plan, err := cl.Plan(c.Context(), want)
	if err != nil {
		return err
	}
	v := &pushView{streams: s, p: console.NewPalette(console.WantsColour(s.out))}
	if f.diff {
		v.difference(plan)
		v.notes(plan.Notes)
		if plan.Differs() {
			return errDiffers
		}
		return nil
	}
	return v.push(c.Context(), cl, plan)
}

// pushView tells what is and what would be written.
type pushView struct {
	streams
	p console.Palette
}

func (v *pushView) push(ctx context.Context, cl *push.Client, plan *push.Plan) error {
	if err := cl.Apply(ctx, plan, func(c *push.Change) { v.line(c, past) }); err != nil {
		return err
	}
	v.sum(plan, past, "nothing to change")
	fmt.Fprintln(v.out, "\nDashboards:")
	for i := range plan.Changes {
		if c := &plan.Changes[i]; c.Kind == "dashboard" {
			fmt.Fprintf(v.out, "  %s  %s\n", cl.Page(c.Link), v.p.Dim(c.Name))
		}
	}
	v.notes(plan.Notes)
	if err := cl.Check(ctx); err != nil {
		fmt.Fprintf(v.err, "%s %v\n", v.p.Yellow("warning:"), err)
	}
	return nil
}

// past and future word the actions.
func past(a push.Action) string {
	return map[push.Action]string{push.Create: "created", push.Update: "updated", push.Remove: "removed", push.Keep: "as wanted"}[a]
}

func future(a push.Action) string {
	return map[push.Action]string{push.Create: "to create", push.Update: "to update", push.Remove: "to remove", push.Keep: "as wanted"}[a]
}

func (v *pushView) line(c *push.Change, word func(push.Action) string) {
	paint := map[push.Action]func(string) string{push.Create: v.p.Green, push.Update: v.p.Yellow, push.Remove: v.p.Red}[c.Action]
	fmt.Fprintf(v.out, "%s  %-16s  %s\n", paint(fmt.Sprintf("%-9s", word(c.Action))), c.Kind, c.Name)
}

// maxDifferences of one object are shown.
const maxDifferences = 20

func (v *pushView) difference(plan *push.Plan) {
	for i := range plan.Changes {
		c := &plan.Changes[i]
		if c.Action == push.Keep {
			continue
		}
		v.line(c, future)
		for n, d := range c.Fields {
			if n == maxDifferences {
				fmt.Fprintln(v.out, v.p.Dim(fmt.Sprintf("    … %d more", len(c.Fields)-n)))
				break
			}
			fmt.Fprintf(v.out, "    %s\n", v.p.Dim(d.Path))
			if d.Old != "" {
				fmt.Fprintln(v.out, v.p.Red("    - "+d.Old))
			}
			if d.New != "" {
				fmt.Fprintln(v.out, v.p.Green("    + "+d.New))
			}
		}
	}
	v.sum(plan, future, "nothing differs")
}

func (v *pushView) sum(plan *push.Plan, word func(push.Action) string, nothing string) {
	count := map[push.Action]int{}
	for i := range plan.Changes {
		count[plan.Changes[i].Action]++
	}
	if !plan.Differs() {
		fmt.Fprintf(v.out, "%s: all %d objects are as wanted\n", nothing, len(plan.Changes))
		return
	}
	var parts []string
	for _, a := range []push.Action{push.Create, push.Update, push.Remove, push.Keep} {
		if count[a] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[a], word(a)))
		}
	}
	fmt.Fprintln(v.out, strings.Join(parts, ", "))
}

func (v *pushView) notes(notes []string) {
	for _, n := range notes {
		fmt.Fprintf(v.err, "%s %s\n", v.p.Yellow("note:"), n)
	}
}
