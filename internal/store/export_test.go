package store

import (
	"context"
	"log/slog"
)

// SetStep has f called before each step of a block: "journal", "events", "rollups", "done", "recover".
func (w *EventWriter) SetStep(f func(name string) error) { w.step = f }

// OpenWithoutKeeper opens a store in cluster mode on the embedded engine, which has no Keeper: without ON CLUSTER and the replicated engines.
func OpenWithoutKeeper(ctx context.Context, cfg Config) (*Store, error) {
	on := newCluster(cfg)
	on.keeperless = true
	return open(ctx, cfg, on, slog.New(slog.DiscardHandler), nil)
}

// ShardingKeys tells by what the rows of each table are sent to shards.
func ShardingKeys() map[string]string { return shardingKeys() }
