package main

import (
	"context"
	"io"
	"os"
)

// openLedger opens what a command verifies: a file, standard input, or the ledger of a running Warder.
func openLedger(ctx context.Context, s streams, f apiFlags, args []string) (io.ReadCloser, error) {
	switch {
	case len(args) == 0:
		return f.ledger(ctx)
	case args[0] == "-":
		return io.NopCloser(newInterruptible(ctx, s.in)), nil
	}
	file, err := os.Open(args[0])
	if err != nil {
		return nil, usageError{err}
	}
	return file, nil
}

// ledger asks the API for the whole ledger. The stream may take as long as it makes progress.
func (f *apiFlags) ledger(ctx context.Context) (io.ReadCloser, error) {
	c, err := f.client()
	if err != nil {
		return nil, err
	}
	return c.Open(ctx, "audit", nil)
}
