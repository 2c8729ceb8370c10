package bus

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	fetchBytes = 2 << 20                // of one fetch; the largest record is smaller
	fetchWait  = 500 * time.Millisecond // how long the broker holds a fetch that has nothing to return
)

// fetcher reads one partition forward over its own connection. It belongs to one goroutine.
type fetcher struct {
	client *Client
	id     partitionID
	conn   *kafka.Conn
	next   int64 // offset of the next record to return
	end    int64 // the log's end at the last fetch
	warn   seldom
}

// earliest as a fetcher's next means the first record there is.
const earliest int64 = -2

// fetch returns the next records; none when there are none within fetchWait. It repeats what fails until ctx ends, which is
// its only error.
func (f *fetcher) fetch(ctx context.Context) ([]Record, error) {
	wait := backoff{min: 20 * time.Millisecond, max: 2 * time.Second}
	for {
		recs, err := f.once(ctx)
		switch {
		case ctx.Err() != nil:
			f.close()
			return nil, ctx.Err()
		case err == nil:
			return recs, nil
		case errors.Is(err, kafka.OffsetOutOfRange):
			f.reset()
			continue
		}
		f.close()
		f.client.layout.forget(f.id.topic)
		f.client.metrics.fetchErrors.WithLabelValues(f.id.topic).Inc()
		if f.warn.ok() {
			f.client.log.Warn("read from kafka failed, trying again", "topic", f.id.topic, "partition", f.id.partition, "err", err)
		}
		wait.wait(ctx)
	}
}

// reset goes back to the earliest record: retention deleted the wanted one, or the log was replaced by a shorter one.
func (f *fetcher) reset() {
	f.client.metrics.offsetResets.WithLabelValues(f.id.topic).Inc()
	f.client.log.Warn("wanted kafka offset is gone, going on at the earliest", "topic", f.id.topic, "partition", f.id.partition,
		"offset", f.next)
	f.next = earliest
}

// once does one fetch. ctx's end closes the connection.
func (f *fetcher) once(ctx context.Context) ([]Record, error) {
	if err := f.connect(ctx); err != nil {
		return nil, err
	}
	conn := f.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if f.next < 0 {
		if err := f.seekFirst(); err != nil {
			return nil, err
		}
	}
	if _, err := conn.Seek(f.next, kafka.SeekAbsolute|kafka.SeekDontCheck); err != nil {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(fetchWait + callTimeout)); err != nil {
		return nil, err
	}
	return f.read(conn.ReadBatchWith(kafka.ReadBatchConfig{MinBytes: 1, MaxBytes: fetchBytes, MaxWait: fetchWait}))
}

// read takes everything out of a response.
//
// Traps of kafka-go's Batch that it knows: an empty response is the error RequestTimedOut; the end of the records is io.EOF,
// and only then does Offset step over records that compaction removed from the end of a batch; where a batch holds nothing
// at all, Offset may even go back.
func (f *fetcher) read(b *kafka.Batch) ([]Record, error) {
	end := b.HighWaterMark()
	var recs []Record
	var err error
	for {
		var m kafka.Message
		if m, err = b.ReadMessage(); err != nil {
			break
		}
		if m.Offset >= f.next {
			recs = append(recs, record(&m))
		}
	}
	after := b.Offset()
	if cerr := b.Close(); cerr != nil && !errors.Is(cerr, kafka.RequestTimedOut) {
		err = cerr
	}
	switch {
	case len(recs) > 0:
		// What was read is good even if the response broke off behind it.
		f.next = max(recs[len(recs)-1].Offset+1, f.next)
		if errors.Is(err, io.EOF) {
			f.next = max(f.next, after)
		}
	case errors.Is(err, io.EOF) && end > f.next:
		f.next = max(f.next+1, after) // all compacted away
	case errors.Is(err, kafka.RequestTimedOut) && end == f.next, errors.Is(err, io.EOF):
	default:
		return nil, err
	}
	f.end = max(end, f.next)
	return recs, nil
}

func record(m *kafka.Message) Record {
	r := Record{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Value, Time: m.Time}
	if len(m.Headers) > 0 {
		r.Headers = make([]Header, len(m.Headers))
		for i, h := range m.Headers {
			r.Headers[i] = Header{Key: h.Key, Value: h.Value}
		}
	}
	return r
}

// bounds asks for the first offset and the end of the log, until ctx ends.
func (f *fetcher) bounds(ctx context.Context) (first, end int64, err error) {
	wait := backoff{min: 20 * time.Millisecond, max: 2 * time.Second}
	for {
		if err = f.connect(ctx); err == nil {
			conn := f.conn
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			_ = conn.SetReadDeadline(time.Now().Add(callTimeout))
			first, end, err = conn.ReadOffsets()
			stop()
		}
		if err == nil || ctx.Err() != nil || permanent(err) {
			break
		}
		f.close()
		f.client.layout.forget(f.id.topic)
		if f.warn.ok() {
			f.client.log.Warn("read from kafka failed, trying again", "topic", f.id.topic, "partition", f.id.partition, "err", err)
		}
		wait.wait(ctx)
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return first, end, err
}

// seek returns the offset of the first record that is not older than t, end when there is none. It repeats what fails until ctx
// ends, which is its only error.
func (f *fetcher) seek(ctx context.Context, t time.Time, end int64) (int64, error) {
	wait := backoff{min: 20 * time.Millisecond, max: 2 * time.Second}
	for {
		err := f.connect(ctx)
		if err == nil {
			conn := f.conn
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			_ = conn.SetReadDeadline(time.Now().Add(callTimeout))
			var at int64
			at, err = conn.ReadOffset(t)
			stop()
			if err == nil && at < 0 {
				at = end
			}
			if err == nil {
				return at, nil
			}
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		f.close()
		f.client.layout.forget(f.id.topic)
		if f.warn.ok() {
			f.client.log.Warn("cannot look up a time in kafka, trying again", "topic", f.id.topic, "partition", f.id.partition, "err", err)
		}
		wait.wait(ctx)
	}
}

func (f *fetcher) seekFirst() error {
	if err := f.conn.SetReadDeadline(time.Now().Add(callTimeout)); err != nil {
		return err
	}
	first, err := f.conn.ReadFirstOffset()
	if err != nil {
		return err
	}
	f.next = first
	return nil
}

func (f *fetcher) connect(ctx context.Context) (err error) {
	if f.conn == nil {
		f.conn, err = f.client.dialPartition(ctx, f.id.topic, f.id.partition)
	}
	return err
}

func (f *fetcher) close() {
	if f.conn != nil {
		_ = f.conn.Close()
		f.conn = nil
	}
}
