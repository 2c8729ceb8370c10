package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// ChildCommand is the hidden first argument with which this program runs as an engine's child.
const ChildCommand = "engine-child"

// Exit codes of a child.
const (
	exitOK     = 0
	exitFailed = 1
	exitHung   = 3
)

// childGrace is how long a child may take to stop before it ends itself.
const childGrace = 10 * time.Second

// MaybeServeChild makes this process an engine's child, and does not return, when it was started as one. A program that
// calls [Start] calls it first in main, a test binary in TestMain.
func MaybeServeChild() {
	if len(os.Args) > 1 && os.Args[1] == ChildCommand {
		os.Exit(ServeChild(context.Background(), os.Args[2:], os.Stdin))
	}
}

// ServeChild runs an engine as told on stdin until SIGTERM, ctx's end or stdin's end, which means that the parent is gone. It
// returns the exit code. Only [Start] speaks its protocol; args must be empty.
func ServeChild(ctx context.Context, args []string, stdin io.Reader) int {
	yieldToParent()
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	rd := bufio.NewReaderSize(stdin, 64<<10)
	line, err := rd.ReadSlice('\n')
	var spec childSpec
	if err != nil || len(args) > 0 || json.Unmarshal(line, &spec) != nil {
		fmt.Fprintln(os.Stderr, "this command is for Warder's own use: it runs the embedded store engine")
		return exitFailed
	}
	if spec.Yield {
		go yieldAlways() // ends with the process
	}
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, rd)
		cancel()
	}()
	context.AfterFunc(ctx, func() { // a last resort: the engine may hang in a call that cannot be cancelled
		time.AfterFunc(childGrace, func() { os.Exit(exitHung) })
	})
	if err := spec.run(ctx); err != nil {
		report(childReport{Error: err.Error()})
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	return exitOK
}

// run holds the folder's lock while the engine runs.
func (spec childSpec) run(ctx context.Context) error {
	lock, err := acquireLock(ctx, spec.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := spec.writeConfig(); err != nil {
		return err
	}
	switch spec.Kind {
	case library:
		return spec.runLibrary(ctx)
	case binary:
		return spec.runBinary(ctx, lock)
	}
	return errors.New("unknown kind of engine")
}

// report tells the parent; it reads only the first.
func report(r childReport) {
	b, err := json.Marshal(r)
	if err == nil {
		_, _ = os.Stdout.Write(append(b, '\n')) // without a parent there is nobody to tell
	}
}
