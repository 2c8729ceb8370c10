package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// ErrTooLarge says that a record exceeds MaxRecord.
var ErrTooLarge = errors.New("record is too large")

// Produce returns when every record is acknowledged by all in-sync replicas. Records of one call to one partition keep their
// order, and so do those of successive calls of one goroutine. What can be retried is retried until ctx ends, the records of
// the failed partitions only; a retry may write records twice. A permanent failure (too large, not authorised) returns at
// once and names the topic. Safe for concurrent use: calls that meet at a partition share a request.
func (c *Client) Produce(ctx context.Context, recs ...Record) error {
	if len(recs) == 0 {
		return nil
	}
	start := time.Now()
	batches, err := c.divide(ctx, recs)
	if err != nil {
		return c.produceFailed(recs[0].Topic, err)
	}
	if len(batches) == 1 {
		return c.produceBatch(ctx, batches[0], start)
	}
	errs := make([]error, len(batches))
	var wg sync.WaitGroup
	for i, b := range batches {
		wg.Go(func() { errs[i] = c.produceBatch(ctx, b, start) })
	}
	wg.Wait()
	if errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil }); len(errs) > 0 {
		return several(errs)
	}
	return nil
}

// batch is what one Produce call has for one partition.
type batch struct {
	id    partitionID
	msgs  []kafka.Message
	sizes []int
}

// divide sorts the records by partition.
func (c *Client) divide(ctx context.Context, recs []Record) ([]*batch, error) {
	out := make([]*batch, 0, 1)
	var byID map[partitionID]*batch
	now := time.Now()
	for i := range recs {
		r := &recs[i]
		size := r.size()
		if size > MaxRecord {
			return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, size, MaxRecord)
		}
		partition, err := c.choose(ctx, r)
		if err != nil {
			return nil, err
		}
		id := partitionID{r.Topic, partition}
		var b *batch
		switch {
		case len(out) > 0 && out[len(out)-1].id == id:
			b = out[len(out)-1]
		case byID[id] != nil:
			b = byID[id]
		default:
			b = &batch{id: id, msgs: make([]kafka.Message, 0, len(recs)-i), sizes: make([]int, 0, len(recs)-i)}
			if byID == nil {
				byID = make(map[partitionID]*batch)
			}
			byID[id] = b
			out = append(out, b)
		}
		b.msgs = append(b.msgs, message(r, now))
		b.sizes = append(b.sizes, size)
	}
	return out, nil
}

// message leaves topic and partition empty: the connection has them. Times are cut to the milliseconds of the format here,
// because kafka-go cuts the differences to the first one, which can be a millisecond off.
func message(r *Record, now time.Time) kafka.Message {
	m := kafka.Message{Key: r.Key, Value: r.Value, Time: r.Time}
	if m.Time.IsZero() {
		m.Time = now
	}
	m.Time = m.Time.Truncate(time.Millisecond)
	if len(r.Headers) > 0 {
		m.Headers = make([]kafka.Header, len(r.Headers))
		for i, h := range r.Headers {
			m.Headers[i] = kafka.Header{Key: h.Key, Value: h.Value}
		}
	}
	return m
}

// choose returns the record's partition; by key it needs the topic's partition count and waits for it.
func (c *Client) choose(ctx context.Context, r *Record) (int, error) {
	if r.Topic == "" {
		return 0, errors.New("record without a topic")
	}
	if r.Partition >= 0 {
		return r.Partition, nil
	}
	wait := backoff{min: 10 * time.Millisecond, max: time.Second}
	var last error
	for {
		parts, err := c.layout.topic(ctx, r.Topic)
		if err == nil {
			return partitionOf(r.Key, len(parts)), nil
		}
		if permanent(err) {
			return 0, err
		}
		last = telling(last, err)
		if !wait.wait(ctx) {
			return 0, gaveUp(ctx, last)
		}
	}
}

// partitionOf places a key as the Java client does.
func partitionOf(key []byte, partitions int) int {
	numbers := make([]int, partitions)
	for i := range numbers {
		numbers[i] = i
	}
	return kafka.Murmur2Balancer{Consistent: true}.Balance(kafka.Message{Key: key}, numbers...)
}

func (c *Client) produceBatch(ctx context.Context, b *batch, start time.Time) error {
	l, err := c.lane(b.id)
	if err == nil {
		err = l.produce(ctx, b)
	}
	if err != nil {
		return c.produceFailed(b.id.topic, err)
	}
	c.metrics.produced.WithLabelValues(b.id.topic).Add(float64(len(b.msgs)))
	c.metrics.produceSeconds.WithLabelValues(b.id.topic).Observe(time.Since(start).Seconds())
	return nil
}

func (c *Client) produceFailed(topic string, err error) error {
	c.metrics.produceErrors.WithLabelValues(topic, reason(err)).Inc()
	return fmt.Errorf("produce to kafka topic %s: %w", topic, err)
}

// lane returns the writer of the partition.
func (c *Client) lane(id partitionID) (*lane, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	l := c.lanes[id]
	if l == nil {
		l = &lane{client: c, id: id, turn: make(chan struct{}, 1)}
		c.lanes[id] = l
	}
	return l, nil
}
