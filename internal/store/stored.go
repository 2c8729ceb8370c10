package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/history"
)

// maxFresh bounds the parts of a fresh: they are parameters of statements.
const maxFresh = 5000

// fresh tells which events were stored since a time, from the journal of event blocks. Within a day, the numbers of a tap's events grow in a partition
// of the topic in the order in which they are stored: from the first that came since then to the last, nothing is older.
type fresh struct {
	days          map[uint32]stretch // the times of its events by day; no rows
	index         map[string]int     // of a part in the three below
	parts         []string           // day, partition and tap
	firsts, lasts []uint64           // numbers
}

// storedSince asks the journal. A block counts from when it was begun and again when it was done, so one that takes long to store is not missed.
func (r *Searcher) storedSince(ctx context.Context, since time.Time, b *budget) (*fresh, error) {
	st := &statement{head: "SELECT e.day, e.kafka_partition, e.taps, e.firsts, e.lasts, toUnixTimestamp64Nano(e.earliest), toUnixTimestamp64Nano(e.latest) FROM event_blocks AS e"}
	st.where("NOT e.done", "(e.kafka_partition, e.number) IN (SELECT w.kafka_partition, w.number FROM event_blocks AS w WHERE w.written >= fromUnixTimestamp64Milli({stored:Int64}, 'UTC'))")
	st.param("stored", storedTime(since).UnixMilli())
	out := &fresh{days: make(map[uint32]stretch), index: make(map[string]int)}
	err := r.ask(ctx, "look which events were stored lately", st, b, func(row driver.Rows) error {
		var day uint32
		var partition uint16
		var taps []string
		var firsts, lasts []uint64
		var span stretch
		if err := row.Scan(&day, &partition, &taps, &firsts, &lasts, &span.first, &span.last); err != nil {
			return err
		}
		if d, ok := out.days[day]; ok {
			span = stretch{first: min(d.first, span.first), last: max(d.last, span.last)}
		}
		out.days[day] = span
		for i, tap := range taps {
			out.add(fmt.Sprintf("%d %d %s", day, partition, tap), firsts[i], lasts[i])
		}
		if len(out.parts) > maxFresh {
			return handlerError{fmt.Errorf("%w: events of more than %d taps and partitions were stored since %s: ask about a later time",
				history.ErrQuestion, maxFresh, since.UTC().Format(time.RFC3339))}
		}
		return nil
	})
	return out, err
}

func (f *fresh) add(part string, first, last uint64) {
	i, ok := f.index[part]
	if !ok {
		f.index[part] = len(f.parts)
		f.parts, f.firsts, f.lasts = append(f.parts, part), append(f.firsts, first), append(f.lasts, last)
		return
	}
	f.firsts[i], f.lasts[i] = min(f.firsts[i], first), max(f.lasts[i], last)
}

// narrow keeps the fresh events.
func (f *fresh) narrow(st *statement) {
	const part = "concat(toString(toYYYYMMDD(e.time)), ' ', toString(e.kafka_partition), ' ', e.tap)"
	st.where("e.seq >= transform("+part+", {parts:Array(String)}, {firsts:Array(UInt64)}, {never:UInt64})",
		"e.seq <= transform("+part+", {parts:Array(String)}, {lasts:Array(UInt64)}, toUInt64(0))")
	st.param("parts", f.parts)
	st.param("firsts", f.firsts)
	st.param("lasts", f.lasts)
	st.param("never", uint64(math.MaxUint64))
}

// cut narrows a day of the table to the fresh events' times. What is left is empty when its last is before its first.
func (f *fresh) cut(day uint32, s stretch) stretch {
	span, ok := f.days[day]
	if !ok {
		return stretch{first: 1}
	}
	return s.cut(span.first, span.last)
}

// now is the store's clock.
func (r *Searcher) now(ctx context.Context, b *budget) (now time.Time, err error) {
	err = r.ask(ctx, "ask for the store's time", &statement{head: "SELECT toUnixTimestamp64Milli(now64(3))"}, b, func(row driver.Rows) error {
		var ms int64
		err := row.Scan(&ms)
		now = time.UnixMilli(ms).UTC()
		return err
	})
	return now, err
}
