package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// topicSpec says how a topic is created. Topics of one family have the same number of partitions, because one partition's
// state lives in the other's partition of the same number.
type topicSpec struct {
	name    string
	family  string // "": on its own
	single  bool   // one partition, whatever the configuration says
	compact bool
	forever bool // never deleted by age or size
}

func topicSpecs() []topicSpec {
	return []topicSpec{
		{name: TopicEvents, family: "detection"},
		{name: TopicMatches, family: "detection"},
		{name: TopicCheckpoints, family: "detection", compact: true},
		{name: TopicAlerts, family: "delivery"},
		{name: TopicDeliveries, family: "delivery", compact: true},
		{name: TopicDecisions, single: true, compact: true},
		{name: TopicAcks, single: true, compact: true},
		{name: TopicAudit, single: true, forever: true},
		{name: TopicTelemetry, single: true},
		{name: TopicDeadLetters, single: true},
	}
}

// EnsureTopics creates the missing topics and returns when the cluster shows them all. Existing topics stay as they are: a
// missing one takes the partition count of its existing relatives, and relatives that disagree are an error. Repeating it
// changes nothing; two processes may do it at the same time.
func (c *Client) EnsureTopics(ctx context.Context) error {
	specs := topicSpecs()
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.name
	}
	have, err := c.layout.fetch(ctx, names)
	if err != nil {
		return fmt.Errorf("look up kafka topics: %w", err)
	}
	missing, err := c.plan(specs, have)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		if err := c.create(ctx, missing); err != nil {
			return fmt.Errorf("create kafka topics: %w", err)
		}
	}
	c.warnUncompacted(ctx, specs, have)
	return c.awaitTopics(ctx, names)
}

// plan returns the topics to create, or why the existing ones cannot work together.
func (c *Client) plan(specs []topicSpec, have map[string][]kafka.Partition) ([]kafka.TopicConfig, error) {
	counts := make(map[string]map[int][]string) // family to partition count to topics
	for _, s := range specs {
		if n := len(have[s.name]); n > 0 && s.family != "" {
			if counts[s.family] == nil {
				counts[s.family] = make(map[int][]string)
			}
			counts[s.family][n] = append(counts[s.family][n], s.name)
		}
	}
	var errs []error
	for _, byCount := range counts {
		if len(byCount) > 1 {
			errs = append(errs, conflict(byCount))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	var missing []kafka.TopicConfig
	for _, s := range specs {
		if len(have[s.name]) > 0 {
			continue
		}
		n := c.cfg.Partitions
		for existing := range counts[s.family] {
			n = existing
		}
		if s.single {
			n = 1
		}
		missing = append(missing, c.topicConfig(s, n))
	}
	return missing, nil
}

func conflict(byCount map[int][]string) error {
	var parts []string
	for n, names := range byCount {
		slices.Sort(names)
		parts = append(parts, fmt.Sprintf("%s: %d", strings.Join(names, ", "), n))
	}
	slices.Sort(parts)
	return fmt.Errorf("kafka topics that belong together have different numbers of partitions (%s): "+
		"delete or recreate the ones that hold the least, or raise their partitions to the same number", strings.Join(parts, "; "))
}

func (c *Client) topicConfig(s topicSpec, partitions int) kafka.TopicConfig {
	t := kafka.TopicConfig{Topic: s.name, NumPartitions: partitions, ReplicationFactor: c.cfg.Replication}
	set := func(name, value string) {
		t.ConfigEntries = append(t.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
	}
	switch {
	case s.compact:
		set("cleanup.policy", "compact")
	case s.forever:
		set("cleanup.policy", "delete")
		set("retention.ms", "-1")
		set("retention.bytes", "-1")
	default:
		set("cleanup.policy", "delete")
		set("retention.ms", bound(c.cfg.Retention.Time.Std().Milliseconds()))
		set("retention.bytes", bound(int64(c.cfg.Retention.Bytes)))
	}
	if c.cfg.Replication >= 3 {
		set("min.insync.replicas", "2") // an acknowledged record survives the loss of any one broker
	}
	return t
}

// bound writes a limit as Kafka wants it.
func bound(n int64) string {
	if n == 0 {
		return "-1"
	}
	return strconv.FormatInt(n, 10)
}

func (c *Client) create(ctx context.Context, topics []kafka.TopicConfig) error {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Topic
	}
	return c.admin(ctx, names, func(ctx context.Context, k *kafka.Client) error {
		res, err := k.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: topics})
		if err != nil {
			return err
		}
		var errs []error
		for _, t := range topics {
			if err := res.Errors[t.Topic]; err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
				errs = append(errs, fmt.Errorf("%s: %w", t.Topic, err))
			}
		}
		return errors.Join(errs...)
	})
}

// warnUncompacted looks at the compacted topics that were there already: with a cleanup policy of delete Kafka would throw
// away blocks and checkpoints that still hold. It only warns, for the user may not be allowed to look.
func (c *Client) warnUncompacted(ctx context.Context, specs []topicSpec, have map[string][]kafka.Partition) {
	var ask []kafka.DescribeConfigRequestResource
	for _, s := range specs {
		if s.compact && len(have[s.name]) > 0 {
			ask = append(ask, kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: s.name,
				ConfigNames: []string{"cleanup.policy"}})
		}
	}
	if len(ask) == 0 {
		return
	}
	err := c.admin(ctx, nil, func(ctx context.Context, k *kafka.Client) error {
		res, err := k.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: ask})
		if err != nil {
			return err
		}
		for _, r := range res.Resources {
			for _, e := range r.ConfigEntries {
				if e.ConfigName == "cleanup.policy" && e.ConfigValue != "compact" {
					c.log.Warn("kafka topic must be compacted, or its records are lost in time: set cleanup.policy=compact",
						"topic", r.ResourceName, "cleanup.policy", e.ConfigValue)
				}
			}
		}
		return nil
	})
	if err != nil {
		c.log.Debug("cannot read kafka topic settings", "err", err)
	}
}

// awaitTopics waits until the cluster shows every partition with a leader.
func (c *Client) awaitTopics(ctx context.Context, names []string) error {
	wait := backoff{min: 20 * time.Millisecond, max: time.Second}
	for {
		err := c.complete(ctx, names)
		if err == nil {
			return nil
		}
		if permanent(err) {
			return fmt.Errorf("wait for kafka topics: %w", err)
		}
		if !wait.wait(ctx) {
			return fmt.Errorf("wait for kafka topics: %w", gaveUp(ctx, err))
		}
	}
}

// complete tells what is still missing.
func (c *Client) complete(ctx context.Context, names []string) error {
	have, err := c.layout.fetch(ctx, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		if len(have[name]) == 0 {
			return fmt.Errorf("%s: %w", name, kafka.UnknownTopicOrPartition)
		}
		for _, p := range have[name] {
			if p.Leader.Host == "" {
				return fmt.Errorf("%s: %w", name, kafka.LeaderNotAvailable)
			}
		}
		c.layout.forget(name) // it may have been remembered without a leader
	}
	return nil
}
