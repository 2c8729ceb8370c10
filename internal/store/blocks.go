package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"golang.org/x/sync/errgroup"
)

// feedColumns are the columns of rollup_feed: what the rollups need of an event.
func feedColumns() []string {
	return []string{
		"kafka_partition", "time", "api_name", "route", "method", "code", "auth_outcome", "enforced_action", "request_size", "response_size", "duration",
		"source_address", "country", "asn", "principal_id", "tenant", "host", "api_version", "content_type", "model", "prompt_tokens", "completion_tokens",
		"waf_score", "intel_lists",
	}
}

// planned is a block of events as the journal tells of it: rows of one day, in which the events of a tap are all that the table has between the
// first and the last.
type planned struct {
	block            uint32
	day              uint32
	token            string
	firsts, lasts    map[string]uint64
	earliest, latest time.Time
	rows             []eventRow // not in the journal
}

func newPlanned(day uint32, rows []eventRow) *planned {
	p := &planned{day: day, token: "warder-block-" + rand.Text(), firsts: make(map[string]uint64), lasts: make(map[string]uint64), rows: rows}
	p.earliest, p.latest = storedTime(rows[0].Time), storedTime(rows[0].Time)
	last, n := "", uint64(0)
	for _, e := range rows {
		if at := storedTime(e.Time); at.Before(p.earliest) {
			p.earliest = at
		} else if at.After(p.latest) {
			p.latest = at
		}
		if e.Tap != last || n == 0 {
			if n > 0 {
				p.lasts[last] = n
			}
			if _, ok := p.firsts[e.Tap]; !ok {
				p.firsts[e.Tap] = e.Seq
			}
			last = e.Tap
		}
		n = e.Seq
	}
	p.lasts[last] = n
	return p
}

// eventBlock holds a block's columns, encoded.
type eventBlock struct {
	columns []column[eventRow]
	vectors []vector
	rows    int
	*planned
}

// encode takes rows in. It goes through them in small runs, which stay in the processor's cache while one column after another takes its values.
func (b *eventBlock) encode(p *planned) {
	b.planned, b.rows = p, len(p.rows)
	for i := range b.vectors {
		b.vectors[i].reset()
	}
	const run = 256
	for rows := range slices.Chunk(p.rows, run) {
		for i, c := range b.columns {
			v := &b.vectors[i]
			for _, r := range rows {
				c.add(v, r)
			}
		}
	}
}

func (b *eventBlock) size() int {
	n := 0
	for i := range b.vectors {
		n += b.vectors[i].size()
	}
	return n
}

// native returns the block with the columns of those names, in the order of the table.
func (b *eventBlock) native(want func(name string) bool) (names []string, data []byte) {
	body := make([]byte, 0, b.size())
	for i, c := range b.columns {
		if want(c.name) {
			names = append(names, c.name)
			body = b.vectors[i].appendTo(body, c.name, c.typ)
		}
	}
	head := binary.AppendUvarint(nil, uint64(len(names)))
	head = binary.AppendUvarint(head, uint64(b.rows))
	return names, append(head, body...)
}

