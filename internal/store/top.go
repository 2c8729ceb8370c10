package store

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/history"
)

// topLimit is how many values Top lists when it is not told.
const topLimit = 20

// maxValues bounds how many different values are counted in Go.
const maxValues = 1_000_000

// Top implements [history.Reader]. Events of which the field is not known do not count, not in the shares either. Of equally frequent values
// the first in the order of their bytes comes first.
//
// It reads a rollup where one has the field and all fields of the filter, and events only for what is not a whole minute or hour of the span:
//
//	api.name api.route request.method response.code auth.outcome enforced.action    traffic_hour, below two days traffic_minute
//	source.country source.asn                                                       origin_minute
//	source.address, principal.id, principal.tenant (a filter on the same field)     entity_hour
//
// Everything else is counted in events, in Go where the filter has a part that ClickHouse cannot evaluate.
func (r *Searcher) Top(ctx context.Context, t history.Top) ([]history.Count, error) {
	if err := r.countable(t.Field); err != nil {
		return nil, err
	}
	q, err := r.question(t.Span, t.Filter)
	if err != nil {
		return nil, err
	}
	limit := topLimit
	if t.Limit > 0 {
		limit = min(t.Limit, history.MaxRows)
	}
	c := counting{question: q, by: t.Field}
	if !q.query.Exact() {
		return r.topInGo(ctx, c, limit)
	}
	from, params := r.counted(c, func(s source) string {
		return "0 AS bucket, " + s.fields[c.by].SQL + " AS key, " + shownValue(s.fields[c.by]) + " AS shown"
	})
	st := &statement{head: "SELECT shown, sum(n) AS total, sum(total) OVER () FROM (" + from + ") GROUP BY shown ORDER BY total DESC, shown LIMIT {limit:UInt64}", params: params}
	st.param("limit", int64(limit))
	out := []history.Count{}
	err = r.ask(ctx, "count values of "+t.Field, st, newBudget(), func(row driver.Rows) error {
		var v history.Count
		var all uint64
		if err := row.Scan(&v.Value, &v.Count, &all); err != nil {
			return err
		}
		v.Share = float64(v.Count) / float64(all)
		out = append(out, v)
		return nil
	})
	return out, err
}

// topInGo counts the values of events for which the filter holds in Go.
func (r *Searcher) topInGo(ctx context.Context, c counting, limit int) ([]history.Count, error) {
	counts, all := map[string]uint64{}, uint64(0)
	column := r.events[c.by].Columns[0]
	err := r.siftAll(ctx, c, []string{c.by}, func(p *partial) error {
		v := p.text(column)
		if v == "" {
			return nil
		}
		if counts[v]++; len(counts) > maxValues {
			return handlerError{fmt.Errorf("%w: %s has more than %d different values there: ask about a shorter span or with a narrower filter",
				history.ErrQuestion, c.by, maxValues)}
		}
		all++
		return nil
	})
	out := make([]history.Count, 0, len(counts))
	for v, n := range counts {
		out = append(out, history.Count{Value: v, Count: n, Share: float64(n) / float64(all)})
	}
	slices.SortFunc(out, func(a, b history.Count) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	return out[:min(len(out), limit)], err
}

// siftAll evaluates the filter in Go for all events of the span that ClickHouse cannot rule out.
func (r *Searcher) siftAll(ctx context.Context, c counting, fields []string, fn func(*partial) error) error {
	s := &searching{Searcher: r, question: c.question, budget: newBudget()}
	days, err := r.stretches(ctx, c.question, s.budget)
	if err != nil {
		return err
	}
	slices := newSlicer(days, false, mostInGo)
	slices.rows = mostInGo
	for {
		first, last, ok := slices.next()
		if !ok {
			return nil
		}
		if err := s.sift(ctx, first, last, nil, fields, fn); err != nil {
			return err
		}
	}
}

// text is the value of a column as rules group by it: "" when it is not known.
func (p *partial) text(column string) string {
	number := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	switch v := p.targets()[column].(type) {
	case *string:
		return *v
	case *int64:
		return number(*v)
	case *int32:
		return number(int64(*v))
	case *uint16:
		return number(int64(*v))
	case *uint32:
		return number(int64(*v))
	case *netip.Addr:
		if a := readAddr(*v); a.IsValid() {
			return a.String()
		}
	}
	return ""
}
