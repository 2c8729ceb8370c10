package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/warder/warder/dashboards"
	"github.com/warder/warder/dashboards/push"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/console"
)

func newDashboards(s streams) *cobra.Command {
	c := &cobra.Command{Use: "dashboards", GroupID: "work", Short: "Put dashboards and alert rules into Grafana",
		Long: `Brings Warder's dashboards, its ClickHouse data source, alert rules and contact
points into a Grafana of yours: through its API, or as files for it to read.

What there is, and how to make a token: docs/grafana-push.md.`,
		Example: `  warder dashboards list
  warder dashboards push --url https://grafana.example.com --diff
  warder dashboards export grafana`}
	c.AddCommand(newDashboardsPush(s), newDashboardsExport(s), newDashboardsList(s))
	return c
}

// wantFlags say what Grafana should have.
type wantFlags struct {
	folder                               string
	clickhouse, protocol, database, user string
	passwordFile, clickhouseCA           string
	tls                                  bool
	emails                               []string
	webhook, slack                       string
}

func (f *wantFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.folder, "folder", "Warder", "`title` of Grafana's folder; no dashboard may have the same")
	fs.StringVar(&f.clickhouse, "clickhouse", "", "`HOST:PORT` where Grafana finds ClickHouse; without it, the data source stays as it is")
	fs.StringVar(&f.protocol, "clickhouse-protocol", "native", "native or http")
	fs.BoolVar(&f.tls, "clickhouse-tls", false, "with TLS")
	fs.StringVar(&f.clickhouseCA, "clickhouse-ca-file", "", "PEM `file` with the authorities that vouch for ClickHouse")
	fs.StringVar(&f.database, "clickhouse-database", "warder", "database")
	fs.StringVar(&f.user, "clickhouse-user", "warder", "user; one that may only read is enough")
	fs.StringVar(&f.passwordFile, "clickhouse-password-file", "", "`file` with the password (default $WARDER_CLICKHOUSE_PASSWORD itself)")
	fs.StringSliceVar(&f.emails, "contact-email", nil, "mail `address` that alert rules tell; several: with commas, or again")
	fs.StringVar(&f.webhook, "contact-webhook", "", "`URL` that alert rules tell, or @FILE that holds it")
	fs.StringVar(&f.slack, "contact-slack", "", "`URL` of a Slack incoming webhook, or @FILE that holds it")
}

// want reads the flags and the files that they name.
func (f *wantFlags) want(c *cobra.Command) (push.Want, error) {
	w := push.Want{Folder: f.folder, Contacts: push.Contacts{Emails: f.emails}}
	var errs [4]error
	w.Boards, errs[0] = push.Boards(dashboards.Boards())
	w.Contacts.Webhook, errs[1] = orFile("--contact-webhook", f.webhook)
	w.Contacts.Slack, errs[2] = orFile("--contact-slack", f.slack)
	w.DataSource, errs[3] = f.source(c)
	if err := errors.Join(errs[:]...); err != nil {
		return w, usageError{err}
	}
	if err := w.Validate(); err != nil {
		return w, usageError{err}
	}
	return w, nil
}

func (f *wantFlags) source(c *cobra.Command) (*push.DataSource, error) {
	if f.clickhouse == "" {
		var stray []string
		c.Flags().Visit(func(flag *pflag.Flag) {
			if strings.HasPrefix(flag.Name, "clickhouse-") {
				stray = append(stray, "--"+flag.Name)
			}
		})
		if len(stray) > 0 {
			return nil, fmt.Errorf("%s has no effect without --clickhouse HOST:PORT", strings.Join(stray, ", "))
		}
		return nil, nil
	}
	host, port, err := net.SplitHostPort(f.clickhouse)
	n, numeric := strconv.Atoi(port)
	if err != nil || host == "" || numeric != nil {
		return nil, fmt.Errorf("--clickhouse %.80q is not HOST:PORT, such as clickhouse.internal:9000", f.clickhouse)
	}
	d := &push.DataSource{Host: host, Port: n, Protocol: f.protocol, TLS: f.tls, Database: f.database, User: f.user,
		Password: config.NewSecret(os.Getenv(push.PasswordEnv))}
	if f.passwordFile != "" {
		if d.Password, err = secretFile("--clickhouse-password-file", f.passwordFile); err != nil {
			return nil, err
		}
	}
	if f.clickhouseCA != "" {
		pem, err := os.ReadFile(f.clickhouseCA)
		if err != nil {
			return nil, fmt.Errorf("--clickhouse-ca-file: %w", err)
		}
		d.CA = string(pem)
	}
	return d, nil
}

