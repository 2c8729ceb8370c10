package store

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/celsql"
	"github.com/warder/warder/internal/history"
)

// Bounds of an entity's profile.
const (
	maxEntity    = 1024               // bytes of its name
	entityTops   = 10                 // values of each field
	entityTopped = 7 * 24 * time.Hour // before its last event: the events that the tops are of
	entityLinked = 50                 // alerts, decisions
)

// entity is whom a profile is about.
type entity struct {
	history.EntityID
	field  string // as rules and decisions name it
	column string // of events
}

func newEntity(id history.EntityID) (entity, error) {
	if id.Value == "" || len(id.Value) > maxEntity {
		return entity{}, fmt.Errorf("%w: the name of an entity has 1 to %d bytes", history.ErrQuestion, maxEntity)
	}
	switch id.Kind {
	case history.Principal:
		return entity{id, "principal.id", "principal_id"}, nil
	case history.Tenant:
		return entity{id, "principal.tenant", "tenant"}, nil
	case history.Address:
		a, err := netip.ParseAddr(id.Value)
		if err != nil || a.Zone() != "" {
			return entity{}, fmt.Errorf("%w: %.60q is no IP address", history.ErrQuestion, id.Value)
		}
		id.Value = a.Unmap().String()
		return entity{id, "source.address", "source_address"}, nil
	}
	return entity{}, fmt.Errorf("%w: %.40q is no kind of entity: it is one of %s", history.ErrQuestion, id.Kind,
		listed([]string{history.Address, history.Principal, history.Tenant}))
}

// hours narrows entity_hour AS h to the entity.
func (e entity) hours(q *selects, span history.Span) {
	value := "{value:String}"
	if e.Kind == history.Address { // as the rollup spells it
		value = "replaceRegexpOne(toString(toIPv6({value:String})), '^::ffff:', '')"
	}
	q.where("h.kind = {kind:String}", clickhouse.Named("kind", e.Kind))
	q.where("h.value = "+value, clickhouse.Named("value", e.Value))
	q.span("h.time", span.Since, span.Until)
}

// events narrows events AS e to the entity.
func (e entity) events(q *selects, span history.Span) {
	value := "{value:String}"
	if e.Kind == history.Address {
		value = "toIPv6({value:String})"
	}
	q.where("e."+e.column+" = "+value, clickhouse.Named("value", e.Value))
	q.span("e.time", span.Since, span.Until)
}

// Entity implements [history.Reader]. Its figures are of whole hours: the answer's span is the one that was asked for, widened to them. The
// tops and the ASN are of the events in the seven days up to the entity's last one in the span.
func (s *Store) Entity(ctx context.Context, id history.EntityID, span history.Span) (*history.Entity, error) {
	who, err := newEntity(id)
	if err == nil {
		err = checkSpan(span)
	}
	if err != nil {
		return nil, err
	}
	out := &history.Entity{EntityID: who.EntityID, Span: wholeHours(span), Timeline: []history.Bucket{}, Top: map[string][]history.Count{}}
	if err = s.entitySums(ctx, who, out); err != nil {
		return nil, err
	}
	if out.Requests > 0 {
		if err = s.entityTimeline(ctx, who, out); err != nil {
			return nil, err
		}
		if err = s.entityTop(ctx, who, out); err != nil {
			return nil, err
		}
	}
	if err = s.entityLinks(ctx, who, out); err != nil {
		return nil, err
	}
	if out.Requests == 0 && len(out.Alerts) == 0 && len(out.Decisions) == 0 {
		return nil, fmt.Errorf("%s %q: %w in that span", who.Kind, who.Value, history.ErrNotFound)
	}
	return out, nil
}

// wholeHours widens a span to whole hours.
func wholeHours(span history.Span) history.Span {
	if !span.Since.IsZero() {
		span.Since = span.Since.UTC().Truncate(time.Hour)
	}
	if end := span.Until.UTC().Truncate(time.Hour); !end.Equal(span.Until) {
		span.Until = end.Add(time.Hour)
	}
	return span
}

