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
		app.RoleGateway:   {"Proxy requests, record them, enforce decisions", "gateway.routes and kafka.brokers"},
		app.RoleCollector: {"Read access logs and follow them", "access_logs and kafka.brokers"},
		app.RoleDetector:  {"Evaluate the rules; several share the work", "kafka.brokers, and under rules your own"},
		app.RoleEnforcer:  {"Turn alerts into decisions for the gateways", "kafka.brokers and enforcer"},
		app.RoleSinks:     {"Tell people and the SIEM", "kafka.brokers and sinks"},
		app.RoleStore:     {"Write everything to ClickHouse", "kafka.brokers and store.addrs"},
	}
	var out []*cobra.Command
	for _, r := range app.Roles() {
		var file string
		c := &cobra.Command{Use: string(r), GroupID: "role", Short: about[r][0], Args: noArgs,
			Long: fmt.Sprintf(`%s.

Runs this role alone, against your own servers, until SIGINT or SIGTERM. The
configuration needs %s.`, about[r][0], about[r][1]),
			Example: fmt.Sprintf("  warder %s --config /etc/warder/warder.yaml", r),
			RunE:    func(c *cobra.Command, _ []string) error { return role(c.Context(), s, r, file) }}
		c.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration `file`")
		out = append(out, c)
	}
	return out
}

func role(ctx context.Context, s streams, r app.Role, file string) error {
	cfg, err := loadConfig(file)
	if err != nil {
		return err
	}
	a, err := app.New(ctx, cfg, []app.Role{r}, telemetry.NewLogger(cfg.Log, s.err))
	if err != nil {
		return asUsage(file, err)
	}
	return errors.Join(a.Run(ctx), a.Close())
}
