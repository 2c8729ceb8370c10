package bus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// ReadPartition calls fn for each record from the log's start up to the end of the log at the time of the call. It waits for
// an absent broker until ctx ends. An error of fn ends it and is returned as it is.
func (c *Client) ReadPartition(ctx context.Context, topic string, partition int, fn func(Record) error) error {
	f := &fetcher{client: c, id: partitionID{topic, partition}}
	defer f.close()
	first, end, err := f.bounds(ctx)
	if err != nil {
		return fmt.Errorf("read kafka topic %s partition %d: %w", topic, partition, err)
	}
	for f.next = first; f.next < end; {
		recs, err := f.fetch(ctx)
		if err != nil {
			return fmt.Errorf("read kafka topic %s partition %d: %w", topic, partition, err)
		}
		for i := range recs {
			if recs[i].Offset >= end {
				return nil
			}
			if err := fn(recs[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Tail calls fn for every record of every partition from the log's start, without a group, until ctx ends, and then returns
// nil. caughtUp, which may be nil, is called once, when all records that were there at the start have been handed over. Calls
// of fn and caughtUp never overlap. Tail waits for an absent broker or topic. An error of fn ends it and is returned as it is.
func (c *Client) Tail(ctx context.Context, topic string, fn func([]Record) error, caughtUp func()) error {
	return c.TailFrom(ctx, topic, time.Time{}, fn, caughtUp)
}

// TailFrom is Tail, but each partition starts at its first record that is not older than since, by the time of the record. The zero
// time is the log's start.
func (c *Client) TailFrom(ctx context.Context, topic string, since time.Time, fn func([]Record) error, caughtUp func()) error {
	partitions, err := c.awaitTopic(ctx, topic)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("tail kafka topic %s: %w", topic, err)
	}
	t := &tail{client: c, topic: topic, since: since, fn: fn, caughtUp: caughtUp, behind: partitions}
	g, gctx := errgroup.WithContext(ctx)
	for p := range partitions {
		g.Go(func() error { return t.run(gctx, p) })
	}
	return g.Wait()
}

type tail struct {
	client *Client
	topic  string
	since  time.Time // zero: from the start

	mu       sync.Mutex // held while fn or caughtUp runs
	fn       func([]Record) error
	caughtUp func()
	behind   int // partitions that have not reached their first end
}

// run follows one partition. ctx's end is not an error.
func (t *tail) run(ctx context.Context, partition int) error {
	f := &fetcher{client: t.client, id: partitionID{t.topic, partition}}
	defer f.close()
	first, end, err := f.bounds(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tail kafka topic %s partition %d: %w", t.topic, partition, err)
	}
	f.next = first
	if !t.since.IsZero() {
		if f.next, err = f.seek(ctx, t.since, end); err != nil {
			return nil // ctx has ended
		}
	}
	behind := true
	for {
		if behind && f.next >= end {
			behind = false
			t.reached()
		}
		recs, err := f.fetch(ctx)
		if err != nil {
			return nil
		}
		if len(recs) == 0 {
			continue
		}
		if err := t.hand(ctx, recs); err != nil {
			return err
		}
	}
}

func (t *tail) hand(ctx context.Context, recs []Record) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	return t.fn(recs)
}

func (t *tail) reached() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.behind--; t.behind == 0 && t.caughtUp != nil {
		t.caughtUp()
	}
}

// awaitTopic returns the topic's partition count, as soon as the cluster answers and has the topic.
func (c *Client) awaitTopic(ctx context.Context, topic string) (int, error) {
	wait := backoff{min: 50 * time.Millisecond, max: 2 * time.Second}
	var warn seldom
	for {
		n, err := c.Partitions(ctx, topic)
		if err == nil || permanent(err) || ctx.Err() != nil {
			return n, err
		}
		if warn.ok() {
			c.log.Warn("waiting for kafka", "topic", topic, "err", err)
		}
		wait.wait(ctx)
	}
}
