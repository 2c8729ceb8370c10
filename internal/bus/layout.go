package bus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// layoutTTL is how long a topic's leaders are believed when no error says otherwise.
const layoutTTL = time.Minute

// layout remembers which broker leads which partition. Lookups go through kafka-go's administrative client, which, unlike
// its Dialer, never asks the cluster to create a missing topic.
type layout struct {
	client *Client

	mu     sync.Mutex
	topics map[string]topicLayout
}

type topicLayout struct {
	at         time.Time
	partitions []kafka.Partition // by number
}

// topic returns the partitions of the topic, from memory or from the cluster.
func (l *layout) topic(ctx context.Context, topic string) ([]kafka.Partition, error) {
	l.mu.Lock()
	t, ok := l.topics[topic]
	l.mu.Unlock()
	if ok && time.Since(t.at) < layoutTTL {
		return t.partitions, nil
	}
	all, err := l.fetch(ctx, []string{topic})
	if err != nil {
		return nil, err
	}
	if len(all[topic]) == 0 {
		return nil, fmt.Errorf("kafka topic %s: %w", topic, kafka.UnknownTopicOrPartition)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.topics == nil {
		l.topics = make(map[string]topicLayout)
	}
	l.topics[topic] = topicLayout{at: time.Now(), partitions: all[topic]}
	return all[topic], nil
}

// leader returns the partition with its leader.
func (l *layout) leader(ctx context.Context, topic string, partition int) (kafka.Partition, error) {
	parts, err := l.topic(ctx, topic)
	if err != nil {
		return kafka.Partition{}, err
	}
	if partition < 0 || partition >= len(parts) {
		return kafka.Partition{}, fmt.Errorf("kafka topic %s has %d partitions, no number %d", topic, len(parts), partition)
	}
	if parts[partition].Leader.Host == "" {
		l.forget(topic)
		return kafka.Partition{}, fmt.Errorf("kafka topic %s partition %d: %w", topic, partition, kafka.LeaderNotAvailable)
	}
	return parts[partition], nil
}

// forget drops what is known of the topic after an error that may come from a moved leader.
func (l *layout) forget(topic string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.topics, topic)
}

// fetch asks the cluster for topics. Missing topics are missing in the result.
func (l *layout) fetch(ctx context.Context, topics []string) (map[string][]kafka.Partition, error) {
	out := make(map[string][]kafka.Partition, len(topics))
	err := l.client.admin(ctx, topics, func(ctx context.Context, k *kafka.Client) error {
		res, err := k.Metadata(ctx, &kafka.MetadataRequest{Topics: topics})
		if err != nil {
			return err
		}
		clear(out)
		for _, t := range res.Topics {
			switch {
			case t.Error == nil:
				out[t.Name] = byNumber(t.Partitions)
			case permanent(t.Error):
				return fmt.Errorf("topic %s: %w", t.Name, t.Error)
			}
		}
		return nil
	})
	return out, err
}

// byNumber orders partitions by their number; a number that the cluster left out has no leader.
func byNumber(in []kafka.Partition) []kafka.Partition {
	out := make([]kafka.Partition, len(in))
	for _, p := range in {
		if p.ID >= 0 && p.ID < len(out) {
			out[p.ID] = p
		}
	}
	return out
}

// dialPartition connects to the partition's leader.
func (c *Client) dialPartition(ctx context.Context, topic string, partition int) (*kafka.Conn, error) {
	p, err := c.layout.leader(ctx, topic, partition)
	if err != nil {
		return nil, err
	}
	conn, err := c.dialer.DialPartition(ctx, "tcp", "", p)
	if err != nil {
		c.layout.forget(topic)
		return nil, c.explain(fmt.Sprintf("%s:%d", p.Leader.Host, p.Leader.Port), err)
	}
	return conn, nil
}

// Partitions returns how many partitions the topic has. A missing topic is an error.
func (c *Client) Partitions(ctx context.Context, topic string) (int, error) {
	parts, err := c.layout.topic(ctx, topic)
	return len(parts), err
}
