package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageTemplate is cobra's, for a terminal of 80 columns, without what a command of subcommands cannot do.
const usageTemplate = `Usage:
{{- if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND [FLAGS]
{{- else}}
  {{.UseLine}}
{{- end}}
{{- if .HasExample}}

Examples:
{{.Example}}
{{- end}}
{{- if .HasAvailableSubCommands}}{{$all := .Commands}}
{{- if eq (len .Groups) 0}}

Commands:
{{- range $all}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}
{{- end}}{{end}}
{{- end}}
{{- range $group := .Groups}}

{{.Title}}
{{- range $all}}{{if and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}
{{- end}}{{end}}
{{- end}}
{{- end}}
{{- if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}
{{- end}}
{{- if .HasAvailableInheritedFlags}}

Flags of all these commands:
{{.InheritedFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}
{{- end}}
{{- if .HasAvailableSubCommands}}

"{{.CommandPath}} COMMAND --help" says more about a command.
{{- end}}
`

// wrong makes an error in the command line that points to the command's help.
func wrong(c *cobra.Command, format string, args ...any) error {
	return usageError{fmt.Errorf(format+" (`%s --help`)", append(args, c.CommandPath())...)}
}

// flagError words what is wrong with a flag without the names of Go's functions.
func flagError(c *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	if !errors.As(err, &value) {
		return wrong(c, "%w", err)
	}
	want := map[string]string{"int": "a whole number", "duration": "a duration such as 30s or 5m", "bool": "true or false"}[value.GetFlag().Value.Type()]
	if want == "" {
		return wrong(c, "%w", err)
	}
	return wrong(c, "--%s %q is not %s", value.GetFlag().Name, value.GetValue(), want)
}

// noArgs refuses arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return wrong(c, "%s takes no argument, got %.80q", c.Name(), args[0])
	}
	return nil
}

// someArgs demands at least one argument, and says what it is.
func someArgs(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return wrong(c, "%s needs %s", c.Name(), what)
		}
		return nil
	}
}

// oneFile allows a single argument.
func oneFile(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return wrong(c, "%s takes one file, got %d", c.Name(), len(args))
	}
	return nil
}

// namedSubcommands makes a command that only holds others show its help, and refuse a name that is none of theirs.
func namedSubcommands(c *cobra.Command) {
	for _, sub := range c.Commands() {
		namedSubcommands(sub)
	}
	if !c.HasSubCommands() {
		usageArgs(c)
		return
	}
	c.SuggestionsMinimumDistance = 2
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(c, args[0])
	}
}

// usageArgs makes wrong arguments of a command that cobra made exit like those of our own.
func usageArgs(c *cobra.Command) {
	check := c.Args
	if check == nil {
		return
	}
	c.Args = func(c *cobra.Command, args []string) error {
		err := check(c, args)
		var usage usageError
		if err == nil || errors.As(err, &usage) {
			return err
		}
		return wrong(c, "%w", err)
	}
}

func unknownCommand(c *cobra.Command, name string) error {
	if found := c.SuggestionsFor(name); len(found) > 0 {
		return wrong(c, "unknown command %.80q for %q; did you mean %s?", name, c.CommandPath(), strings.Join(found, " or "))
	}
	return wrong(c, "unknown command %.80q for %q", name, c.CommandPath())
}

// newHelp is cobra's help command, but an unknown topic is an error.
func newHelp() *cobra.Command {
	return &cobra.Command{Use: "help [COMMAND]", GroupID: "work", Short: "Explain a command", DisableFlagsInUseLine: true,
		Long: "Explains a command: what it does, its flags, and examples.", Example: "  warder help detect\n  warder help rules test",
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if of, _, err := c.Root().Find(args); err == nil {
				for _, sub := range of.Commands() {
					names = append(names, sub.Name()+"\t"+sub.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			of := c.Root()
			for _, name := range args {
				next, _, err := of.Find([]string{name})
				if err != nil || next == of {
					return unknownCommand(of, name)
				}
				of = next
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		}}
}
