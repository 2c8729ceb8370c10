package stage

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/rules"
)

// The consumer groups.
const (
	GroupEvents  = "warder.detector"
	GroupMatches = "warder.detector.matches"
)

// name is how the stage signs dead letters.
const name = "detector"

// Stage detects on the partitions that the consumer groups assign to this process. Any number of processes share the work.
type Stage struct {
	cfg     Config
	client  *bus.Client
	set     atomic.Pointer[rules.Set]
	log     *slog.Logger
	metrics *metrics
}

// New returns a stage that does nothing until Run. The rules apply until Use names others.
func New(cfg Config, client *bus.Client, set *rules.Set, log *slog.Logger, reg prometheus.Registerer) (*Stage, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("detector configuration: %w", err)
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	s := &Stage{cfg: cfg, client: client, log: log, metrics: m}
	s.set.Store(set)
	if reg != nil {
		if err := reg.Register(newRuleErrors(s)); err != nil {
			return nil, fmt.Errorf("register detector metrics: %w", err)
		}
	}
	return s, nil
}

// Use goes on with another set of rules: each partition takes it up before the next records that it is handed, and keeps the
// windows of the rules that did not change. Matches that were forwarded for a rule, or a version of it, that is gone are counted
// as stale. Safe to call while Run runs.
func (s *Stage) Use(set *rules.Set) { s.set.Store(set) }

// Run detects until ctx ends, and then saves each partition's state. The topics must exist.
func (s *Stage) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.client.Consume(ctx, GroupEvents, bus.TopicEvents, s.openEvents) })
	g.Go(func() error { return s.client.Consume(ctx, GroupMatches, bus.TopicMatches, s.openMatches) })
	if err := g.Wait(); err != nil {
		return fmt.Errorf("detector: %w", err)
	}
	return nil
}

func (s *Stage) openEvents(ctx context.Context, n int) (bus.Partition, int64, error) {
	p := s.newPartition(bus.TopicEvents, n)
	p.take = p.takeEvent
	var err error
	if p.inputs, err = s.client.Partitions(ctx, bus.TopicEvents); err != nil {
		return nil, 0, err
	}
	if p.outputs, err = s.client.Partitions(ctx, bus.TopicMatches); err != nil {
		return nil, 0, err
	}
	start, err := p.open(ctx)
	return p, start, err
}

func (s *Stage) openMatches(ctx context.Context, n int) (bus.Partition, int64, error) {
	p := s.newPartition(bus.TopicMatches, n)
	p.take = p.takeMatch
	start, err := p.open(ctx)
	return p, start, err
}
