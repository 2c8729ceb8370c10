package bus

import (
	"context"
	"strconv"
	"strings"
)

// Headers of a dead letter.
const (
	HeaderStage           = "warder-stage"
	HeaderReason          = "warder-reason"
	HeaderSourceTopic     = "warder-source-topic"
	HeaderSourcePartition = "warder-source-partition"
	HeaderSourceOffset    = "warder-source-offset"
	HeaderTruncated       = "warder-truncated" // number of bytes cut from the value
)

const (
	maxReason       = 1 << 10
	maxLetterHeader = 16 << 10 // original headers beyond this are left out
)

// DeadLetter copies the record to warder.dlq with headers that say which stage gave it up, why, and where it came from. The
// reason is cut to 1 KiB; a value that would exceed MaxRecord is cut, which the header HeaderTruncated tells.
func (c *Client) DeadLetter(ctx context.Context, rec Record, stage string, reason error) error {
	if err := c.Produce(ctx, deadLetter(rec, stage, reason)); err != nil {
		return err
	}
	c.metrics.deadLetters.WithLabelValues(stage).Inc()
	return nil
}

// deadLetter makes the copy. The original's headers come first; ours are last and win with readers that take the last.
func deadLetter(rec Record, stage string, reason error) Record {
	out := Record{Topic: TopicDeadLetters, Partition: 0, Key: rec.Key, Value: rec.Value}
	budget := maxLetterHeader
	for _, h := range rec.Headers {
		if budget -= len(h.Key) + len(h.Value); budget < 0 {
			break
		}
		out.Headers = append(out.Headers, h)
	}
	add := func(key, value string) { out.Headers = append(out.Headers, Header{Key: key, Value: []byte(value)}) }
	add(HeaderStage, stage)
	add(HeaderReason, cutReason(reason))
	add(HeaderSourceTopic, rec.Topic)
	add(HeaderSourcePartition, strconv.Itoa(rec.Partition))
	add(HeaderSourceOffset, strconv.FormatInt(rec.Offset, 10))
	if len(out.Key) > maxLetterHeader {
		out.Key = out.Key[:maxLetterHeader]
	}
	// The largest record that a broker takes may be larger than ours; leave room for the headers.
	if over := out.size() + recordOverhead + len(HeaderTruncated) - MaxRecord; over > 0 {
		out.Value = out.Value[:len(out.Value)-over]
		add(HeaderTruncated, strconv.Itoa(over))
	}
	return out
}

func cutReason(reason error) string {
	if reason == nil {
		return "unknown"
	}
	s := strings.ToValidUTF8(reason.Error(), "\uFFFD")
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "")
	}
	return s
}
