package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/warder/warder/internal/celsql"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// source is a table that can be counted: events, or a rollup of it.
type source struct {
	table   string
	grain   time.Duration // of its times; 0 for events
	fields  celsql.Table
	where   string
	counts  [4]string // requests, denied, errors, refused
	partial bool      // it only has events of which its one field is known
}

// What denied, failed and refused events are: the same as in the rollups (migrations/0003_history.sql).
const (
	isDenied  = "(e.code IN (401, 403) OR e.auth_outcome = 'failure')"
	isError   = "e.code >= 500"
	isRefused = "%s IN ('block', 'limit', 'challenge')"
)

func (r *Searcher) raw() source {
	return source{table: "events", fields: r.events,
		counts: [4]string{"count()", "countIf(" + isDenied + ")", "countIf(" + isError + ")", "countIf(" + fmt.Sprintf(isRefused, "e.enforced_action") + ")"}}
}

// rollups are the tables that may answer instead, the cheapest first. What they have no column for, they cannot tell.
func (r *Searcher) rollups() []source {
	sums := [4]string{"sum(e.requests)", "sum(e.denied)", "sum(e.errors)", "sum(e.refused)"}
	out := []source{{table: "origin_minute", grain: time.Minute, counts: sums, fields: r.renamed(map[string]string{"source.country": "country", "source.asn": "asn"})}}
	for table, grain := range map[string]time.Duration{"traffic_hour": time.Hour, "traffic_minute": time.Minute} {
		out = append(out, source{table: table, grain: grain,
			counts: [4]string{"sum(e.requests)", "sumIf(e.requests, " + isDenied + ")", "sumIf(e.requests, " + isError + ")", "sumIf(e.requests, " + fmt.Sprintf(isRefused, "e.action") + ")"},
			fields: r.renamed(map[string]string{"api.name": "api_name", "api.route": "route", "request.method": "method", "response.code": "code",
				"auth.outcome": "auth_outcome", "enforced.action": "action"})})
	}
	for kind, field := range map[string]string{history.Principal: "principal.id", history.Tenant: "principal.tenant"} {
		out = append(out, source{table: "entity_hour", grain: time.Hour, counts: sums, where: "e.kind = '" + kind + "'", partial: true,
			fields: r.renamed(map[string]string{field: "value"})})
	}
	out = append(out, source{table: "entity_hour", grain: time.Hour, counts: sums, where: "e.kind = 'address'", partial: true,
		fields: celsql.Table{"source.address": {Kind: celsql.Address, SQL: "toIPv6OrDefault(e.value)", Columns: []string{"value"}}}})
	slices.SortFunc(out, func(a, b source) int { return strings.Compare(a.table, b.table) }) // hours before minutes
	return out
}

// renamed is a table with the fields under other names of their columns.
func (r *Searcher) renamed(columns map[string]string) celsql.Table {
	out := celsql.Table{}
	for field, column := range columns {
		out[field] = celsql.Column{Kind: r.events[field].Kind, SQL: "e." + column, Columns: []string{column}}
	}
	return out
}

// counting is a question about numbers of events.
type counting struct {
	*question
	by   string        // a field or ""
	step time.Duration // a source must tell times apart as finely; 0 does not ask for it
	all  bool          // events of which by is not known count, too
}

// hoursFrom is the span from which on hours are counted where minutes could be: what does not fill an hour is counted in events.
const hoursFrom = 48 * time.Hour

// source chooses the table that answers, and the filter over it; false for events. A rollup does when it has each field that is asked for,
// can say the whole filter in SQL, and the span has at least one whole minute or hour.
func (r *Searcher) source(c counting) (source, *celsql.Query, bool) {
	for _, s := range r.rollups() {
		needs := c.query.Fields
		if c.by != "" {
			needs = append(slices.Clip(needs), c.by)
		}
		if slices.ContainsFunc(needs, func(f string) bool { _, ok := s.fields[f]; return !ok }) || c.step%s.grain != 0 {
			continue
		}
		if len(needs) == 0 && !strings.HasPrefix(s.table, "traffic") {
			continue
		}
		if s.partial && c.all && (c.filter == nil || c.filterHoldsUnknown()) {
			continue
		}
		if s.table == "traffic_hour" && !c.span.Since.IsZero() && !c.span.Until.IsZero() && c.span.Until.Sub(c.span.Since) < hoursFrom {
			continue
		}
		if first, last := c.inner(s.grain); first >= last {
			continue
		}
		q := new(celsql.Query)
		if c.filter != nil {
			q = celsql.Translate(c.filter.AST(), s.fields, "r")
		}
		if q.Exact() {
			return s, q, true
		}
	}
	return source{}, nil, false
}

