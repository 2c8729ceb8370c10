package app

import (
	"context"
	"time"

	"github.com/warder/warder/detector/stage"
	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/store/ingest"
)

// drainTime bounds how long a stopping `up` waits for its own pipeline. What is left then waits on the bus.
const drainTime = 5 * time.Second

// drain waits until everything that the taps handed on has been detected, decided and stored, so that a stopped Warder has
// nothing under way. Only a process that runs every role can know when that is. It gives up when the pipeline has ended.
func (a *App) drain(ctx context.Context, ended <-chan struct{}) {
	select {
	case <-a.up:
	default:
		return // it never came up
	}
	select {
	case <-ended:
		return // a stage failed
	default:
	}
	if len(a.roles) < len(Roles()) || !a.cfg.Kafka.IsEmbedded() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !a.drained(ctx) {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			a.log.Warn("stopping before everything was processed; the rest waits on the bus for the next start")
			return
		case <-tick.C:
		}
	}
}

// drained looks at the stages in the order of the flow, so that what one hands to the next is seen there.
func (a *App) drained(ctx context.Context) bool {
	for _, g := range []struct{ group, topic string }{
		{stage.GroupEvents, bus.TopicEvents},
		{stage.GroupMatches, bus.TopicMatches},
		{enforcer.Group, bus.TopicAlerts},
		{ingest.GroupEvents, bus.TopicEvents},
		{ingest.GroupAlerts, bus.TopicAlerts},
		{ingest.GroupDecisions, bus.TopicDecisions},
	} {
		if lag, err := a.bus.Lag(ctx, g.group, g.topic); err != nil || lag > 0 {
			return false
		}
	}
	return true
}
