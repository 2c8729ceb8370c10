package program

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain makes the test program one of the programs that the tests run.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "as-program" {
		os.Exit(act(os.Args[2]))
	}
	goleak.VerifyTestMain(m)
}

func act(how string) int {
	switch how {
	case "copy":
		_, _ = os.Stdout.ReadFrom(os.Stdin)
	case "endless":
		for b := make([]byte, 1<<20); ; {
			_, _ = os.Stdout.Write(b)
		}
	case "hang":
		time.Sleep(time.Minute)
	case "fail":
		_, _ = os.Stderr.WriteString("no\xff\n" + strings.Repeat("x", 1<<20))
		return 3
	}
	return 0
}

func run(t *testing.T, ctx context.Context, how string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := Run(ctx, []string{self, "as-program", how}, "hello")
	return string(out), err
}

func TestRun(t *testing.T) {
	if out, err := run(t, t.Context(), "copy"); err != nil || out != "hello" {
		t.Errorf("%q %v", out, err)
	}
	var e *Error
	if _, err := run(t, t.Context(), "fail"); !errors.As(err, &e) || !strings.HasPrefix(e.Said, "no?\nxxx") || len(e.Said) > maxError ||
		!strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%.200v", err)
	}
	if _, err := run(t, t.Context(), "endless"); err == nil || !strings.Contains(err.Error(), "output is above 67108864 bytes") {
		t.Errorf("endless: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := run(t, ctx, "hang"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hang: %v", err)
	}
	if _, err := Run(t.Context(), []string{"/nowhere/program"}, ""); !errors.As(err, &e) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v", err)
	}
}

func TestValidate(t *testing.T) {
	for says, command := range map[string][]string{"command:": {}, "command: is": {""}, "command[1]:": {"a", "\x00"}} {
		if err := Validate("command", command); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", command, err)
		}
	}
	if err := Validate("command", []string{"a", ""}); err != nil {
		t.Error(err)
	}
}
