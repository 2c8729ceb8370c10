package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	heartbeatEvery = 500 * time.Millisecond // also how soon a member learns of a rebalance
	joinBackoff    = 300 * time.Millisecond
	partitionWatch = 10 * time.Second // how soon added partitions are noticed
	leaveGrace     = 3 * time.Second  // for leaving the group at the end, before its connections are cut
	minGeneration  = time.Second      // generations that end sooner are slowed down
)

// Consume takes part in the consumer group until ctx ends, and then returns nil when everything is flushed and committed.
// open is called for each partition assigned to this member; each partition has its own goroutine. Consume waits for an
// absent broker or topic; it returns an error only for what trying again cannot help (a refused login, an invalid group).
func (c *Client) Consume(ctx context.Context, group, topic string, open Open) error {
	if _, err := c.awaitTopic(ctx, topic); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("consume kafka topic %s: %w", topic, err)
	}
	m := &member{client: c, group: group, topic: topic, open: open, handled: make(map[int]int64)}
	if err := m.run(ctx); err != nil {
		return fmt.Errorf("consume kafka topic %s as group %s: %w", topic, group, err)
	}
	return nil
}

// member is this process's part in one consumer group.
type member struct {
	client *Client
	group  string
	topic  string
	open   Open
	warn   seldom

	mu      sync.Mutex
	handled map[int]int64 // partition to next offset; see resume
}

func (m *member) run(ctx context.Context) error {
	sockets := &sockets{open: make(map[net.Conn]struct{})}
	cg, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: m.group, Topics: []string{m.topic}, Brokers: m.client.cfg.Brokers, Dialer: m.client.newDialer(sockets.dial),
		GroupBalancers:    []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
		HeartbeatInterval: heartbeatEvery, JoinGroupBackoff: joinBackoff, Timeout: dialTimeout,
		SessionTimeout: m.client.cfg.Session.Timeout.Std(), RebalanceTimeout: m.client.cfg.Session.Rebalance.Std(),
		WatchPartitionChanges: true, PartitionWatchInterval: partitionWatch, StartOffset: kafka.FirstOffset,
	})
	if err != nil {
		return err
	}
	g := &leaver{group: cg, sockets: sockets}
	defer g.wait()
	for {
		gen, err := cg.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			m.live(ctx, g, gen)
		case permanent(err):
			return m.client.explain(strings.Join(m.client.cfg.Brokers, ","), err)
		default:
			m.failed("join", err)
		}
	}
}

// leaver ends the membership.
type leaver struct {
	group   *kafka.ConsumerGroup
	sockets *sockets
	once    sync.Once
	done    sync.WaitGroup
}

// begin makes kafka-go leave the group as soon as the current generation's functions have returned. One of these functions
// calls it: if it just returned, kafka-go would join the next generation at once, only to leave it again, and the other
// members would be rebalanced twice. It returns when kafka-go has noticed.
func (l *leaver) begin() {
	l.once.Do(func() { l.done.Go(func() { _ = l.group.Close() }) })
	for {
		if _, err := l.group.Next(context.Background()); errors.Is(err, kafka.ErrGroupClosed) {
			return
		}
	}
}

// wait leaves and returns when everything is over. A join that waits for other members, or a broker that does not answer,
// would hold it up, so the connections are cut after a while.
func (l *leaver) wait() {
	cut := time.AfterFunc(leaveGrace, l.sockets.cut)
	defer cut.Stop()
	l.begin()
	l.done.Wait()
}

// live serves one generation to its end. kafka-go joins the next one only after all functions that were started have
// returned, so partitions are closed and offsets committed before another member gets them.
func (m *member) live(ctx context.Context, l *leaver, gen *kafka.Generation) {
	m.client.metrics.generations.WithLabelValues(m.group).Inc()
	began := time.Now()
	done := make(chan struct{})
	gen.Start(func(ended context.Context) {
		defer close(done)
		m.serve(ctx, ended, gen)
		if ctx.Err() != nil {
			l.begin()
		}
	})
	<-done
	// kafka-go starts the next generation at once even if this one failed at once, as it does when the topic is deleted.
	// It cannot hand the generation over before Next is called.
	if rest := minGeneration - time.Since(began); rest > 0 && ctx.Err() == nil && len(gen.Assignments[m.topic]) == 0 {
		(&backoff{min: rest, max: rest}).wait(ctx)
	}
}

// serve runs the assigned partitions until the generation or ctx ends.
func (m *member) serve(ctx, ended context.Context, gen *kafka.Generation) {
	take, stop := context.WithCancel(ctx)
	defer stop()
	com := newCommitter(m, gen)
	var parts, rest sync.WaitGroup
	for _, a := range gen.Assignments[m.topic] {
		parts.Go(func() { newRunner(m, a, com).run(take) })
	}
	rest.Go(func() {
		select {
		case <-ended.Done():
		case <-take.Done():
		}
		stop()
	})
	rest.Go(func() { com.run(take) })
	rest.Wait()
	parts.Wait()
	com.last()
}

// resume returns where to go on with a partition, given the committed offset. When the broker went away before a commit,
// this member may have handled more than it could commit, and need not do it again.
func (m *member) resume(partition int, committed int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if next := m.handled[partition]; next > committed {
		return next
	}
	if committed < 0 {
		return earliest
	}
	return committed
}

// failed counts and, now and then, logs what will be tried again.
func (m *member) failed(call string, err error) {
	m.client.metrics.groupErrors.WithLabelValues(m.group, call).Inc()
	var code kafka.Error
	if errors.As(err, &code) && code == kafka.RebalanceInProgress {
		return // the ordinary course of a rebalance
	}
	if m.warn.ok() {
		m.client.log.Warn("kafka consumer group failed, trying again", "group", m.group, "topic", m.topic, "call", call, "err", err)
	}
}

// sockets knows the open connections of a consumer group, whose calls have no context.
type sockets struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

type trackedConn struct {
	net.Conn
	set *sockets
}

func (s *sockets) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[conn] = struct{}{}
	return &trackedConn{Conn: conn, set: s}, nil
}

func (c *trackedConn) Close() error {
	c.set.mu.Lock()
	delete(c.set.open, c.Conn)
	c.set.mu.Unlock()
	return c.Conn.Close()
}

// cut closes all connections, which ends the calls that wait on them.
func (s *sockets) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Close()
	}
	clear(s.open)
}