// orFile returns a flag's value, or what the file holds that it names after an @.
func orFile(flag, value string) (config.Secret, error) {
	if file, ok := strings.CutPrefix(value, "@"); ok {
		return secretFile(flag, file)
	}
	return config.NewSecret(value), nil
}

// secretFile reads a file of one line.
func secretFile(flag, file string) (config.Secret, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return config.Secret{}, fmt.Errorf("%s: %w", flag, err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return config.Secret{}, fmt.Errorf("%s: %s does not hold one line", flag, file)
	}
	return config.NewSecret(text), nil
}

func newDashboardsExport(s streams) *cobra.Command {
	f := &wantFlags{}
	var path string
	c := &cobra.Command{Use: "export DIR", Short: "Write them as files that Grafana reads at its start",
		Long: `Writes the dashboards' JSON to DIR/dashboards, and to DIR/provisioning what
makes Grafana read them: the folder, alert rules and, where flags say so, data
source and contact points. Mount it as /etc/grafana/provisioning. Secrets are
in no file: Grafana takes them from its environment (WARDER_CLICKHOUSE_PASSWORD,
WARDER_GRAFANA_WEBHOOK, WARDER_GRAFANA_SLACK).`,
		Example: "  warder dashboards export grafana --clickhouse clickhouse:9000",
		Args:    one("the folder to write to")}
	c.RunE = func(c *cobra.Command, args []string) error {
		want, err := f.want(c)
		if err != nil {
			return err
		}
		files, err := push.Export(args[0], path, dashboards.Boards(), want)
		if err != nil {
			return err
		}
		for _, name := range files {
			fmt.Fprintln(s.out, name)
		}
		_, err = fmt.Fprintf(s.out, "%d files in %s; Grafana's machine needs the folder dashboards as %s\n", len(files), console.Clean(args[0], 300), console.Clean(path, 300))
		return err
	}
	f.register(c.Flags())
	c.Flags().StringVar(&path, "path", push.BoardsPath, "where Grafana's machine has the folder dashboards")
	return c
}

func newDashboardsList(s streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "list", Short: "List the dashboards and alert rules", Args: noArgs,
		Long:    "Lists the dashboards and the alert rules that push and export bring.",
		Example: "  warder dashboards list\n  warder dashboards list --json"}
	c.RunE = func(*cobra.Command, []string) error {
		if asJSON {
			return listDashboardsJSON(s)
		}
		p, width := console.NewPalette(console.WantsColour(s.out)), console.Width(s.out)
		boards := console.NewTable("dashboard", "uid", "what it shows")
		for _, b := range dashboards.Boards() {
			boards.Row(b.Title, b.UID, b.Description)
		}
		if err := boards.Write(s.out, p, width); err != nil {
			return err
		}
		rules := console.NewTable("alert rule", "uid", "severity", "what to do")
		for _, r := range push.Rules() {
			rules.Row(r.Title, r.UID, r.Severity, r.Action)
		}
		fmt.Fprintln(s.out)
		return rules.Write(s.out, p, width)
	}
	jsonFlag(c, &asJSON)
	c.Flags().Lookup("json").Usage = "print JSON lines"
	return c
}

func listDashboardsJSON(s streams) error {
	type line struct {
		Kind        string `json:"kind"`
		UID         string `json:"uid"`
		Title       string `json:"title"`
		Severity    string `json:"severity,omitempty"`
		Description string `json:"description"`
	}
	var out []line
	for _, b := range dashboards.Boards() {
		out = append(out, line{"dashboard", b.UID, b.Title, "", b.Description})
	}
	for _, r := range push.Rules() {
		out = append(out, line{"alert_rule", r.UID, r.Title, r.Severity, r.Action})
	}
	for _, l := range out {
		if err := printJSON(s.out, l); err != nil {
			return err
		}
	}
	return nil
}
