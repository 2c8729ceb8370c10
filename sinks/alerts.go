package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
)

// alertPartition delivers one partition's alerts to one sink. It owns the memory of what this partition delivered and what it
// still has to write down about it.
type alertPartition struct {
	d        *Dispatcher
	receiver *Receiver
	number   int
	batcher  *batcher
	seen     *memory
	judged   int64 // records below this offset were counted and set aside already, should Handle be repeated
	log      *slog.Logger
	metrics  *sinkMetrics

	// Owed to the bus: what happened must be recorded before the offset is committed, also when Handle is repeated.
	dead       []deadLetter
	deliveries []bus.Record
}

type deadLetter struct {
	rec    bus.Record
	reason error
}

// item is an alert with the record that it came in.
type item struct {
	alert *alert.Alert
	rec   bus.Record
}

// restore reads what was delivered before this member had the partition. A record that cannot be read says nothing: its alert
// may be sent again, which is better than not at all.
func (p *alertPartition) restore(ctx context.Context) error {
	unreadable, last := 0, error(nil)
	err := p.d.client.ReadPartition(ctx, bus.TopicDeliveries, p.number, func(r bus.Record) error {
		id, ok := remembered(p.receiver.Common.Name, r.Key)
		switch {
		case !ok:
		case r.Value == nil:
			p.seen.remove(id)
		default:
			if err := decodeDelivery(r.Value, p.receiver.Common.Name, id); err != nil {
				unreadable, last = unreadable+1, err
				return nil
			}
			p.seen.add(id, r.Time)
		}
		return nil
	})
	if unreadable > 0 {
		p.metrics.unreadable.Add(float64(unreadable))
		p.log.Error("delivery records cannot be read; they are ignored", "topic", bus.TopicDeliveries, "partition", p.number, "records", unreadable, "error", last)
	}
	if err != nil {
		return fmt.Errorf("sink %s: restore deliveries of partition %d: %w", p.receiver.Common.Name, p.number, err)
	}
	p.forget()
	return nil
}

// Handle implements bus.Partition: it returns nil when every alert was delivered, refused or not meant for the sink, and that is
// written down.
func (p *alertPartition) Handle(ctx context.Context, recs []bus.Record) error {
	items := p.pick(recs)
	if err := p.save(ctx); err != nil {
		return err
	}
	for part := range slices.Chunk(items, p.receiver.Common.MaxAlerts) {
		if err := p.send(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// Close implements bus.Partition: it writes down what is still owed.
func (p *alertPartition) Close(ctx context.Context) error { return p.save(ctx) }

// pick returns the alerts that are to be sent, and counts the others.
func (p *alertPartition) pick(recs []bus.Record) []item {
	var out []item
	batch := make(map[string]bool)
	for _, r := range recs {
		again := r.Offset < p.judged
		p.judged = max(p.judged, r.Offset+1)
		a, o, err := p.judge(r)
		if o == delivered && batch[a.ID] {
			o = repeated
		}
		switch {
		case o == delivered:
			batch[a.ID] = true
			out = append(out, item{a, r})
		case again:
		case err != nil:
			p.dead = append(p.dead, deadLetter{r, err})
			p.metrics.alert(o)
		default:
			p.metrics.alert(o)
			p.d.tellDropped(p.receiver, a, o)
		}
	}
	return out
}

// judge decodes a record and tells whether its alert is to be sent; err says why it cannot be decoded.
func (p *alertPartition) judge(r bus.Record) (*alert.Alert, outcome, error) {
	a, err := alert.Decode(r.Value)
	if err != nil {
		return nil, undecodable, err
	}
	if p.seen.has(a.ID) {
		return a, repeated, nil
	}
	return a, route(&p.receiver.Common, p.d.cfg.Silences, a, time.Since(r.Time)), nil
}

// send sends one message's worth and writes down what became of it. What is certain is remembered at once, so that a repeated
// Handle does not send it again.
func (p *alertPartition) send(ctx context.Context, items []item) error {
	alerts := make([]*alert.Alert, len(items))
	for i, it := range items {
		alerts[i] = it.alert
	}
	var open error
	for i, err := range p.batcher.submit(ctx, alerts) {
		var final *finalError
		switch {
		case err == nil:
			p.metrics.delay.Observe(time.Since(items[i].rec.Time).Seconds())
			p.record(items[i], delivered)
		case errors.As(err, &final):
			p.log.Error("alert was not delivered, it is in the dead letters", "alert", items[i].alert.ID, "rule", items[i].alert.Rule, "error", err)
			p.dead = append(p.dead, deadLetter{items[i].rec, err})
			p.record(items[i], failed)
		default:
			open = err
		}
	}
	return errors.Join(p.save(ctx), open)
}

func (p *alertPartition) record(it item, o outcome) {
	p.metrics.alert(o)
	t := now()
	p.seen.add(it.alert.ID, t)
	r, err := encodeDelivery(p.receiver.Common.Name, p.number, it.alert.ID, o, t)
	if err != nil { // a struct of texts and a time always encodes
		p.log.Error("delivery was not recorded", "alert", it.alert.ID, "error", err)
		return
	}
	p.deliveries = append(p.deliveries, r)
	p.forget()
}

// forget keeps the memory, and with it the topic, within its bounds.
func (p *alertPartition) forget() {
	for _, id := range p.seen.forget(now()) {
		p.deliveries = append(p.deliveries, tombstone(p.receiver.Common.Name, p.number, id))
	}
}

// save writes down what is owed. What was written is owed no longer, also when the rest fails.
func (p *alertPartition) save(ctx context.Context) error {
	for len(p.dead) > 0 {
		if err := p.d.client.DeadLetter(ctx, p.dead[0].rec, Group(p.receiver.Common.Name), p.dead[0].reason); err != nil {
			return fmt.Errorf("sink %s: %w", p.receiver.Common.Name, err)
		}
		p.dead = p.dead[1:]
	}
	if len(p.deliveries) == 0 {
		return nil
	}
	if err := p.d.client.Produce(ctx, p.deliveries...); err != nil {
		return fmt.Errorf("sink %s: record deliveries: %w", p.receiver.Common.Name, err)
	}
	p.deliveries = nil
	return nil
}
