// Package program runs the programs that gateways are changed with: no shell, bounded output, an end with the context.
package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/warder/warder/internal/config"
)

// Bounds of what a program says.
const (
	MaxOutput = 64 << 20 // bytes of standard output
	maxError  = 4 << 10  // bytes of standard error; the rest is left out
)

// grace is how long a killed program's children may hold its output open.
const grace = time.Second

// Validate tells, as a config.FieldError of the key, what is wrong with a command: its program, then its arguments.
func Validate(key string, command []string) error {
	if len(command) == 0 || command[0] == "" {
		return config.Errorf(key, "is empty: write the program and its arguments as a list, without a shell")
	}
	for i, a := range command {
		if strings.ContainsRune(a, 0) {
			return config.Errorf(fmt.Sprintf("%s[%d]", key, i), "holds a zero byte")
		}
	}
	return nil
}

// Error is a program that ran and failed.
type Error struct {
	Command string // the program, without arguments
	Said    string // on standard error, at most 4 KiB
	Err     error
}

func (e *Error) Error() string {
	if e.Said == "" {
		return fmt.Sprintf("%s: %v", e.Command, e.Err)
	}
	return fmt.Sprintf("%s: %v: %s", e.Command, e.Err, e.Said)
}

// Unwrap returns why it failed.
func (e *Error) Unwrap() error { return e.Err }

// Run runs the command, which must not be empty, with input on its standard input, and returns its standard output. It is killed when
// ctx ends, and when it says more than [MaxOutput]. An error is an [*Error].
func Run(ctx context.Context, command []string, input string) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.WaitDelay = strings.NewReader(input), grace
	cmd.Stdout = &bounded{&out, MaxOutput, func() { cancel(fmt.Errorf("its output is above %d bytes", MaxOutput)) }}
	cmd.Stderr = &bounded{&said, maxError, func() {}}
	err := cmd.Run()
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = errors.Join(cause, err)
	}
	if err != nil {
		return nil, &Error{command[0], strings.ToValidUTF8(strings.TrimSpace(said.String()), "?"), err}
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, &Error{command[0], "", cause}
	}
	return out.Bytes(), nil
}

// bounded keeps the first bytes, calls over when there are more, and takes all, so that the program does not wait.
type bounded struct {
	to   *bytes.Buffer
	room int
	over func()
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.room)
	b.to.Write(p[:n])
	if b.room -= n; n < len(p) {
		b.over()
	}
	return len(p), nil
}
