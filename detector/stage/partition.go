package stage

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// partition detects on one partition of events or of matches. The bus calls it from one goroutine.
type partition struct {
	*Stage
	topic string
	no    int
	take  func(*bus.Record) error // processes one record; an error says that it cannot be decoded

	shard *detector.Shard
	rules *rules.Set // that the shard detects with
	marks *marks
	saver saver
	// inputs and outputs are how many partitions the topics of events and of matches have, for the clocks that are forwarded.
	inputs, outputs int
	seen            detector.Stats // what the metrics know
	begun           bool           // a record was handled
	fresh           bool           // there was no checkpoint to start from
	next            int64          // offset of the record to process next
	record          *bus.Record    // the one in hand

	alerts []*alert.Alert
	out    []bus.Record // made, not yet acknowledged
	times  []time.Time  // event times of the alerts in out
}

var _ bus.Partition = (*partition)(nil)

func (s *Stage) newPartition(topic string, no int) *partition {
	p := &partition{Stage: s, topic: topic, no: no}
	p.saver = saver{p: p, last: time.Now(), slots: slots{topic: topic, partition: no, good: 1}}
	p.forget()
	return p
}

// forget begins with an empty state.
func (p *partition) forget() {
	cfg := p.cfg.Memory
	if p.topic == bus.TopicEvents {
		cfg.Forward = p.forward
	}
	p.rules = p.set.Load()
	p.marks, p.shard = newMarks(p.cfg.MaxMarks), detector.NewShard(p.rules, cfg)
}

// takeUp goes on with the rules that the stage uses now.
func (p *partition) takeUp() error {
	set := p.set.Load()
	if set == p.rules {
		return nil
	}
	shard, err := p.shard.Swap(set)
	if err != nil {
		return fmt.Errorf("take up changed rules: %w", err)
	}
	p.shard, p.rules = shard, set
	p.count() // the windows of rules that are gone
	return nil
}

// open restores the partition and returns the offset to go on from. A state that is damaged in spite of its hash, or that
// another version wrote, is given up: the partition goes on from where it stood with empty windows, and says so.
func (p *partition) open(ctx context.Context) (int64, error) {
	sv, err := p.saver.slots.load(ctx, p.client)
	if err != nil {
		return 0, err
	}
	p.metrics.partitions.Inc()
	if n := p.saver.slots.damaged; n > 0 {
		p.log.Error("records on the checkpoints topic cannot be read; they are ignored", "topic", bus.TopicCheckpoints, "partition", p.no,
			"input", p.topic, "records", n, "restored", sv != nil)
		p.metrics.saves.WithLabelValues("unreadable").Add(float64(n))
	}
	if sv == nil {
		p.fresh = true
		return bus.Committed, nil
	}
	rest, err := p.marks.restore(sv.state)
	if err == nil {
		err = p.shard.Restore(rest)
	}
	if err != nil {
		p.log.Error("detector state cannot be restored, its windows begin anew", "topic", p.topic, "partition", p.no, "err", err)
		p.metrics.saves.WithLabelValues("unreadable").Inc()
		p.forget()
	}
	p.next = sv.offset
	p.count()
	return sv.offset, nil
}

// Handle implements bus.Partition. When it fails half-way and the records come again, those that were processed are not
// processed twice: only what they led to is produced again.
func (p *partition) Handle(ctx context.Context, recs []bus.Record) error {
	if len(recs) == 0 {
		return nil
	}
	if err := p.begin(ctx, recs[0].Offset); err != nil {
		return err
	}
	if err := p.takeUp(); err != nil {
		return err
	}
	for i := range recs {
		p.record = &recs[i]
		if p.record.Offset < p.next {
			continue
		}
		if err := p.take(p.record); err != nil {
			if err := p.client.DeadLetter(ctx, *p.record, name, err); err != nil {
				return fmt.Errorf("set an undecodable record aside: %w", err)
			}
			p.metrics.dropped.WithLabelValues("undecodable").Inc()
		}
		p.next = p.record.Offset + 1
		p.saver.records++
	}
	p.metrics.in.WithLabelValues(p.topic).Add(float64(len(recs)))
	p.count()
	if err := p.flush(ctx); err != nil {
		return err
	}
	p.saver.maybe()
	return nil
}

