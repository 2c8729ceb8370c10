package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/warder/warder/rules/schema"
)

func newRulesSchema(s streams) *cobra.Command {
	var file string
	c := &cobra.Command{Use: "schema", Short: "Print the JSON Schema of rule files, for editors", Args: noArgs,
		Long: `Prints the JSON Schema of rule files, with which editors complete and check
them. In VS Code with the YAML extension a first line in the file says where
it is:

  # yaml-language-server: $schema=rule.schema.json`,
		Example: "  warder rules schema -o rule.schema.json",
		RunE: func(*cobra.Command, []string) error {
			return writeOutput(s, file, func(w io.Writer) error { return schema.Write(w) })
		}}
	c.Flags().StringVarP(&file, "output", "o", "", "write to `FILE` instead of standard output")
	return c
}
