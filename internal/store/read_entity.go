package store

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/history"
)

// Bounds of an entity's profile.
const (
	maxListed  = 50      // alerts and decisions
	maxTops    = 10      // values of a field
	topsWithin = 7 * day // the tops read events, of so long a time before the last one
	maxBuckets = 24 * 31 // of the timeline: its newest hours
)

// Entity implements [history.Reader]. Sums and timeline are by the hour, of the hours that the span touches; the tops are of the last seven
// days in which the entity was seen.
func (s *Store) Entity(ctx context.Context, id history.EntityID, span history.Span) (*history.Entity, error) {
	if err := checkSpan(span); err != nil {
		return nil, err
	}
	column, value, err := entityColumn(id)
	if err != nil {
		return nil, err
	}
	id.Value = value
	out := &history.Entity{EntityID: id, Span: span, Top: map[string][]history.Count{}}
	if err = s.entitySums(ctx, out); err != nil {
		return nil, err
	}
	if out.Requests == 0 {
		return nil, fmt.Errorf("%w: no request of the %s %.80q is in the span", history.ErrNotFound, id.Kind, value)
	}
	if err = s.entityTimeline(ctx, out); err != nil {
		return nil, err
	}
	if err = s.entityTops(ctx, out, column); err != nil {
		return nil, err
	}
	if out.Alerts, err = s.Alerts(ctx, history.AlertFilter{Span: span, Entity: value, Limit: maxListed}); err != nil {
		return nil, err
	}
	out.Decisions, err = s.Decisions(ctx, history.DecisionFilter{Span: span, Value: value, Limit: maxListed})
	return out, err
}

// entityColumn returns the condition on events, and the value as the rollup has it.
func entityColumn(id history.EntityID) (condition, value string, err error) {
	switch id.Kind {
	case history.Address:
		a, err := netip.ParseAddr(id.Value)
		if err != nil || a.Zone() != "" {
			return "", "", fmt.Errorf("%w: %.60q is not an IP address", history.ErrQuestion, id.Value)
		}
		return "e.source_address = toIPv6({value:String})", a.Unmap().String(), nil
	case history.Principal:
		condition = "e.principal_id = {value:String}"
	case history.Tenant:
		condition = "e.tenant = {value:String}"
	default:
		return "", "", fmt.Errorf("%w: entity kind %.20q is none of address, principal, tenant", history.ErrQuestion, id.Kind)
	}
	if id.Value == "" {
		return "", "", fmt.Errorf("%w: the %s is empty", history.ErrQuestion, id.Kind)
	}
	return condition, id.Value, nil
}

// ofEntity selects the entity's hours.
func ofEntity(head string, e *history.Entity) *selects {
	q := newSelect(head + " FROM entity_hour AS h")
	q.where("h.kind = {kind:String} AND h.value = {value:String}", clickhouse.Named("kind", e.Kind), clickhouse.Named("value", e.Value))
	since := e.Since
	if !since.IsZero() {
		since = since.Truncate(time.Hour)
	}
	q.span("h.time", since, e.Until)
	return q
}

func (s *Store) entitySums(ctx context.Context, e *history.Entity) error {
	q := ofEntity(`SELECT min(h.first_seen), max(h.last_seen), max(h.country), sum(h.requests), sum(h.denied), sum(h.not_found), sum(h.limited),
sum(h.errors), sum(h.refused), sum(h.writes), sum(h.flagged), sum(h.response_bytes), sum(h.tokens), uniqCombinedMerge(12)(h.routes),
uniqCombinedMerge(12)(h.addresses), uniqCombinedMerge(12)(h.principals)`, e)
	return s.each(ctx, "sum up an entity", q.text("", 1), q.args, func(r driver.Rows) error {
		return r.Scan(&e.First, &e.Last, &e.Country, &e.Requests, &e.Denied, &e.NotFound, &e.Limited, &e.Errors, &e.Refused, &e.Writes, &e.Flagged,
			&e.Bytes, &e.Tokens, &e.Distinct.Routes, &e.Distinct.Addresses, &e.Distinct.Principals)
	})
}

func (s *Store) entityTimeline(ctx context.Context, e *history.Entity) error {
	q := ofEntity("SELECT h.time, sum(h.requests), sum(h.denied), sum(h.errors), sum(h.refused)", e)
	sql := "SELECT * FROM (" + q.text("GROUP BY h.time ORDER BY h.time DESC", maxBuckets) + ") ORDER BY time"
	return s.each(ctx, "read an entity's timeline", sql, q.args, func(r driver.Rows) error {
		var b history.Bucket
		err := r.Scan(&b.Time, &b.Count, &b.Denied, &b.Errors, &b.Refused)
		e.Timeline = append(e.Timeline, b)
		return err
	})
}

// entityTops reads the tops, and an address's network.
func (s *Store) entityTops(ctx context.Context, e *history.Entity, condition string) error {
	until := e.Last.Add(time.Second) // the rollup has whole seconds
	since := until.Add(-topsWithin)
	if e.Since.After(since) {
		since = e.Since
	}
	if !e.Until.IsZero() && e.Until.Before(until) {
		until = e.Until
	}
	q := newSelect(`SELECT f.1 AS field, f.2 AS value, count() AS n, n / sum(n) OVER (PARTITION BY field), toUInt32(argMax(e.asn, e.time)) FROM events AS e
ARRAY JOIN [('api.route', toString(e.route)), ('response.code', toString(e.code)), ('source.address', replaceRegexpOne(toString(e.source_address), '^::ffff:', '')),
    ('principal.id', e.principal_id), ('request.user_agent', e.user_agent), ('source.country', toString(e.country))] AS f`)
	q.where(condition+" AND f.2 != ''", clickhouse.Named("value", e.Value))
	q.span("e.time", since, until)
	q.where("toStartOfHour(e.time) >= toStartOfHour({since:DateTime64(9, 'UTC')})") // the table's order
	sql := q.text("GROUP BY field, value ORDER BY field, n DESC, value LIMIT "+fmt.Sprint(maxTops)+" BY field", 0)
	return s.each(ctx, "read an entity's most frequent values", sql, q.args, func(r driver.Rows) error {
		var field string
		var c history.Count
		var asn uint32
		err := r.Scan(&field, &c.Value, &c.Count, &c.Share, &asn)
		if e.Kind == history.Address { // others come from many networks
			e.ASN = asn
		}
		e.Top[field] = append(e.Top[field], c)
		return err
	})
}
