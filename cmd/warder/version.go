package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version string

func newVersion(s streams) *cobra.Command {
	return &cobra.Command{Use: "version", GroupID: "work", Short: "Print the version", Long: "Prints the version, and what it was built with.", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintf(s.out, "warder %s (%s, %s/%s)\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		}}
}

// buildVersion is the release's version, or what the Go tool recorded of the source.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.modified" && s.Value == "true" {
			v += " with local changes"
		}
	}
	return v
}
