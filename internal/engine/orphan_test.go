package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/engine"
)

const parentCommand = "engine-test-parent"

// maybeServeParent makes this process, when it was started so, a program that runs an engine, prints the child's process id and
// waits to be killed.
func maybeServeParent() {
	if len(os.Args) != 3 || os.Args[1] != parentCommand {
		return
	}
	e, err := engine.Start(context.Background(), config(os.Args[2]), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("pid", e.PID())
	select {}
}

func TestChildDiesWithItsKilledParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], parentCommand, dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, scanErr := fmt.Sscanf(line, "pid %d", &pid); scanErr != nil {
		t.Fatalf("the parent said %q, %v", line, err)
	}
	if err = cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	// A successor starts at once, on the same folder, and waits for the orphan's lock instead of failing.
	start(t, dir)
	eventually(t, func() error {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("child %d lives on: %v", pid, err)
		}
		return nil
	})
}
