package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/rules"
)

// usageError is an error in the command line, the configuration or the rules.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

var (
	// errSilent ends the program with exitFailed; what went wrong has been printed.
	errSilent = errors.New("failed")
	// errInterrupted says that a signal ended the command before it was done.
	errInterrupted = errors.New("interrupted")
)

// report prints what went wrong, each fault on lines of its own, and returns the exit code.
func report(w io.Writer, err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSilent):
		return exitFailed
	case errors.Is(err, errDiffers):
		return exitDiffers
	}
	for _, e := range flatten(err) {
		fmt.Fprintf(w, "warder: %v%s\n", e, advice(e))
	}
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	if u, ok := err.(usageError); ok {
		return flatten(u.error)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, flatten(e)...)
	}
	return out
}

// advice says what to do about what the operating system refused.
func advice(err error) string {
	var op *net.OpError
	listening := errors.As(err, &op) && op.Op == "listen"
	switch {
	case listening && errors.Is(err, syscall.EADDRINUSE) && strings.HasPrefix(err.Error(), "gateway"):
		return "; end what listens there, or choose another address with --listen or gateway.listen"
	case listening && errors.Is(err, syscall.EADDRINUSE) && strings.HasPrefix(err.Error(), "admin"):
		return "; `warder up` also takes --admin"
	case listening && errors.Is(err, syscall.EADDRINUSE) && strings.Contains(err.Error(), "api.listen"):
		return "; `warder up` also takes --api"
	case listening && errors.Is(err, syscall.EADDRNOTAVAIL):
		return "; this machine has no such address: choose one of its own, or 0.0.0.0 for all"
	case listening && errors.Is(err, syscall.EACCES):
		return "; ports below 1024 need the right CAP_NET_BIND_SERVICE: choose a port from 1024"
	case errors.Is(err, syscall.EWOULDBLOCK):
		return "; `warder up` also takes --data-dir"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "; the file is cut short, and what came before was looked at"
	}
	return ""
}

// asUsage marks errors that the configuration or the rules cause, and places them in the file, if there is one.
func asUsage(file string, err error) error {
	var c *config.Error
	var f *config.FieldError
	var r *rules.Error
	switch {
	case errors.As(err, &f) && file != "":
		return usageError{config.At(file, err)}
	case errors.As(err, &c), errors.As(err, &f), errors.As(err, &r):
		return usageError{err}
	}
	return err
}

// loadConfig reads a configuration file. All its errors are usageErrors.
func loadConfig(file string) (app.Config, error) {
	cfg, err := app.Load(file)
	if errors.Is(err, fs.ErrNotExist) {
		return cfg, usageError{fmt.Errorf("there is no configuration file %s; `warder init %s` writes one", file, file)}
	}
	if err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}