// begin prepares for the first record. Without a checkpoint it saves the empty state first: from then on the group's committed
// offset is never needed, which is ahead of what the state holds.
func (p *partition) begin(ctx context.Context, first int64) error {
	if p.begun {
		return nil
	}
	if !p.fresh && first < p.next {
		p.log.Warn("the log begins anew below the checkpoint; going on from its start", "topic", p.topic, "partition", p.no,
			"checkpoint", p.next, "offset", first)
	}
	p.next = first
	if p.fresh {
		if err := p.saver.now(ctx); err != nil {
			return err
		}
	}
	p.begun = true
	return nil
}

func (p *partition) takeEvent(r *bus.Record) error {
	e, err := event.Decode(r.Value)
	if err != nil {
		return err
	}
	if e.Kind == event.Request && e.Seq > 0 && p.marks.repeat(binary.BigEndian.Uint64(e.ID[:8]), e.Seq, "", r.Offset) {
		p.metrics.dropped.WithLabelValues("repeat").Inc()
		return nil
	}
	p.alerts = p.shard.Process(e, p.alerts[:0])
	return p.emit()
}

func (p *partition) takeMatch(r *bus.Record) error {
	m, err := detector.DecodeMatch(r.Value)
	if err != nil {
		return err
	}
	// Numbers begin at 1, so that offset 0 is above "nothing seen".
	if p.marks.repeat(uint64(m.Partition), uint64(m.Offset)+1, m.Rule, r.Offset) {
		p.metrics.dropped.WithLabelValues("repeat").Inc()
		return nil
	}
	p.alerts = p.shard.ProcessMatch(m, p.alerts[:0])
	return p.emit()
}

// forward takes a match whose group is counted elsewhere.
func (p *partition) forward(m *detector.MatchRecord) {
	m.Partition, m.Offset = p.no, p.record.Offset
	if m.Clock {
		m.Sources = p.inputs
		for n := range p.outputs {
			p.out = append(p.out, bus.Record{Topic: bus.TopicMatches, Partition: n, Key: m.Key(), Value: m.Append(nil)})
		}
		return
	}
	p.out = append(p.out, bus.Record{Topic: bus.TopicMatches, Partition: bus.AnyPartition, Key: m.Key(), Value: m.Append(nil)})
}

// emit makes records of the alerts in hand.
func (p *partition) emit() error {
	for _, a := range p.alerts {
		v, err := a.Encode()
		if err != nil {
			return err
		}
		p.out = append(p.out, bus.Record{Topic: bus.TopicAlerts, Partition: bus.AnyPartition, Key: a.Key(), Value: v})
		p.times = append(p.times, a.Time)
		p.metrics.alerts.WithLabelValues(a.Rule).Inc()
	}
	return nil
}

// flush produces what the records led to.
func (p *partition) flush(ctx context.Context) error {
	if len(p.out) == 0 {
		return nil
	}
	if err := p.client.Produce(ctx, p.out...); err != nil {
		return fmt.Errorf("produce alerts and matches: %w", err)
	}
	for i := range p.out {
		p.metrics.out.WithLabelValues(p.out[i].Topic).Inc()
	}
	for _, t := range p.times {
		p.metrics.latency.Observe(time.Since(t).Seconds())
	}
	clear(p.out)
	p.out, p.times = p.out[:0], p.times[:0]
	return nil
}

// count brings the metrics up to date.
func (p *partition) count() {
	now := p.shard.Stats()
	p.metrics.observe(p.seen, now)
	p.seen = now
	if p.marks.evicted > 0 {
		p.metrics.irregular.WithLabelValues("mark_evicted").Add(float64(p.marks.evicted))
		p.marks.evicted = 0
	}
}

// Close implements bus.Partition: it saves the state.
func (p *partition) Close(ctx context.Context) error {
	p.saver.wait(ctx)
	p.metrics.partitions.Dec()
	p.metrics.entities.Sub(float64(p.seen.Entities))
	p.metrics.bytes.Sub(float64(p.seen.Bytes))
	if !p.begun || p.saver.records == 0 || len(p.out) > 0 {
		return nil // nothing new, or the state is ahead of what was produced
	}
	return p.saver.now(ctx)
}
