// Package storetest gives tests a store: a database of their own in one engine that the whole test binary shares, or in the
// server that the environment names.
package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/engine"
	"github.com/warder/warder/internal/store"
)

// Env is the environment variable that names a ClickHouse server to test with:
// clickhouse://user:password@host:port (native) or http://user:password@host:port.
const Env = "WARDER_CLICKHOUSE"

// shared is the test binary's engine. It is process-wide state, which a test binary may have: starting an engine for each test
// would cost half a second each.
var shared struct {
	main bool // Main was called
	once sync.Once
	dir  string
	eng  *engine.Engine
	cfg  store.Config
	err  error
}

// Main runs a package's tests and stops the engine after them. TestMain calls it, before anything else:
//
//	func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
func Main(m interface{ Run() int }) int {
	engine.MaybeServeChild()
	shared.main = true
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "storetest:", err)
		return 1
	}
	return code
}

func stop() error {
	if shared.eng == nil {
		return nil
	}
	return errors.Join(shared.eng.Close(), os.RemoveAll(shared.dir))
}

// Config returns the configuration of a fresh database, dropped when the test ends. The test fails when there is no engine.
func Config(t testing.TB) store.Config {
	t.Helper()
	start(t)
	if shared.err != nil {
		t.Fatalf("no ClickHouse to test with: run `make deps`, or set %s=clickhouse://user:password@host:port: %v", Env, shared.err)
	}
	cfg := shared.cfg
	cfg.Database = "t_" + strings.ToLower(rand.Text())
	t.Cleanup(func() { drop(t, cfg) })
	return cfg
}

// Open returns a store on a fresh database. It is closed, and the database dropped, when the test ends.
func Open(t testing.TB) *store.Store {
	t.Helper()
	return OpenConfig(t, Config(t))
}

// OpenConfig opens a store that is closed when the test ends.
func OpenConfig(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := store.Open(ctx, cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Engine returns the shared engine, for tests that kill it; nil when the environment names a server.
func Engine(t testing.TB) *engine.Engine {
	t.Helper()
	start(t)
	return shared.eng
}

// start starts the engine once. It runs in a copy of the test binary, which without Main would run the tests again instead of the engine, and so on.
func start(t testing.TB) {
	t.Helper()
	if !shared.main {
		t.Fatal("the package has no TestMain that calls storetest.Main: func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }")
	}
	shared.once.Do(begin)
}

// Conn returns a plain connection to the database, closed when the test ends: for looking at tables past the store.
func Conn(t testing.TB, cfg store.Config) clickhouse.Conn {
	t.Helper()
	c, err := connect(cfg, cfg.Database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func connect(cfg store.Config, database string) (clickhouse.Conn, error) {
	protocol := clickhouse.Native
	if cfg.Protocol == store.HTTP {
		protocol = clickhouse.HTTP
	}
	return clickhouse.Open(&clickhouse.Options{
		Addr: cfg.Addrs, Protocol: protocol,
		Auth: clickhouse.Auth{Database: database, Username: cfg.Username, Password: cfg.Password.Reveal()},
	})
}

func begin() {
	shared.cfg = store.DefaultConfig()
	if dsn := os.Getenv(Env); dsn != "" {
		shared.err = server(dsn)
		return
	}
	if shared.dir, shared.err = os.MkdirTemp("", "warder-engine-"); shared.err != nil {
		return
	}
	ecfg := engine.DefaultConfig()
	ecfg.Dir = shared.dir
	shared.eng, shared.err = engine.Start(context.Background(), ecfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if shared.err != nil {
		_ = os.RemoveAll(shared.dir)
		return
	}
	shared.cfg.Addrs = []string{shared.eng.Addr()}
	shared.cfg.Protocol = shared.eng.Protocol()
	shared.cfg.Username, shared.cfg.Password = shared.eng.User(), shared.eng.Password()
}

// server takes the address of a server from the environment.
func server(dsn string) error {
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%s is not scheme://user:password@host:port", Env) // without the text, which holds a password
	}
	switch u.Scheme {
	case "clickhouse", "tcp":
		shared.cfg.Protocol = store.Native
	case "http":
		shared.cfg.Protocol = store.HTTP
	default:
		return fmt.Errorf("%s: unknown scheme %.20q: write clickhouse or http", Env, u.Scheme)
	}
	shared.cfg.Addrs = []string{u.Host}
	if name := u.User.Username(); name != "" {
		shared.cfg.Username = name
	}
	password, _ := u.User.Password()
	shared.cfg.Password = config.NewSecret(password)
	return nil
}

func drop(t testing.TB, cfg store.Config) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := connect(cfg, "")
	if err == nil {
		err = c.Exec(ctx, "DROP DATABASE IF EXISTS `"+cfg.Database+"`")
		_ = c.Close()
	}
	if err != nil {
		t.Errorf("drop the test's database: %v", err)
	}
}
