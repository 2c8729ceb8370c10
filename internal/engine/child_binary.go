package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// runBinary runs `clickhouse server` as this process's own child until ctx ends. This process stands between Warder and the
// server because the server does not watch a pipe: it ends the server when Warder is gone. Should this process be killed,
// the kernel ends the server on Linux; elsewhere the server, which inherits the folder's lock, keeps a successor out.
func (spec childSpec) runBinary(ctx context.Context, lock *os.File) error {
	runtime.LockOSThread() // the parent-death signal follows the thread that starts the server
	defer runtime.UnlockOSThread()
	if err := os.MkdirAll(spec.data(), 0o700); err != nil {
		return fmt.Errorf("make the engine's data folder: %w", err)
	}
	cmd := exec.Command(spec.Path, "server", "--config-file="+spec.configFile())
	cmd.Dir = spec.Dir
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr // standard output is for the report
	cmd.ExtraFiles = []*os.File{lock}
	cmd.Env = append(os.Environ(), "CLICKHOUSE_WATCHDOG_ENABLE=0") // otherwise the server forks, and the signals reach its watchdog
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start clickhouse server: %w", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	answers := make(chan struct{})
	probe, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		if answering(probe, spec.Addr) {
			close(answers)
		}
	}()
	for {
		select {
		case err := <-exited:
			return fmt.Errorf("clickhouse server ended: %w", either(err, errors.New("without being asked to")))
		case <-answers:
			report(childReport{Version: "server"})
			answers = nil
		case <-ctx.Done():
			return stopServer(cmd, exited)
		}
	}
}

func either(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// stopServer asks the server to stop and kills it when it does not.
func stopServer(cmd *exec.Cmd, exited <-chan error) error {
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
	timer := time.NewTimer(childGrace - 2*time.Second)
	defer timer.Stop()
	select {
	case <-exited:
	case <-timer.C:
		_ = cmd.Process.Kill()
		<-exited
	}
	return nil
}

// answering waits until something accepts connections at addr; false when ctx ended first. The server opens its port once its
// tables are loaded.
func answering(ctx context.Context, addr string) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var d net.Dialer
	for {
		if c, err := d.DialContext(ctx, "tcp", addr); err == nil {
			_ = c.Close()
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}
