package app

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"log/slog"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
)

// Pauses of the acknowledgements.
const (
	ackSettle = 50 * time.Millisecond // collects what a burst of decisions moves
	ackEvery  = 10 * time.Second      // also when nothing moved: it says that the gateway lives
)

// acks writes the acknowledgements of this process's gateways to the bus. It is safe for concurrent use.
type acks struct {
	bus *bus.Client
	log *slog.Logger
	set *active.Set

	mu       sync.Mutex
	inMemory map[string]string       // gateways that answer from the set: name to kind
	latest   map[string]decision.Ack // not written yet
	moved    chan struct{}           // capacity 1
}

func newAcks(b *bus.Client, set *active.Set, log *slog.Logger) *acks {
	return &acks{bus: b, log: log, set: set, inMemory: map[string]string{}, latest: map[string]decision.Ack{}, moved: make(chan struct{}, 1)}
}

// answersFromMemory adds a gateway that has a decision in force as soon as the set has it.
func (k *acks) answersFromMemory(name, kind string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.inMemory[name] = kind
}

// put takes an acknowledgement of a gateway with a state of its own.
func (k *acks) put(a decision.Ack) {
	k.mu.Lock()
	k.latest[a.Gateway] = a
	k.mu.Unlock()
	k.wake()
}

func (k *acks) wake() {
	select {
	case k.moved <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends, and then that the gateways were stopped in order.
func (k *acks) Run(ctx context.Context) error {
	t := time.NewTicker(ackEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			k.write(end, true)
			return nil
		case <-k.moved:
			select {
			case <-time.After(ackSettle):
			case <-ctx.Done():
			}
		case <-t.C:
		}
		k.write(ctx, false)
	}
}

// write sends what is due. What fails is logged: the next one says the same and more.
func (k *acks) write(ctx context.Context, left bool) {
	var recs []bus.Record
	for _, a := range k.due(left) {
		v, err := a.Encode()
		if err != nil {
			k.log.Error("cannot encode an acknowledgement", "gateway", a.Gateway, "error", err)
			continue
		}
		recs = append(recs, bus.Record{Topic: bus.TopicAcks, Partition: bus.AnyPartition, Key: a.Key(), Value: v})
	}
	if err := k.bus.Produce(ctx, recs...); err != nil && ctx.Err() == nil {
		k.log.Warn("cannot acknowledge decisions; the enforcer will say that this gateway is behind", "error", err)
	}
}

func (k *acks) due(left bool) []decision.Ack {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := slices.Collect(maps.Values(k.latest))
	clear(k.latest)
	for name, kind := range k.inMemory {
		out = append(out, decision.Ack{Version: decision.Version, Gateway: name, Kind: kind, Offset: k.set.Position(), Held: k.set.Len(),
			At: time.Now().UTC(), Left: left})
	}
	slices.SortFunc(out, func(a, b decision.Ack) int { return slices.Compare(a.Key(), b.Key()) })
	return out
}
