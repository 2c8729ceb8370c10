// Package engine runs the embedded ClickHouse: a process of its own on loopback that the store reaches like any other server.
//
// The engine is a `clickhouse` binary when there is one, else libchdb, loaded by a re-executed copy of this very program (see
// [ChildCommand]). Either way the child cannot outlive its parent, is started again when it dies, keeps its address and
// password, and takes its configuration from a pipe, so that the password is neither in its arguments nor in its environment.
package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/config"
)

// Config says where the embedded engine keeps its data and how much it may take.
type Config struct {
	// Dir is the engine's own folder; made when it is not there.
	Dir string `yaml:"dir"`
	// Binary names a `clickhouse` binary; "" looks on the PATH.
	Binary string `yaml:"binary"`
	// Library names a libchdb.so; "" looks at WARDER_CHDB_LIB and then where internal/engine/deps.sh puts it.
	Library string `yaml:"library"`
	// Memory bounds what the engine's statements and caches take together.
	Memory config.Bytes `yaml:"memory"`
	// Concurrent is how many statements run at once; more wait.
	Concurrent int `yaml:"concurrent"`
	// Priority is "auto": the engine gets what nobody else wants, and while that is next to nothing a tenth of a busy processor for five seconds of
	// six; or "low": always a tenth. Auto keeps blocks fast on a small machine; it is low where the system is not Linux.
	Priority string `yaml:"priority"`
}

// The priorities.
const (
	priorityAuto = "auto"
	priorityLow  = "low"
)

// minMemory is what the engine needs to merge parts at all.
const minMemory = 256 << 20

// DefaultConfig returns the defaults; Dir is for the caller to set.
func DefaultConfig() Config {
	return Config{Memory: 2 << 30, Concurrent: 16, Priority: priorityAuto}
}

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	if c.Priority != "" && c.Priority != priorityLow && c.Priority != priorityAuto {
		errs = append(errs, config.Errorf("priority", "%.20q is unknown: want auto or low", c.Priority))
	}
	if c.Memory < minMemory {
		errs = append(errs, config.Errorf("memory", "%d bytes are too few, the engine needs 256MiB", c.Memory))
	}
	if c.Concurrent < 1 || c.Concurrent > 1000 {
		errs = append(errs, config.Errorf("concurrent", "%d is not between 1 and 1000", c.Concurrent))
	}
	return errors.Join(errs...)
}

// Protocols by which an engine is reached; the names are those of the store's configuration.
const (
	HTTP   = "http"
	Native = "native"
)

// user is the one user that the engine knows.
const user = "warder"

// Engine is a running engine. Its methods are safe for concurrent use.
type Engine struct {
	kind     kind
	addr     string
	password config.Secret
	listener *net.TCPListener // held here so that the address stays ours while the child is down; nil for a clickhouse binary
	log      *slog.Logger
	spec     childSpec
	restarts prometheus.Counter

	pid  atomic.Int64
	stop context.CancelFunc
	done chan struct{}
}

// Start finds an engine and starts it; it returns when the engine answers. ctx bounds the start only: the engine runs until
// Close. When another process holds the folder, as a dying predecessor's child may for a moment, it waits up to 20 s.
func Start(ctx context.Context, cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Engine, error) {
	if cfg.Dir == "" {
		return nil, config.Errorf("dir", "missing: the embedded engine needs a folder for its data")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded engine: %w", err)
	}
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded engine: make its data folder: %w (engine.dir, by default below data_dir)", err)
	}
	found, err := find(ctx, cfg, dir, log)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		kind:     found.kind,
		password: config.NewSecret(rand.Text() + rand.Text()),
		log:      log,
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "warder_engine_restarts_total", Help: "How often the embedded ClickHouse engine died and was started again.",
		}),
		done: make(chan struct{}),
	}
	if err = reg.Register(e.restarts); err != nil {
		return nil, fmt.Errorf("embedded engine: register metrics: %w", err)
	}
	if err = e.listen(); err != nil {
		return nil, err
	}
	e.spec = childSpec{
		Kind: found.kind, Path: found.path, Dir: dir, Addr: e.addr, User: user, Password: e.password.Reveal(),
		Memory: int64(cfg.Memory), Concurrent: cfg.Concurrent, Yield: cfg.Priority == priorityAuto,
	}
	if err = e.begin(ctx); err != nil {
		e.unlisten()
		return nil, err
	}
	return e, nil
}

// listen chooses the address.
func (e *Engine) listen() error {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return fmt.Errorf("embedded engine: listen on loopback: %w", err)
	}
	e.addr = l.Addr().String()
	if e.kind == library {
		e.listener = l
		return nil
	}
	return l.Close() // the binary takes a port number, not a socket
}

func (e *Engine) unlisten() {
	if e.listener != nil {
		_ = e.listener.Close()
	}
}

// Addr returns the engine's "127.0.0.1:port"; it stays the same over restarts.
func (e *Engine) Addr() string { return e.addr }

// User returns the name to log in with.
func (e *Engine) User() string { return user }

// Password returns the random password; it stays the same over restarts.
func (e *Engine) Password() config.Secret { return e.password }

// Protocol returns HTTP or Native.
func (e *Engine) Protocol() string {
	if e.kind == library {
		return HTTP
	}
	return Native
}

// Kind names the engine for people: "libchdb" or "clickhouse".
func (e *Engine) Kind() string { return string(e.kind) }

// PID returns the child's process id, 0 while there is none.
func (e *Engine) PID() int { return int(e.pid.Load()) }

// Close stops the engine and waits until its process is gone: it is asked first, and killed after 15 s. Nothing that was
// acknowledged is lost either way.
func (e *Engine) Close() error {
	e.stop()
	<-e.done
	e.unlisten()
	return nil
}