// run carries the plan out: it is written down first, then each block goes into the events and after that to the rollups. While one goes to the
// rollups the next goes into the events, and the one after that is encoded.
func (w *EventWriter) run(ctx context.Context, plan []*planned) error {
	if err := w.step("journal"); err != nil {
		return err
	}
	number := w.number + 1
	if err := w.store.writeJournal(ctx, w.partition, number, false, plan); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	encoded, stored, used := make(chan *eventBlock), make(chan *eventBlock), make(chan *eventBlock, 3)
	for len(w.free) < cap(used) {
		columns := eventInserts()
		w.free = append(w.free, &eventBlock{columns: columns, vectors: make([]vector, len(columns))})
	}
	for _, b := range w.free {
		used <- b
	}
	g.Go(func() error {
		defer close(encoded)
		for _, p := range plan {
			b, err := receive(ctx, used)
			if err != nil {
				return err
			}
			b.encode(p)
			if err = give(ctx, encoded, b); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		defer close(stored)
		for b := range encoded {
			if err := w.step("events"); err != nil {
				return err
			}
			if err := w.store.insertBlock(ctx, "events", b, func(string) bool { return true }, nil); err != nil {
				return err
			}
			if err := give(ctx, stored, b); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		feed := feedColumns()
		for b := range stored {
			if err := w.step("rollups"); err != nil {
				return err
			}
			if err := w.store.insertBlock(ctx, "rollup_feed", b, func(name string) bool { return slices.Contains(feed, name) }, feedSettings(b.token)); err != nil {
				return err
			}
			used <- b
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return w.done(ctx, number)
}

// done notes that the blocks of the number are in the rollups.
func (w *EventWriter) done(ctx context.Context, number uint64) error {
	if err := w.step("done"); err != nil {
		return err
	}
	if err := w.store.writeJournal(context.WithoutCancel(ctx), w.partition, number, true, []*planned{{earliest: time.Unix(0, 0), latest: time.Unix(0, 0)}}); err != nil {
		return err
	}
	w.number = number
	return nil
}

func receive[T any](ctx context.Context, from <-chan T) (v T, err error) {
	select {
	case v = <-from:
		return v, nil
	case <-ctx.Done():
		return v, ctx.Err()
	}
}

func give[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// feedSettings let the rollups know a block that comes again by its token, each rollup for itself, so that one that has it leaves it out and one
// that does not takes it. For that the block must stay one.
func feedSettings(token string) clickhouse.Settings {
	return clickhouse.Settings{
		"insert_deduplicate": 1, "insert_deduplication_token": token, "deduplicate_blocks_in_dependent_materialized_views": 1,
		"min_insert_block_size_rows": 10 * MaxBatch, "min_insert_block_size_bytes": 0, "max_insert_block_size": 10 * MaxBatch,
		"min_insert_block_size_rows_for_materialized_views": 10 * MaxBatch, "min_insert_block_size_bytes_for_materialized_views": 0,
		"max_block_size": 10 * MaxBatch, "preferred_block_size_bytes": 0, "max_threads": 1,
	}
}

func journalColumns(partition uint16, number uint64, done bool) []column[*planned] {
	taps := func(p *planned) []string { return slices.Sorted(maps.Keys(p.lasts)) }
	numbers := func(p *planned, of map[string]uint64) []uint64 {
		out := make([]uint64, 0, len(of))
		for _, t := range taps(p) {
			out = append(out, of[t])
		}
		return out
	}
	return []column[*planned]{
		col("kafka_partition", func(*planned) uint16 { return partition }),
		col("number", func(*planned) uint64 { return number }),
		col("block", func(p *planned) uint32 { return p.block }),
		col("done", func(*planned) bool { return done }),
		col("day", func(p *planned) uint32 { return p.day }),
		col("token", func(p *planned) string { return p.token }),
		col("taps", taps),
		col("firsts", func(p *planned) []uint64 { return numbers(p, p.firsts) }),
		col("lasts", func(p *planned) []uint64 { return numbers(p, p.lasts) }),
		col("earliest", func(p *planned) time.Time { return p.earliest }),
		col("latest", func(p *planned) time.Time { return p.latest }),
	}
}

func (s *Store) writeJournal(ctx context.Context, partition uint16, number uint64, done bool, plan []*planned) error {
	for i, p := range plan {
		p.block = uint32(i)
	}
	return insert(ctx, s, "event_blocks", journalColumns(partition, number, done), plan)
}

// recover finishes what the writer before began: a block that is in the events goes to the rollups, with its token, so that those that have it
// leave it out. A block that is not in the events never came to the rollups either.
func (w *EventWriter) recover(ctx context.Context) error {
	number, plan, err := w.store.unfinished(ctx, w.partition)
	if err != nil {
		return err
	}
	for _, p := range plan {
		if err = w.step("recover"); err != nil {
			return err
		}
		if err = w.store.feedAgain(ctx, w.partition, p); err != nil {
			return err
		}
	}
	if len(plan) > 0 {
		return w.done(ctx, number)
	}
	w.number = max(number, 1)
	return nil
}

// unfinished returns the newest number of the partition's journal, and its blocks unless they are done.
func (s *Store) unfinished(ctx context.Context, partition uint16) (number uint64, plan []*planned, err error) {
	const what = "read the journal of event blocks"
	var finished bool
	err = s.conn.QueryRow(ctx, "SELECT max(number), ifNull(argMax(done, (number, done)), true) FROM event_blocks WHERE kafka_partition = {partition:UInt16}",
		clickhouse.Named("partition", partition)).Scan(&number, &finished)
	if err != nil {
		return 0, nil, s.cfg.explain(what, err)
	}
	if finished || number == 0 {
		return number, nil, nil
	}
	rows, err := s.conn.Query(ctx, "SELECT block, day, token, taps, firsts, lasts FROM event_blocks "+
		"WHERE kafka_partition = {partition:UInt16} AND number = {number:UInt64} AND NOT done ORDER BY block LIMIT 1 BY block",
		clickhouse.Named("partition", partition), clickhouse.Named("number", number))
	if err != nil {
		return 0, nil, s.cfg.explain(what, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		p := &planned{firsts: make(map[string]uint64), lasts: make(map[string]uint64)}
		var taps []string
		var firsts, lasts []uint64
		if err = rows.Scan(&p.block, &p.day, &p.token, &taps, &firsts, &lasts); err != nil {
			return 0, nil, s.cfg.explain(what, err)
		}
		for i, t := range taps {
			p.firsts[t], p.lasts[t] = firsts[i], lasts[i]
		}
		plan = append(plan, p)
	}
	if err = rows.Err(); err != nil {
		return 0, nil, s.cfg.explain(what, err)
	}
	return number, plan, nil
}

// feedAgain gives the rollups a block as the events have it; nothing when they do not have it.
func (s *Store) feedAgain(ctx context.Context, partition uint16, p *planned) error {
	taps := slices.Sorted(maps.Keys(p.lasts))
	firsts, lasts := make([]uint64, len(taps)), make([]uint64, len(taps))
	for i, t := range taps {
		firsts[i], lasts[i] = p.firsts[t], p.lasts[t]
	}
	names := strings.Join(feedColumns(), ", ")
	return s.inserting(ctx, "rollup_feed", 0, feedSettings(p.token), func(ctx context.Context) error {
		return s.conn.Exec(ctx, "INSERT INTO rollup_feed ("+names+") SELECT "+names+" FROM events WHERE toYYYYMMDD(time) = {day:UInt32} AND "+
			"kafka_partition = {partition:UInt16} AND tap IN {taps:Array(String)} AND "+
			"seq BETWEEN {firsts:Array(UInt64)}[indexOf({taps:Array(String)}, tap)] AND {lasts:Array(UInt64)}[indexOf({taps:Array(String)}, tap)]",
			clickhouse.Named("day", p.day), clickhouse.Named("partition", partition), clickhouse.Named("taps", taps),
			clickhouse.Named("firsts", firsts), clickhouse.Named("lasts", lasts))
	})
}

// insertBlock sends some of the block's columns to a table, in one block.
func (s *Store) insertBlock(ctx context.Context, table string, b *eventBlock, want func(name string) bool, settings clickhouse.Settings) error {
	return s.inserting(ctx, table, b.rows, settings, func(ctx context.Context) error {
		if s.cfg.Protocol != HTTP {
			columns := slices.DeleteFunc(slices.Clone(b.columns), func(c column[eventRow]) bool { return !want(c.name) })
			return send(ctx, s, table, columns, b.planned.rows)
		}
		names, data := b.native(want)
		return s.conn.InsertFormat(ctx, "Native", insertInto(table, names), bytes.NewReader(data))
	})
}
