// Package bus carries records between the stages: a synchronous producer, partition-owned consumption with commits after the
// effect, readers of whole partitions, dead letters, and an embedded broker. It speaks the Kafka protocol through kafka-go and
// knows nothing of what a record holds. docs/bus.md is its manual.
package bus

import (
	"context"
	"time"
)

// The topics. [Client.EnsureTopics] creates them.
const (
	TopicEvents      = "warder.events"      // key: client
	TopicMatches     = "warder.matches"     // re-keyed matches, key: rule and group
	TopicAlerts      = "warder.alerts"      // key: alert group
	TopicDecisions   = "warder.decisions"   // compacted, one partition
	TopicCheckpoints = "warder.checkpoints" // compacted, partitioned like events and matches
	TopicDeliveries  = "warder.deliveries"  // compacted, partitioned like alerts
	TopicAcks        = "warder.acks"        // compacted, one partition, key: gateway
	TopicAudit       = "warder.audit"       // one partition, kept for ever
	TopicTelemetry   = "warder.telemetry"   // one partition, key: instance
	TopicDeadLetters = "warder.dlq"         // what could not be decoded or handled
)

// AnyPartition in [Record.Partition] lets the key choose: murmur2, as the Java client does. Records without a key go to
// partition 0 of the hash, so give a key.
const AnyPartition = -1

// Committed, returned by [Open], starts at the group's committed offset, or at the earliest record when there is none.
const Committed int64 = -1

// MaxRecord is the largest record that Produce accepts: key, value and headers, in bytes. It stays below the limit of a batch
// that brokers have by default (message.max.bytes, 1,048,588).
const MaxRecord = 1_000_000

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record of a topic. A consumer may keep it; nothing reuses its memory. An empty key or value is read as nil; in
// a compacted topic a nil value deletes its key.
type Record struct {
	Topic     string
	Partition int   // AnyPartition when produced by key
	Offset    int64 // ignored by Produce
	Key       []byte
	Value     []byte
	Headers   []Header
	Time      time.Time // milliseconds; the zero time is now. Retention counts from it
}

// size is what the record weighs in a batch, rounded up.
func (r *Record) size() int {
	n := len(r.Key) + len(r.Value) + recordOverhead
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value) + headerOverhead
	}
	return n
}

// Upper bounds of the lengths and deltas that record format v2 writes around a record and a header.
const (
	recordOverhead = 40
	headerOverhead = 10
)

// Partition is one assigned partition's consumer. One goroutine calls it; no two calls overlap.
type Partition interface {
	// Handle takes records in order. nil says that their effect is complete: their offset is committed, soon and in any case
	// before the partition is given up. After an error the same records come again, later and later up to 30 s, for ever. ctx
	// ends a few seconds after the partition was revoked, so that work in flight can finish.
	Handle(ctx context.Context, recs []Record) error
	// Close flushes; the partition is revoked or the process stops. ctx has a deadline.
	Close(ctx context.Context) error
}

// Open makes the consumer of a partition that was assigned to this member. start is the first offset to hand over, or
// Committed. After an error it is called again, later and later up to 30 s. ctx ends when the partition is revoked.
type Open func(ctx context.Context, partition int) (p Partition, start int64, err error)
