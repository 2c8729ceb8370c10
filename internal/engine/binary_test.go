package engine_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/engine"
)

const fakeCommand = "engine-test-clickhouse"

// maybeServeFake makes this process, when it was started so, a stand-in for `clickhouse server`: it listens on the port of its
// configuration and writes down its process id.
func maybeServeFake() {
	if len(os.Args) < 3 || os.Args[1] != fakeCommand {
		return
	}
	if os.Args[2] != "server" {
		fmt.Println("ClickHouse local version 26.5.1.1 (official build).")
		os.Exit(0)
	}
	file := strings.TrimPrefix(os.Args[3], "--config-file=")
	text, err := os.ReadFile(file)
	port := regexp.MustCompile(`<tcp_port>(\d+)</tcp_port>`).FindSubmatch(text)
	if err != nil || port == nil {
		os.Exit(2)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+string(port[1]))
	if err != nil {
		os.Exit(3)
	}
	if err = os.WriteFile(filepath.Join(filepath.Dir(file), "pid"), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		os.Exit(4)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(5)
		}
		_ = c.Close()
	}
}

// fakeBinary writes a `clickhouse` that is this test's stand-in.
func fakeBinary(t *testing.T, script string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clickhouse")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

func gone(pid int) error {
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("process %d lives on: %v", pid, err)
	}
	return nil
}

func TestBinaryIsSupervised(t *testing.T) {
	t.Parallel()
	cfg := config(t.TempDir())
	cfg.Binary = fakeBinary(t, `exec "`+os.Args[0]+`" `+fakeCommand+` "$@"`)
	e, err := engine.Start(t.Context(), cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	if e.Kind() != "clickhouse" || e.Protocol() != engine.Native {
		t.Errorf("kind %s, protocol %s", e.Kind(), e.Protocol())
	}
	server := func() int {
		b, _ := os.ReadFile(filepath.Join(cfg.Dir, "pid"))
		n, _ := strconv.Atoi(string(b))
		return n
	}
	first := server()
	if err = syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if n := server(); n == first || e.PID() == 0 {
			return errors.New("the server was not started again")
		}
		return nil
	})
	// The process between Warder and the server is killed: the server must not be left behind.
	second, pid := server(), e.PID()
	if err = syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return gone(second) })
	eventually(t, func() error {
		if n := server(); n == second || e.PID() == 0 {
			return errors.New("the server was not started again")
		}
		return nil
	})
	third := server()
	if err = e.Close(); err != nil {
		t.Fatal(err)
	}
	if err = gone(third); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func TestOldBinaryIsPassedOver(t *testing.T) {
	t.Parallel()
	cfg := config(t.TempDir())
	cfg.Binary = fakeBinary(t, `echo "ClickHouse local version 18.16.1."`)
	e, err := engine.Start(t.Context(), cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		if strings.Contains(err.Error(), "no ClickHouse engine found") {
			return // passed over, and this machine has no library
		}
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	if e.Kind() != "libchdb" {
		t.Errorf("kind %s, want libchdb", e.Kind())
	}
}

func TestDataIsNotHandedToAnotherKindOfEngine(t *testing.T) {
	cfg := config(t.TempDir())
	if err := os.WriteFile(filepath.Join(cfg.Dir, "kind"), []byte("clickhouse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Binary = "no-such-clickhouse"
	_, err := engine.Start(t.Context(), cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err == nil || !strings.Contains(err.Error(), "was made by clickhouse") {
		t.Errorf("want an error about the data's origin, got %v", err)
	}
}

func TestScriptAndProgramAgree(t *testing.T) {
	b, err := os.ReadFile("deps.sh")
	if err != nil {
		t.Fatal(err)
	}
	if want := "VERSION=" + engine.LibraryVersion + "\n"; !strings.Contains(string(b), want) {
		t.Errorf("internal/engine/deps.sh does not say %s", want)
	}
}
