package bus

import (
	"context"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// Lag returns how many records of the topic the group has not committed, over all partitions; compacted and expired ones that
// it never saw count, too. A partition without a commit counts from its start.
func (c *Client) Lag(ctx context.Context, group, topic string) (int64, error) {
	n, err := c.Partitions(ctx, topic)
	if err != nil {
		return 0, err
	}
	var lag int64
	err = c.admin(ctx, []string{topic}, func(ctx context.Context, k *kafka.Client) error {
		lag, err = groupLag(ctx, k, group, topic, n)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("lag of group %s on %s: %w", group, topic, err)
	}
	return lag, nil
}

func groupLag(ctx context.Context, k *kafka.Client, group, topic string, partitions int) (int64, error) {
	ids := make([]int, partitions)
	var ask []kafka.OffsetRequest
	for i := range ids {
		ids[i] = i
		ask = append(ask, kafka.FirstOffsetOf(i), kafka.LastOffsetOf(i))
	}
	ends, err := k.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: ask}})
	if err != nil {
		return 0, err
	}
	commits, err := k.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: ids}})
	if err != nil {
		return 0, err
	}
	if commits.Error != nil {
		return 0, commits.Error
	}
	committed := map[int]int64{}
	for _, p := range commits.Topics[topic] {
		if p.Error != nil {
			return 0, p.Error
		}
		committed[p.Partition] = p.CommittedOffset
	}
	var lag int64
	for _, p := range ends.Topics[topic] {
		if p.Error != nil {
			return 0, p.Error
		}
		from, ok := committed[p.Partition]
		if !ok || from < p.FirstOffset {
			from = p.FirstOffset
		}
		lag += max(0, p.LastOffset-from)
	}
	return lag, nil
}
