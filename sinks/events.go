package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/event"
)

// eventBatch is the most events in one call of SendEvents; maxTaps the taps whose high-water mark a partition keeps.
const (
	eventBatch = MaxBatch
	maxTaps    = 4096
)

// eventPartition hands one partition's access events to a SIEM, at least once: it tries for ever, which holds up this partition
// of this sink only and shows as the group's lag.
type eventPartition struct {
	d       *Dispatcher
	name    string
	sender  *sender[*event.Event]
	high    *highWater
	judged  int64 // records below this offset were counted and set aside already, should Handle be repeated
	log     *slog.Logger
	metrics *sinkMetrics
}

// pending is an event with the record that it came in.
type pending struct {
	event *event.Event
	rec   bus.Record
}

// Handle implements bus.Partition.
func (p *eventPartition) Handle(ctx context.Context, recs []bus.Record) error {
	todo, err := p.pick(ctx, recs)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(todo, eventBatch) {
		if err := p.send(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// pick returns the events that are new, in order.
func (p *eventPartition) pick(ctx context.Context, recs []bus.Record) ([]pending, error) {
	var out []pending
	marks := make(map[string]uint64)
	for _, r := range recs {
		again := r.Offset < p.judged
		e, err := event.Decode(r.Value)
		switch {
		case err != nil && again:
		case err != nil:
			if err := p.d.client.DeadLetter(ctx, r, Group(p.name)+".events", err); err != nil {
				return nil, fmt.Errorf("sink %s: %w", p.name, err)
			}
			p.metrics.event(undecodable)
		case e.Kind == event.Heartbeat:
		case e.Seq > max(p.high.of(e.Tap), marks[e.Tap]):
			marks[e.Tap] = e.Seq
			out = append(out, pending{e, r})
		case !again:
			p.metrics.event(repeated)
		}
		p.judged = max(p.judged, r.Offset+1)
	}
	return out, nil
}

// send sends a batch. The high-water marks advance with what is certain, in order.
func (p *eventPartition) send(ctx context.Context, batch []pending) error {
	events := make([]*event.Event, len(batch))
	for i, it := range batch {
		events[i] = it.event
	}
	for i, err := range p.sender.deliver(ctx, events, now()) {
		var final *finalError
		o := delivered
		switch {
		case errors.As(err, &final):
			o = failed
			p.log.Error("event was not delivered, it is in the dead letters", "event", events[i].ID, "error", err)
			if err := p.d.client.DeadLetter(ctx, batch[i].rec, Group(p.name)+".events", err); err != nil {
				return fmt.Errorf("sink %s: %w", p.name, err)
			}
		case err != nil:
			return err
		}
		p.metrics.event(o)
		p.high.set(events[i].Tap, events[i].Seq)
	}
	return nil
}

// Close implements bus.Partition; there is nothing to flush.
func (p *eventPartition) Close(context.Context) error { return nil }

// highWater keeps the highest number seen of each tap, for at most limit taps; the one that was silent longest is forgotten. A
// forgotten tap's repeats are sent again, which at least once allows.
type highWater struct {
	limit int
	clock uint64
	taps  map[string]*mark
}

type mark struct{ seq, used uint64 }

func newHighWater(limit int) *highWater {
	return &highWater{limit: limit, taps: make(map[string]*mark)}
}

func (h *highWater) of(tap string) uint64 {
	if m := h.taps[tap]; m != nil {
		return m.seq
	}
	return 0
}

func (h *highWater) set(tap string, seq uint64) {
	h.clock++
	m := h.taps[tap]
	if m == nil {
		if len(h.taps) >= h.limit {
			h.evict()
		}
		m = new(mark)
		h.taps[tap] = m
	}
	m.seq, m.used = max(m.seq, seq), h.clock
}

func (h *highWater) evict() {
	oldest, used := "", uint64(math.MaxUint64)
	for tap, m := range h.taps {
		if m.used < used {
			oldest, used = tap, m.used
		}
	}
	delete(h.taps, oldest)
}