// entitySums reads what the rollup has.
func (s *Store) entitySums(ctx context.Context, who entity, out *history.Entity) error {
	q := newSelect("SELECT sum(h.requests), sum(h.denied), sum(h.not_found), sum(h.limited), sum(h.errors), sum(h.refused), sum(h.writes), sum(h.flagged), " +
		"sum(h.response_bytes), sum(h.tokens), min(h.first_seen), max(h.last_seen), uniqCombinedMerge(12)(h.routes), uniqCombinedMerge(12)(h.addresses), " +
		"uniqCombinedMerge(12)(h.principals), argMaxIf(toString(h.country), h.last_seen, h.country != '') FROM entity_hour AS h")
	who.hours(q, out.Span)
	return s.each(ctx, "sum up the entity", q.text("", 1), q.args, func(r driver.Rows) error {
		var first, last time.Time
		err := r.Scan(&out.Requests, &out.Denied, &out.NotFound, &out.Limited, &out.Errors, &out.Refused, &out.Writes, &out.Flagged,
			&out.Bytes, &out.Tokens, &first, &last, &out.Distinct.Routes, &out.Distinct.Addresses, &out.Distinct.Principals, &out.Country)
		if out.Requests > 0 { // otherwise they are 1970
			out.First, out.Last = first, last
		}
		return err
	})
}

// entityTimeline reads the entity's hours from its first to its last, or several at once where there are too many.
func (s *Store) entityTimeline(ctx context.Context, who entity, out *history.Entity) error {
	step := time.Hour
	if hours := out.Last.Sub(out.First)/time.Hour + 2; hours >= mostBuckets {
		step = (hours/(mostBuckets-1) + 1) * time.Hour
	}
	q := newSelect("SELECT toInt64(intDiv(toUnixTimestamp(h.time), {step:Int64}) * {step:Int64}) AS bucket, sum(h.requests), sum(h.denied), sum(h.errors), sum(h.refused) " +
		"FROM entity_hour AS h")
	who.hours(q, out.Span)
	q.args = append(q.args, clickhouse.Named("step", int64(step/time.Second)))
	err := s.each(ctx, "count the entity's requests over time", q.text("GROUP BY bucket ORDER BY bucket", 0), q.args, func(r driver.Rows) error {
		var b history.Bucket
		var at int64
		err := r.Scan(&at, &b.Count, &b.Denied, &b.Errors, &b.Refused)
		b.Time = time.Unix(at, 0).UTC()
		out.Timeline = append(out.Timeline, b)
		return err
	})
	out.Timeline = filled(out.Timeline, step, history.Span{Since: out.First, Until: out.Last.Add(1)})
	return err
}

// entityFields are the fields whose most frequent values a profile lists, and their text in SQL over events AS e.
func entityFields() string {
	return "[('api.route', toString(e.route)), ('response.code', if(e.code = 0, '', toString(e.code))), ('source.address', " +
		celsql.AddressText("e.source_address") + "), ('principal.id', e.principal_id), ('request.user_agent', e.user_agent), ('source.country', toString(e.country))]"
}

// entityTop counts the values of the entity's newest events. Those of which a field is not known do not count in it.
func (s *Store) entityTop(ctx context.Context, who entity, out *history.Entity) error {
	span := history.Span{Since: out.Last.Add(-entityTopped), Until: out.Last.Add(time.Second)}
	if span.Since.Before(out.First) {
		span.Since = out.First
	}
	q := newSelect("SELECT argMaxIf(e.asn, e.time, e.asn != 0) FROM events AS e")
	who.events(q, span)
	if err := s.each(ctx, "look for the entity's network", q.text("", 1), q.args, func(r driver.Rows) error { return r.Scan(&out.ASN) }); err != nil {
		return err
	}
	q = newSelect("SELECT f.1 AS field, f.2 AS shown, count() AS n, sum(n) OVER (PARTITION BY field) FROM events AS e ARRAY JOIN " + entityFields() + " AS f")
	who.events(q, span)
	q.where("f.2 != ''")
	tail := fmt.Sprintf("GROUP BY field, shown ORDER BY n DESC, shown LIMIT %d BY field", entityTops)
	return s.each(ctx, "count what the entity did", q.text(tail, 0), q.args, func(r driver.Rows) error {
		var field string
		var c history.Count
		var all uint64
		if err := r.Scan(&field, &c.Value, &c.Count, &all); err != nil {
			return err
		}
		c.Share = float64(c.Count) / float64(all)
		out.Top[field] = append(out.Top[field], c)
		return nil
	})
}

// entityLinks reads the newest alerts and decisions about the entity.
func (s *Store) entityLinks(ctx context.Context, who entity, out *history.Entity) (err error) {
	out.Alerts, err = s.alerts(ctx, history.AlertFilter{Span: out.Span, Limit: entityLinked}, func(q *selects) {
		q.where("a.entity[{field:String}] = {value:String}", clickhouse.Named("field", who.field), clickhouse.Named("value", who.Value))
	})
	if err != nil {
		return err
	}
	out.Decisions, err = s.decisions(ctx, history.DecisionFilter{Span: out.Span, Value: who.Value, Limit: entityLinked}, func(q *selects) {
		q.where("scope = {scope:String}", clickhouse.Named("scope", who.field))
	})
	return err
}
