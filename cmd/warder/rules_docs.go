package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/rules/pages"
)

func newRulesDocs(s streams) *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "docs -o DIR [PATH...]", Short: "Write a Markdown page for each rule",
		Long: `Writes a Markdown page for each rule in files and folders, or of the shipped
packs: what it means, how it fires, what it answers, what it covers, its tests;
and index.md. Files of these names in DIR are replaced.`,
		Example: "  warder rules docs -o docs/rules my-rules",
	}
	c.RunE = func(_ *cobra.Command, paths []string) error {
		if dir == "" {
			return wrong(c, "docs needs a folder to write to: -o DIR")
		}
		set, err := loadRules(paths)
		if err != nil {
			return err
		}
		n, err := pages.Write(dir, set.Rules())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "%d pages and an index in %s\n", n, console.Clean(dir, 300))
		return err
	}
	c.Flags().StringVarP(&dir, "output", "o", "", "the `folder` to write to")
	return c
}
