package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/app"
)

// defaultConfig is the configuration file that commands use when none is named.
const defaultConfig = "warder.yaml"

// zeroTime makes a timeline print the time of day.
var zeroTime time.Time

func newInit(s streams) *cobra.Command {
	return &cobra.Command{Use: "init [FILE]", GroupID: "work", Short: "Write a commented configuration", DisableFlagsInUseLine: true,
		Long: `Writes a commented configuration with every default to FILE, or to standard
output. An existing file is left alone.`,
		Example: "  warder init warder.yaml", Args: oneFile,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "-" {
				_, err := fmt.Fprint(s.out, app.Example)
				return err
			}
			if err := writeNew(args[0], app.Example); err != nil {
				return usageError{err}
			}
			fmt.Fprintf(s.out, "wrote %s; next: edit it, then `warder check-config %s` and `warder up --config %s`\n", args[0], args[0], args[0])
			return nil
		}}
}

// writeNew writes a file that must not exist.
func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists; name another file, or move it away first", name)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func newCheckConfig(s streams) *cobra.Command {
	var connect bool
	c := &cobra.Command{Use: "check-config [FILE]", GroupID: "work", Short: "Say what is wrong with a configuration and its rules",
		Long: `Reads the configuration (default ` + defaultConfig + `), the rules, certificates and
secrets that it names, and says what is wrong, by file, line and key. With
--connect it also tries to reach Kafka and ClickHouse.

Exits with 2 when something is wrong with the files, with 1 when a server
cannot be reached.`,
		Example: "  warder check-config warder.yaml\n  warder check-config --connect /etc/warder/warder.yaml",
		Args:    oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			file := defaultConfig
			if len(args) == 1 {
				file = args[0]
			}
			return checkConfig(c.Context(), s, file, connect)
		}}
	c.Flags().BoolVar(&connect, "connect", false, "also try to reach the configured servers")
	return c
}

func checkConfig(ctx context.Context, s streams, file string, connect bool) error {
	cfg, err := loadConfig(file)
	if err != nil {
		return err
	}
	set, err := app.Check(cfg)
	if err != nil {
		return usageError{asUsage(file, err)}
	}
	fmt.Fprintf(s.out, "%s: ok, %d rules\n", file, len(set.Rules()))
	if len(cfg.Gateway.Routes) == 0 && len(cfg.AccessLogs) == 0 {
		fmt.Fprintf(s.out, "%s: gateway.routes and access_logs are empty: `warder up` also needs --upstream URL\n", file)
	}
	if !connect {
		return nil
	}
	if cfg.Kafka.IsEmbedded() && len(cfg.Store.Addrs) == 0 {
		fmt.Fprintln(s.out, "kafka and clickhouse are embedded: there is no server to reach")
	}
	return app.Connect(ctx, cfg, func(what string, err error) {
		if err != nil {
			fmt.Fprintf(s.out, "%s: %v\n", what, err)
			return
		}
		fmt.Fprintf(s.out, "%s: reached\n", what)
	})
}