// filterHoldsUnknown tells whether the filter holds for events of which nothing is known.
func (c counting) filterHoldsUnknown() bool {
	ok, err := c.filter.Match(new(event.Event))
	return ok || err != nil
}

// inner is the part of the span that is made of whole grains, in seconds since 1970: the end is not part of it.
func (c counting) inner(grain time.Duration) (first, last int64) {
	first, last = firstTime, lastTime+1
	if at := c.span.Since; !at.IsZero() {
		at = storedTime(at)
		if first = at.Truncate(grain).Unix(); !at.Truncate(grain).Equal(at) {
			first += int64(grain / time.Second)
		}
	}
	if at := c.span.Until; !at.IsZero() {
		last = storedTime(at).Truncate(grain).Unix()
	}
	return first, last
}

// bounds of the span in nanoseconds, both included.
func (c counting) bounds() (first, last int64) {
	first, last = firstTime, (lastTime+1)*int64(time.Second)-1
	if !c.span.Since.IsZero() {
		first = storedTime(c.span.Since).UnixNano()
	}
	if !c.span.Until.IsZero() {
		last = storedTime(c.span.Until).UnixNano() - 1
	}
	return first, last
}

// counted is a statement that counts: head and group are SQL around the rows of each source, keyed by what key makes of the source.
func (r *Searcher) counted(c counting, key func(source) string) (from string, params []celsql.Param) {
	raw := r.raw()
	piece := func(s source, where ...string) string {
		where = slices.DeleteFunc(append(where, s.where), func(w string) bool { return w == "" })
		return "SELECT " + key(s) + ", " + s.counts[0] + " AS n, " + s.counts[1] + " AS denied, " + s.counts[2] + " AS errors, " + s.counts[3] + " AS refused" +
			" FROM " + s.table + " AS e WHERE " + strings.Join(where, " AND ") + " GROUP BY bucket, key"
	}
	first, last := c.bounds()
	params = append(params, celsql.Param{Name: "first", Value: first}, celsql.Param{Name: "last", Value: last})
	params = append(params, c.query.Params...)
	within := []string{"e.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')", "e.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')"}
	if c.by != "" && !c.all {
		within = append(within, hasValue(raw.fields[c.by]))
	}
	s, q, ok := r.source(c)
	if !ok {
		return piece(raw, append(within, c.query.Where...)...), params
	}
	from1, to1 := c.inner(s.grain)
	params = append(append(params, celsql.Param{Name: "from", Value: from1}, celsql.Param{Name: "to", Value: to1}), q.Params...)
	inner := append([]string{"e.time >= toDateTime({from:Int64}, 'UTC')", "e.time < toDateTime({to:Int64}, 'UTC')"}, q.Where...)
	if c.by != "" && !c.all {
		inner = append(inner, hasValue(s.fields[c.by]))
	}
	from = piece(s, inner...)
	edges := "(e.time < fromUnixTimestamp64Nano({from:Int64} * 1000000000, 'UTC') OR e.time >= fromUnixTimestamp64Nano({to:Int64} * 1000000000, 'UTC'))"
	if (c.span.Since.IsZero() || first == from1*int64(time.Second)) && (c.span.Until.IsZero() || last+1 == to1*int64(time.Second)) {
		return from, params
	}
	return from + " UNION ALL " + piece(raw, append(append(within, edges), c.query.Where...)...), params
}

// hasValue is the condition that a field has a value.
func hasValue(c celsql.Column) string {
	switch c.Kind {
	case celsql.Number:
		return c.SQL + " != 0"
	case celsql.Address:
		return c.SQL + " != toIPv6('::')"
	}
	return c.SQL + " != ''"
}

// shownValue is the text of a field as rules group by it: "" when it is not known.
func shownValue(c celsql.Column) string {
	switch c.Kind {
	case celsql.Number:
		return "if(" + c.SQL + " = 0, '', toString(" + c.SQL + "))"
	case celsql.Address:
		return celsql.AddressText(c.SQL)
	}
	return "toString(" + c.SQL + ")"
}

// countable checks a field whose values are counted.
func (r *Searcher) countable(field string) error {
	if c, ok := r.events[field]; ok && c.Kind <= celsql.Address && c.Kind != celsql.Span && c.Kind != celsql.Time && len(c.Columns) == 1 {
		return nil
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.events)) {
		if c := r.events[name]; (c.Kind == celsql.Text || c.Kind == celsql.Number || c.Kind == celsql.Address) && len(c.Columns) == 1 {
			names = append(names, name)
		}
	}
	return fmt.Errorf("%w: the values of %.80q cannot be counted: choose one of %s", history.ErrQuestion, field, strings.Join(names, ", "))
}
