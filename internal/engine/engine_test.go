package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/engine"
)

func TestMain(m *testing.M) {
	engine.MaybeServeChild()
	maybeServeParent()
	maybeServeFake()
	goleak.VerifyTestMain(m)
}

// start starts an engine in dir and stops it at the end of the test.
func start(t *testing.T, dir string) (*engine.Engine, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	e, err := engine.Start(t.Context(), config(dir), slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatalf("%v\n(the tests need an engine: run `make deps`)", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, reg
}

func config(dir string) engine.Config {
	cfg := engine.DefaultConfig()
	cfg.Dir = dir
	return cfg
}

func connect(t *testing.T, e *engine.Engine) driver.Conn {
	t.Helper()
	protocol := clickhouse.Native
	if e.Protocol() == engine.HTTP {
		protocol = clickhouse.HTTP
	}
	c, err := clickhouse.Open(&clickhouse.Options{
		Addr: []string{e.Addr()}, Protocol: protocol,
		Auth: clickhouse.Auth{Username: e.User(), Password: e.Password().Reveal()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// eventually waits until f returns nil.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("still: %v", err)
		case <-tick.C:
		}
	}
}

func TestKilledEngineComesBackWithItsData(t *testing.T) {
	t.Parallel()
	e, reg := start(t, t.TempDir())
	ctx := t.Context()
	c := connect(t, e)
	for _, sql := range []string{"CREATE DATABASE d", "CREATE TABLE d.t (n UInt64) ENGINE=MergeTree ORDER BY n", "INSERT INTO d.t SELECT number FROM numbers(1000)"} {
		if err := c.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	addr, password, pid := e.Addr(), e.Password().Reveal(), e.PID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if p := e.PID(); p == 0 || p == pid {
			return fmt.Errorf("process is %d", p)
		}
		return nil
	})
	var n uint64
	if err := connect(t, e).QueryRow(ctx, "SELECT count() FROM d.t").Scan(&n); err != nil || n != 1000 {
		t.Fatalf("after the restart: %d rows, %v; want 1000", n, err)
	}
	if e.Addr() != addr || e.Password().Reveal() != password {
		t.Error("address or password changed over the restart")
	}
	families, err := reg.Gather()
	if err != nil || len(families) != 1 || families[0].GetMetric()[0].GetCounter().GetValue() != 1 {
		t.Errorf("restarts metric: %v, %v; want 1", families, err)
	}
}

func TestStopsAndStartsAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := engine.Start(t.Context(), config(dir), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := connect(t, first).Exec(t.Context(), "CREATE DATABASE kept"); err != nil {
		t.Fatal(err)
	}
	pid := first.PID()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the child lives on after Close: %v", err)
	}
	second, _ := start(t, dir)
	var n uint64
	if err := connect(t, second).QueryRow(t.Context(), "SELECT count() FROM system.databases WHERE name = 'kept'").Scan(&n); err != nil || n != 1 {
		t.Errorf("the database is gone after a restart: %d, %v", n, err)
	}
}

func TestFolderIsPrivateAndHoldsNoPassword(t *testing.T) {
	dir := t.TempDir()
	e, _ := start(t, dir)
	for _, name := range []string{"config.xml", "users.xml", "lock", "kind"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), e.Password().Reveal()) {
			t.Errorf("%s holds the password", name)
		}
		if st, _ := os.Stat(filepath.Join(dir, name)); st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, st.Mode())
		}
	}
}

func TestReachesNothingOutside(t *testing.T) {
	t.Parallel()
	e, _ := start(t, t.TempDir())
	c := connect(t, e)
	for _, sql := range []string{
		"SELECT * FROM file('/etc/hostname', 'CSV', 'a String')",
		"SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
		"SELECT * FROM s3('http://127.0.0.1:1/bucket/key', 'CSV', 'a String')",
		"SELECT * FROM remote('127.0.0.1:1', system, one)",
		"SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')",
		"CREATE TABLE system.x (a String) ENGINE=File(CSV)",
		"CREATE DATABASE m ENGINE=MySQL('127.0.0.1:1', 'd', 'u', 'p')",
		"CREATE USER other",
		"SELECT 1 INTO OUTFILE '/nowhere/x'",
		"INSERT INTO FUNCTION file('/nowhere/x', 'CSV', 'a String') SELECT '1'",
		"INSERT INTO system.x FROM INFILE '/etc/hostname' FORMAT CSV",
	} {
		var ex *clickhouse.Exception
		if err := c.Exec(t.Context(), sql); !errors.As(err, &ex) || ex.Code != 497 {
			t.Errorf("%s: %v, want exception 497 (access denied)", sql, err)
		}
	}
}

func TestFolderInUse(t *testing.T) {
	t.Parallel() // it waits 20 s for the lock
	dir := t.TempDir()
	start(t, dir)
	_, err := engine.Start(t.Context(), config(dir), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err == nil || !strings.Contains(err.Error(), "in use by another engine") {
		t.Errorf("a second engine in one folder: %v", err)
	}
}

func TestNoEngine(t *testing.T) {
	t.Setenv("PATH", "")
	t.Setenv(engine.LibraryEnv, "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	_, err := engine.Start(context.Background(), config(t.TempDir()), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err == nil || !strings.Contains(err.Error(), "make deps") || !strings.Contains(err.Error(), "store.addrs") {
		t.Errorf("error does not say what to do: %v", err)
	}
}

func TestLibraryThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(file, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config(t.TempDir())
	cfg.Library, cfg.Binary = file, "no-such-clickhouse"
	_, err := engine.Start(t.Context(), cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("want an error naming %s, got %v", file, err)
	}
}
