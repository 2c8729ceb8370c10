package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func newHealth(s streams) *cobra.Command {
	admin := "127.0.0.1:9600"
	c := &cobra.Command{Use: "health", GroupID: "work", Short: "Ask a running warder whether it is ready",
		Long: `Asks the admin listener of a running warder whether it is ready, for container
health checks. Exits with 0 when it is, with 1 when it is not or does not
answer.`,
		Example: "  warder health --admin 127.0.0.1:9600", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return health(c.Context(), s, admin) }}
	c.Flags().StringVar(&admin, "admin", admin, "the admin listener's `host:port`")
	return c
}

func health(ctx context.Context, s streams, admin string) error {
	if _, _, err := net.SplitHostPort(admin); err != nil {
		return usageError{fmt.Errorf("--admin %.80q is not host:port, for example 127.0.0.1:9600", admin)}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
	if err != nil {
		return usageError{fmt.Errorf("--admin %.80q is not host:port, for example 127.0.0.1:9600", admin)}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no answer from the admin listener at %s; is warder running, and admin.listen set to this address?", admin)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("admin listener: %w", err)
	}
	fmt.Fprint(s.out, string(b))
	if resp.StatusCode != http.StatusOK {
		return errSilent
	}
	return nil
}
