// Generate writes each dashboard as JSON into a folder: `go generate ./dashboards`.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/warder/warder/dashboards"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: generate FOLDER")
	}
	return dashboards.Write(args[0])
}
