// Command warder is a security analytics and alerting pipeline for API gateways. `warder help` lists its subcommands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/engine"
)

// Exit codes, also in `warder help`.
const (
	exitOK     = 0
	exitFailed = 1 // the run failed, or what was checked did not pass
	exitUsage  = 2 // the command line or the configuration is wrong; nothing was started
)

func main() {
	engine.MaybeServeChild()
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is an error in the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errSilent ends the program with exitFailed; what went wrong has been printed.
var errSilent = errors.New("failed")

func run(args []string, s streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSilent):
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintf(s.err, "warder: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(s.err, "warder: %v\n", err)
	return exitFailed
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "warder",
		Short: "Finds abuse in an API gateway's traffic and stops it at the gateway",
		Long: `Warder watches an API gateway's traffic, finds abuse with rules written in CEL, blocks or slows the offender at the
gateway within milliseconds, tells people, and keeps the evidence.

Start here:
  warder demo                                   an attack on a sample API, detected, blocked and reported
  warder up --upstream http://127.0.0.1:3000    protect a service; observes until --enforce
  warder detect access.log                      find abuse in log files, no server needed

Exit codes:
  0  success
  1  the run failed, or what was checked did not pass
  2  the command line or the configuration is wrong; nothing was started`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
	})
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run:"}, &cobra.Group{ID: "role", Title: "One role alone:"}, &cobra.Group{ID: "work", Title: "Rules, logs and configuration:"})
	root.AddCommand(newUp(s), newDemo(s))
	root.AddCommand(newRoles(s)...)
	root.AddCommand(newDetect(s), newRules(s), newInit(s), newCheckConfig(s), newVersion(s), newHealth(s))
	asUsageErrors(root)
	return root
}

// asUsageErrors makes wrong arguments of every command exit with exitUsage.
func asUsageErrors(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		asUsageErrors(sub)
	}
}
