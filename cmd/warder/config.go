package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/config"
)

// zeroTime makes a timeline print the time of day.
var zeroTime time.Time

func isConfigError(err error) bool {
	var c *config.Error
	var f *config.FieldError
	return errors.As(err, &c) || errors.As(err, &f)
}

func newInit(s streams) *cobra.Command {
	return &cobra.Command{Use: "init [FILE]", GroupID: "work", Short: "Write a commented configuration",
		Long:    "Writes a commented configuration with every default to FILE, or to standard output. An existing file is left alone.",
		Example: "  warder init warder.yaml", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "-" {
				_, err := fmt.Fprint(s.out, app.Example)
				return err
			}
			f, err := os.OpenFile(args[0], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if errors.Is(err, os.ErrExist) {
				return usageError{fmt.Errorf("%s exists; name another file, or move it away first", args[0])}
			}
			if err != nil {
				return err
			}
			if _, err = f.WriteString(app.Example); err != nil {
				return errors.Join(err, f.Close())
			}
			if err = f.Close(); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "wrote %s; next: edit it, then `warder check-config %s` and `warder up --config %s`\n", args[0], args[0], args[0])
			return nil
		}}
}

func newCheckConfig(s streams) *cobra.Command {
	var connect bool
	c := &cobra.Command{Use: "check-config FILE", GroupID: "work", Short: "Say what is wrong with a configuration and its rules",
		Long: `Reads the configuration and every rule that it names, and says what is wrong, by file, line and key. With --connect it also tries to
reach Kafka and ClickHouse. Exits with 2 when something is wrong with the files, 1 when a server cannot be reached.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return checkConfig(c.Context(), s, args[0], connect) }}
	c.Flags().BoolVar(&connect, "connect", false, "also try to reach the configured servers")
	return c
}

func checkConfig(ctx context.Context, s streams, file string, connect bool) error {
	cfg, err := app.Load(file)
	if err != nil {
		return usageError{err}
	}
	set, err := app.LoadRules(cfg.Rules)
	if err != nil {
		return usageError{err}
	}
	fmt.Fprintf(s.out, "%s: ok, %d rules\n", file, len(set.Rules()))
	if !connect {
		return nil
	}
	return app.Connect(ctx, cfg, func(what string, err error) {
		if err != nil {
			fmt.Fprintf(s.out, "%s: %v\n", what, err)
			return
		}
		fmt.Fprintf(s.out, "%s: reached\n", what)
	})
}
