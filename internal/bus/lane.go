package bus

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// maxBatch bounds one produce request, in bytes. Like MaxRecord it stays below the brokers' default limit.
const maxBatch = MaxRecord

// maxSpread bounds the difference of times within a request: kafka-go writes it as 32 bits of milliseconds.
const maxSpread = 20 * 24 * time.Hour

// lane writes to one partition. Who holds its turn writes what all callers have waiting, in one request; there is no timer
// and no goroutine. A call's chunks go one after the other, so they keep their order.
type lane struct {
	client *Client
	id     partitionID
	warn   seldom

	turn chan struct{} // capacity 1: taken by who writes

	mu      sync.Mutex
	waiting []*chunk
	closed  bool
	conn    *kafka.Conn // written under mu by who has the turn
}

// chunk is a part of a batch that fits into one request.
type chunk struct {
	msgs []kafka.Message
	size int
	done chan error // capacity 1
}

// produce writes the batch, or returns why it cannot.
func (l *lane) produce(ctx context.Context, b *batch) error {
	for from := 0; from < len(b.msgs); {
		to, size := fit(b, from)
		if err := l.persist(ctx, &chunk{msgs: b.msgs[from:to], size: size, done: make(chan error, 1)}); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// fit returns the end of the longest run from an index that one request may hold.
func fit(b *batch, from int) (to, size int) {
	first := b.msgs[from].Time
	for to = from; to < len(b.msgs); to++ {
		spread := b.msgs[to].Time.Sub(first).Abs()
		if to > from && (size+b.sizes[to] > maxBatch || spread > maxSpread) {
			break
		}
		size += b.sizes[to]
	}
	return to, size
}

// persist submits the chunk until it is written, until the error is permanent, or until ctx ends.
func (l *lane) persist(ctx context.Context, c *chunk) error {
	wait := backoff{min: 5 * time.Millisecond, max: time.Second}
	var last error
	for attempt := 1; ; attempt++ {
		err := l.submit(ctx, c)
		if err == nil || permanent(err) {
			return err
		}
		last = telling(last, err)
		if ctx.Err() != nil {
			return gaveUp(ctx, last)
		}
		l.client.metrics.produceRetries.WithLabelValues(l.id.topic).Inc()
		if attempt > 1 && l.warn.ok() { // the first failure is often an idle connection that the broker closed
			l.client.log.Warn("write to kafka failed, trying again", "topic", l.id.topic, "partition", l.id.partition,
				"attempt", attempt, "err", err)
		}
		if !wait.wait(ctx) {
			return gaveUp(ctx, last)
		}
	}
}

// submit queues the chunk and returns what became of it. Whoever gets the turn first writes for all.
func (l *lane) submit(ctx context.Context, c *chunk) error {
	l.mu.Lock()
	l.waiting = append(l.waiting, c)
	l.mu.Unlock()
	select {
	case err := <-c.done:
		return err
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return l.withdraw(ctx, c)
	}
	defer func() { <-l.turn }()
	for {
		select {
		case err := <-c.done:
			return err
		default:
			l.writeNext(ctx)
		}
	}
}

// withdraw takes the chunk out of the queue after ctx's end. When somebody is already writing it, its outcome is awaited: the
// caller may reuse its memory once Produce has returned. That takes as long as a request at most.
func (l *lane) withdraw(ctx context.Context, c *chunk) error {
	l.mu.Lock()
	i := slices.Index(l.waiting, c)
	if i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	l.mu.Unlock()
	if i >= 0 {
		return ctx.Err()
	}
	return <-c.done
}

// writeNext writes the chunks that fit into one request and tells their callers. The caller has the turn.
func (l *lane) writeNext(ctx context.Context) {
	group := l.take()
	if len(group) == 0 {
		return
	}
	msgs := group[0].msgs
	if len(group) > 1 {
		n := 0
		for _, c := range group {
			n += len(c.msgs)
		}
		msgs = make([]kafka.Message, 0, n)
		for _, c := range group {
			msgs = append(msgs, c.msgs...)
		}
	}
	err := l.write(ctx, msgs)
	for _, c := range group {
		c.done <- err
	}
}

// take removes the chunks of the next request from the queue.
func (l *lane) take() []*chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, size := 0, 0
	for ; n < len(l.waiting); n++ {
		c := l.waiting[n]
		if n > 0 && (size+c.size > maxBatch || !near(l.waiting[0], c)) {
			break
		}
		size += c.size
	}
	group := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	if len(l.waiting) == 0 {
		l.waiting = nil
	}
	return group
}

// near tells whether two chunks' times fit into one request. Within a chunk they do.
func near(a, b *chunk) bool {
	return b.msgs[0].Time.Sub(a.msgs[0].Time).Abs()+b.msgs[len(b.msgs)-1].Time.Sub(a.msgs[0].Time).Abs() <= maxSpread
}

// write sends one request. ctx's end closes the connection, and with it the request.
func (l *lane) write(ctx context.Context, msgs []kafka.Message) error {
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err = conn.SetWriteDeadline(time.Now().Add(callTimeout)); err == nil {
		_, err = conn.WriteMessages(msgs...)
	}
	if err == nil {
		return nil
	}
	l.disconnect(conn)
	l.client.layout.forget(l.id.topic)
	var code kafka.Error
	if errors.As(err, &code) {
		return code
	}
	return l.client.explain(conn.RemoteAddr().String(), err)
}

// connect returns the connection to the partition's leader. The caller has the turn.
func (l *lane) connect(ctx context.Context) (*kafka.Conn, error) {
	if l.conn != nil {
		return l.conn, nil
	}
	conn, err := l.client.dialPartition(ctx, l.id.topic, l.id.partition)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = conn.Close()
		return nil, errClosed
	}
	l.conn = conn
	return conn, nil
}

func (l *lane) disconnect(conn *kafka.Conn) {
	_ = conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = nil
}

// close ends the lane for good; a write under way fails.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.conn != nil {
		_ = l.conn.Close()
	}
}
