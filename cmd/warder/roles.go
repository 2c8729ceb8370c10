package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/telemetry"
)

// newRoles returns a subcommand for each role alone.
func newRoles(s streams) []*cobra.Command {
	about := map[app.Role][2]string{
		app.RoleGateway:   {"The inline gateway: proxies, records every request, enforces decisions", "gateway.routes and kafka.brokers"},
		app.RoleCollector: {"Reads access logs and follows them", "access_logs and kafka.brokers"},
		app.RoleDetector:  {"Evaluates the rules; several share the work", "kafka.brokers, and rules of one's own"},
		app.RoleEnforcer:  {"Turns alerts into decisions for the gateways", "kafka.brokers and enforcer"},
		app.RoleSinks:     {"Tells people and the SIEM", "kafka.brokers and sinks"},
		app.RoleStore:     {"Writes everything to ClickHouse", "kafka.brokers and store.addrs"},
	}
	var out []*cobra.Command
	for _, r := range app.Roles() {
		var file string
		c := &cobra.Command{Use: string(r), GroupID: "role", Short: about[r][0], Args: cobra.NoArgs,
			Long: fmt.Sprintf("%s.\n\nRuns this role alone, against your own servers. The configuration needs %s.", about[r][0], about[r][1]),
			RunE: func(c *cobra.Command, _ []string) error { return role(c.Context(), s, r, file) }}
		c.Flags().StringVarP(&file, "config", "c", "warder.yaml", "configuration `file`")
		out = append(out, c)
	}
	return out
}

func role(ctx context.Context, s streams, r app.Role, file string) error {
	cfg, err := app.Load(file)
	if err != nil {
		return usageError{err}
	}
	a, err := app.New(ctx, cfg, []app.Role{r}, telemetry.NewLogger(cfg.Log, s.err))
	if err != nil {
		return asUsage(err)
	}
	return errors.Join(a.Run(ctx), a.Close())
}
