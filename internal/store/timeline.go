package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/celsql"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// Bounds of a timeline.
const (
	mostBuckets = 1000
	someBuckets = 120 // when no step is asked for, about so many
	mostParts   = 9   // values that are told apart
)

// OtherValues stands in a timeline for the values that are not among the nine most frequent of its span.
const OtherValues = "(other)"

// Timeline implements [history.Reader]. Buckets begin at whole multiples of the step since 1970 and cover the span, which begins and ends with
// the events there are where it is open; without any event there is none. Parted by a field, the nine most frequent values are told apart and
// the others are [OtherValues]; "" has the events of which it is not known. Then buckets without an event are left out.
//
// It reads a rollup as [Searcher.Top] does, those by the hour where the step is of whole hours; entity_hour where the filter only holds for
// known values of the one field. Everything else is counted in events.
func (r *Searcher) Timeline(ctx context.Context, t history.Timeline) ([]history.Bucket, error) {
	if t.By != "" {
		if err := r.countable(t.By); err != nil {
			return nil, err
		}
	}
	q, err := r.question(t.Span, t.Filter)
	if err != nil {
		return nil, err
	}
	budget := newBudget()
	span, err := r.bounded(ctx, q, budget)
	if err != nil || span.Until.IsZero() {
		return []history.Bucket{}, err
	}
	q.span = span // rollups tell of more than the events there are
	c := counting{question: q, by: t.By, step: stepOf(t.Step, span), all: true}
	var values []string
	if t.By != "" {
		top, err := r.Top(ctx, history.Top{Span: span, Filter: t.Filter, Field: t.By, Limit: mostParts})
		if err != nil {
			return nil, err
		}
		for _, v := range top {
			values = append(values, v.Value)
		}
	}
	var out []history.Bucket
	if q.query.Exact() {
		out, err = r.timeline(ctx, c, values, budget)
	} else {
		out, err = r.timelineInGo(ctx, c, values)
	}
	if err != nil || c.by != "" {
		return out, err
	}
	return filled(out, c.step, span), nil
}

// bounded bounds the span by what there is; its end is zero when there is nothing.
func (r *Searcher) bounded(ctx context.Context, q *question, b *budget) (history.Span, error) {
	span := q.span
	if !span.Since.IsZero() && !span.Until.IsZero() {
		return span, nil
	}
	days, err := r.stretches(ctx, q, b)
	if err != nil || len(days) == 0 {
		return history.Span{}, err
	}
	if span.Since.IsZero() {
		span.Since = time.Unix(0, days[0].first).UTC()
	}
	if span.Until.IsZero() {
		span.Until = time.Unix(0, days[len(days)-1].last+1).UTC()
	}
	return span, nil
}

// stepOf is the width of a bucket: what is asked for in whole minutes, wide enough for the bound.
func stepOf(asked time.Duration, span history.Span) time.Duration {
	width := span.Until.Sub(span.Since)
	up := func(d time.Duration) time.Duration { return (d + time.Minute - 1).Truncate(time.Minute) }
	least := up(width / (mostBuckets - 1)) // a bucket more where the span begins within one
	if asked > 0 {
		return max(up(asked), least, time.Minute)
	}
	steps := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 7 * day}
	for _, s := range steps {
		if width/s <= someBuckets {
			return s
		}
	}
	return max(least, 7*day)
}

func (r *Searcher) timeline(ctx context.Context, c counting, values []string, b *budget) ([]history.Bucket, error) {
	from, params := r.counted(c, func(s source) string {
		return "intDiv(toUnixTimestamp(e.time), {step:Int64}) * {step:Int64} AS bucket, " + parted(s.fields, c.by) + " AS key"
	})
	st := &statement{head: "SELECT toInt64(bucket), toString(key), sum(n), sum(denied), sum(errors), sum(refused) FROM (" + from + ") GROUP BY bucket, key ORDER BY bucket, key", params: params}
	st.param("step", int64(c.step/time.Second))
	if c.by != "" {
		st.param("values", values)
		st.param("other", OtherValues)
	}
	out := []history.Bucket{}
	err := r.ask(ctx, "count events over time", st, b, func(row driver.Rows) error {
		var v history.Bucket
		var at int64
		if err := row.Scan(&at, &v.Value, &v.Count, &v.Denied, &v.Errors, &v.Refused); err != nil {
			return err
		}
		v.Time = time.Unix(at, 0).UTC()
		out = append(out, v)
		return nil
	})
	return out, err
}

// parted is the value of a field that a bucket is about.
func parted(fields celsql.Table, by string) string {
	if by == "" {
		return "''"
	}
	shown := shownValue(fields[by])
	return "multiIf(" + shown + " = '', '', " + shown + " IN {values:Array(String)}, " + shown + ", {other:String})"
}

// bucketKey tells buckets apart.
type bucketKey struct {
	at    int64
	value string
}

// timelineInGo counts the events for which the filter holds in Go.
func (r *Searcher) timelineInGo(ctx context.Context, c counting, values []string) ([]history.Bucket, error) {
	buckets := map[bucketKey]*history.Bucket{}
	fields := []string{"response.code", "auth.outcome", "enforced.action"}
	column := ""
	if c.by != "" {
		fields = append(fields, c.by)
		column = r.events[c.by].Columns[0]
	}
	step := int64(c.step / time.Second)
	err := r.siftAll(ctx, c, fields, func(p *partial) error {
		k := bucketKey{at: p.Time.Unix() / step * step}
		if column != "" {
			if k.value = p.text(column); k.value != "" && !slices.Contains(values, k.value) {
				k.value = OtherValues
			}
		}
		b := buckets[k]
		if b == nil {
			b = &history.Bucket{Time: time.Unix(k.at, 0).UTC(), Value: k.value}
			buckets[k] = b
		}
		count(b, &p.Event)
		return nil
	})
	out := make([]history.Bucket, 0, len(buckets))
	for _, b := range buckets {
		out = append(out, *b)
	}
	slices.SortFunc(out, func(a, b history.Bucket) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Value, b.Value)) })
	return out, err
}

// count adds an event to a bucket, as the rollups do.
func count(b *history.Bucket, e *event.Event) {
	b.Count++
	if e.Response.Code == 401 || e.Response.Code == 403 || e.Auth.Outcome == "failure" {
		b.Denied++
	}
	if e.Response.Code >= 500 {
		b.Errors++
	}
	if e.Refused() {
		b.Refused++
	}
}
