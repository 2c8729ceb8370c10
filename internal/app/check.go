package app

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/collector/enrich"
	"github.com/warder/warder/collector/gateway"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision/active"
	"github.com/warder/warder/rules"
)

// Check constructs what a valid configuration describes, as far as that needs no server and leaves nothing behind, and returns
// its rules: so faults in files that it names show before a start. Errors are config.FieldErrors and rules.Errors.
func Check(cfg Config) (*rules.Set, error) {
	set, err := LoadRules(cfg.Rules, nil)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if !cfg.Kafka.IsEmbedded() {
		b, err := bus.New(cfg.Kafka.Config, log, prometheus.NewRegistry())
		if err != nil {
			return nil, config.In("kafka", err)
		}
		if err := b.Close(); err != nil {
			return nil, err
		}
	}
	if _, err := newReceivers(cfg.Sinks, log, prometheus.NewRegistry()); err != nil {
		return nil, err
	}
	if _, err := enrich.New(cfg.Collector.Enrich, log, nil); err != nil {
		return nil, config.In("collector.enrich", err)
	}
	if len(cfg.Gateway.Routes) > 0 {
		if err := checkGateway(cfg.Gateway, log); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// checkGateway makes a gateway whose state lies in a folder that is removed again.
func checkGateway(cfg gateway.Config, log *slog.Logger) (err error) {
	dir, err := os.MkdirTemp("", "warder-check-")
	if err != nil {
		return fmt.Errorf("check gateway: %w", err)
	}
	defer os.RemoveAll(dir)
	cfg.DataDir = dir
	set, err := active.Open(filepath.Join(dir, "decisions.json"), log)
	if err != nil {
		return err
	}
	_, err = gateway.New(cfg, set, log, prometheus.NewRegistry())
	if closeErr := set.Close(); err == nil && closeErr != nil {
		return fmt.Errorf("check gateway: %w", closeErr)
	}
	return config.In("gateway", err)
}
