package store

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/warder/warder/internal/config"
)

// Reach tells whether the server can be reached and lets the user in, and changes nothing there. Its errors are like Open's.
func Reach(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if len(cfg.Addrs) == 0 {
		return fmt.Errorf("store: %w", config.Errorf("addrs", "is empty"))
	}
	o, err := cfg.options("")
	if err != nil {
		return err
	}
	conn, err := clickhouse.Open(o)
	if err != nil {
		return cfg.explain("connect", err)
	}
	defer func() { _ = conn.Close() }()
	if err = conn.Ping(ctx); err != nil {
		return cfg.explain("connect", err)
	}
	return nil
}
