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
	exitOK          = 0
	exitFailed      = 1   // the run failed, or what was checked did not pass
	exitUsage       = 2   // the command line or the configuration is wrong; nothing was started
	exitInterrupted = 130 // a signal ended a command that would have ended by itself
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

func run(args []string, s streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	out := &output{w: s.out}
	s.out = out
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil && out.err != nil {
		err = fmt.Errorf("write the output: %w", out.err)
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted)) {
		fmt.Fprintln(s.err, "warder: interrupted before the end")
		return exitInterrupted
	}
	return report(s.err, err)
}

// output is standard output. It remembers that something could not be written, so that a full disk does not pass for success.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// Fd lets console find out whether it is a terminal.
func (o *output) Fd() uintptr {
	if f, ok := o.w.(*os.File); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "warder",
		Short: "Finds abuse in an API gateway's traffic and stops it at the gateway",
		Long: `Warder watches an API gateway's traffic, finds abuse with rules written in
CEL, blocks or slows the offender at the gateway within milliseconds, tells
people, and keeps the evidence.

Start here:
  warder demo                                 attack a sample API and watch
  warder up --upstream http://127.0.0.1:3000  protect a service
  warder detect access.log                    look through log files

Exit codes:
    0  success
    1  the run failed, or what was checked did not pass
    2  the command line or the configuration is wrong; nothing was started
  130  interrupted before the end`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(flagError)
	root.SetUsageTemplate(usageTemplate)
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run:"}, &cobra.Group{ID: "role", Title: "One role alone, against your own Kafka and ClickHouse:"},
		&cobra.Group{ID: "work", Title: "Rules, configuration and the rest:"})
	root.AddCommand(newUp(s), newDemo(s))
	root.AddCommand(newRoles(s)...)
	root.AddCommand(newEvents(s), newEntity(s), newAlerts(s), newInventory(s))
	root.AddCommand(newDecisions(s), newAudit(s), newPrivacy(s), newDashboards(s))
	root.AddCommand(newDetect(s), newRules(s), newInit(s), newCheckConfig(s), newVersion(s), newHealth(s))
	root.SetHelpCommand(newHelp())
	root.SetCompletionCommandGroupID("work")
	root.InitDefaultCompletionCmd()
	namedSubcommands(root)
	return root
}
