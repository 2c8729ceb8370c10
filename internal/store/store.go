package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/privacy"
)

// Store is a connection to the database. Its methods are safe for concurrent use.
type Store struct {
	cfg     Config
	conn    driver.Conn
	log     *slog.Logger
	cluster cluster
	metrics *metrics
	names   *privacy.Pseudonyms

	triaging sync.Mutex // held from reading what an alert's last change is until the next one is in the table
}

// Open connects, makes the database where it is missing and brings its schema up to date. Its errors name the address and say
// what to do: server away, wrong password, certificate not trusted, schema newer than this program. reg may be nil.
func Open(ctx context.Context, cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	return open(ctx, cfg, newCluster(cfg), log, reg)
}

func open(ctx context.Context, cfg Config, on cluster, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if len(cfg.Addrs) == 0 {
		return nil, fmt.Errorf("store: %w", config.Errorf("addrs", "is empty: name a ClickHouse server, or start the embedded engine and use its address"))
	}
	names, err := privacy.New(cfg.Privacy)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, fmt.Errorf("store: register metrics: %w", err)
	}
	if err = createDatabase(ctx, cfg, on); err != nil {
		return nil, err
	}
	o, err := cfg.options(cfg.Database)
	if err != nil {
		return nil, err
	}
	o.Settings = on.settings()
	conn, err := clickhouse.Open(o)
	if err != nil {
		return nil, cfg.explain("connect", err)
	}
	s := &Store{cfg: cfg, conn: conn, log: log, cluster: on, metrics: m, names: names}
	if err = s.checkPlace(ctx); err == nil {
		err = s.migrate(ctx)
	}
	if err == nil {
		err = s.applyRetention(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

// createDatabase makes the database over a connection of its own, because one cannot connect to a database that is not there.
func createDatabase(ctx context.Context, cfg Config, on cluster) error {
	o, err := cfg.options("")
	if err != nil {
		return err
	}
	o.Settings = on.settings()
	conn, err := clickhouse.Open(o)
	if err != nil {
		return cfg.explain("connect", err)
	}
	defer func() { _ = conn.Close() }()
	if err = conn.Ping(ctx); err != nil {
		return cfg.explain("connect", err)
	}
	if err = on.checkServers(ctx, conn, cfg); err != nil {
		return err
	}
	var there uint64
	err = conn.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = {name:String}", clickhouse.Named("name", cfg.Database)).Scan(&there)
	if err != nil {
		return cfg.explain("look for the database", err)
	}
	if there > 0 {
		return nil
	}
	// The name is validated: letters, digits and _.
	err = retryRace(ctx, func() error { return conn.Exec(ctx, on.createDatabase()) })
	if err != nil {
		return cfg.explain("make the database "+cfg.Database, err)
	}
	return nil
}

// Names are the pseudonyms under which people are stored; nil when they are stored under their names.
func (s *Store) Names() *privacy.Pseudonyms { return s.names }

// Ping tells whether ClickHouse answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.conn.Ping(ctx); err != nil {
		return s.cfg.explain("ping", err)
	}
	var one uint8
	if err := s.conn.QueryRow(ctx, "SELECT 1").Scan(&one); err != nil {
		return s.cfg.explain("ping", err)
	}
	return nil
}

// Close closes the connections. No other method may be running or called after it.
func (s *Store) Close() error {
	if err := s.conn.Close(); err != nil {
		return s.cfg.explain("close", err)
	}
	return nil
}
