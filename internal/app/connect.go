package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/store"
)

// ErrUnreachable is returned by Connect when a server could not be reached.
var ErrUnreachable = errors.New("not every server could be reached")

// Connect tries to reach the configured servers and tells of each. Embedded ones are left out: they come with Warder. It
// migrates nothing.
func Connect(ctx context.Context, cfg Config, tell func(what string, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	failed := false
	report := func(what string, err error) {
		failed = failed || err != nil
		tell(what, err)
	}
	if !cfg.Kafka.IsEmbedded() {
		report("kafka", pingBus(ctx, cfg.Kafka.Config, log))
	}
	if len(cfg.Store.Addrs) > 0 {
		report("clickhouse", store.Reach(ctx, cfg.Store))
	}
	if failed {
		return ErrUnreachable
	}
	return nil
}

func pingBus(ctx context.Context, cfg bus.Config, log *slog.Logger) error {
	c, err := bus.New(cfg, log, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	return errors.Join(c.Ping(ctx), c.Close())
}
