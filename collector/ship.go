package collector

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/warder/warder/collector/spool"
	"github.com/warder/warder/internal/bus"
)

const (
	maxBatch         = 2000 // records produced at once, before heartbeats are multiplied
	partitionsMaxAge = time.Minute
	minBackoff       = 50 * time.Millisecond
	maxBackoff       = 5 * time.Second
)

// shipper is the state of the one goroutine that reads the spool.
type shipper struct {
	c          *Collector
	partitions int
	asked      time.Time
	recs       []bus.Record
	judged     judgements
}

// ship takes what waits in the spool to the bus, in order, until ctx ends.
func (c *Collector) ship(ctx context.Context) error {
	s := &shipper{c: c}
	var b spool.Batch
	backoff := minBackoff
	for {
		err := c.spool.Next(ctx, &b)
		if err == nil {
			s.judge(ctx, b.Records)
			err = s.produce(ctx, b.Records)
		}
		switch {
		case err == nil:
			c.spool.Ack(&b)
			s.judged.forget()
			backoff = minBackoff
		case ctx.Err() != nil, errors.Is(err, spool.ErrClosed):
			return nil
		default:
			c.m.shipErrors.Inc()
			c.log.Warn("events cannot be shipped, they stay in the spool", "backlog_bytes", c.spool.Backlog(), "error", err)
			if !sleep(ctx, backoff) {
				return nil
			}
			backoff = min(2*backoff, maxBackoff)
		}
	}
}

// produce sends the records in pieces of at most maxBatch. A heartbeat goes to every partition, behind the records before it.
func (s *shipper) produce(ctx context.Context, recs []spool.Record) error {
	for chunk := range slices.Chunk(recs, maxBatch) {
		start := time.Now()
		events := 0
		s.recs = s.recs[:0]
		for i, r := range chunk {
			if !r.Heartbeat {
				events++
				s.recs = append(s.recs, bus.Record{Topic: bus.TopicEvents, Partition: -1, Key: r.Key, Value: r.Value})
			} else if !superseded(chunk[i+1:], r) {
				s.broadcast(ctx, r)
			}
		}
		if err := s.c.producer.Produce(ctx, s.recs...); err != nil {
			return err
		}
		s.c.m.shipped.Add(float64(events))
		s.c.m.shipTime.Observe(time.Since(start).Seconds())
	}
	return nil
}

// superseded tells whether a newer heartbeat of the same tap follows: after an outage one is enough.
func superseded(rest []spool.Record, r spool.Record) bool {
	return slices.ContainsFunc(rest, func(n spool.Record) bool {
		return n.Heartbeat && n.Own == r.Own && slices.Equal(n.Key, r.Key)
	})
}

func (s *shipper) broadcast(ctx context.Context, r spool.Record) {
	if s.partitions == 0 || time.Since(s.asked) > partitionsMaxAge {
		n, err := s.c.producer.Partitions(ctx, bus.TopicEvents)
		if err != nil && s.partitions == 0 {
			s.c.m.heartbeats.WithLabelValues("skipped").Inc()
			return
		}
		if err == nil {
			s.partitions = n
		}
		s.asked = time.Now()
	}
	for p := range s.partitions {
		s.recs = append(s.recs, bus.Record{Topic: bus.TopicEvents, Partition: p, Key: r.Key, Value: r.Value})
	}
	s.c.m.heartbeats.WithLabelValues("sent").Inc()
}

// sleep waits, and returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
