package store

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// MaxIDs is how many events EventsByID looks for at once.
const MaxIDs = 1000

// EventsByID returns the events that the store has of those, oldest first.
func (s *Store) EventsByID(ctx context.Context, ids []event.ID) ([]*event.Event, error) {
	return s.eventsWithin(ctx, ids, history.Span{})
}

// eventsWithin is EventsByID for a span, which spares ClickHouse from looking through all days.
func (s *Store) eventsWithin(ctx context.Context, ids []event.ID, span history.Span) ([]*event.Event, error) {
	if len(ids) > MaxIDs {
		return nil, fmt.Errorf("store: %d event ids are asked for, at most %d are looked for at once", len(ids), MaxIDs)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	hex := make([]string, len(ids))
	for i, id := range ids {
		hex[i] = id.String()
	}
	columns := eventColumns()
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	q := newSelect("SELECT " + strings.Join(names, ", ") + " FROM events")
	q.where("seq IN arrayMap(x -> reinterpretAsUInt64(reverse(substring(unhex(x), 9))), {ids:Array(String)}) AND id IN arrayMap(x -> toFixedString(unhex(x), 16), {ids:Array(String)})", clickhouse.Named("ids", hex))
	q.span("time", span.Since, span.Until)
	var out []*event.Event
	err := s.each(ctx, "read events", q.text("ORDER BY time, id LIMIT 1 BY id", MaxIDs), q.args, func(r driver.Rows) error {
		e, err := scanEvent(r)
		out = append(out, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// scanEvent reads a row of eventColumns, in their order.
func scanEvent(r driver.Rows) (*event.Event, error) {
	e := new(event.Event)
	var id string
	var partition uint16
	var duration int64
	var code int32
	var source, peer netip.Addr
	err := r.Scan(&id, &e.Time, &e.Tap, &e.Seq, &partition, &e.Dropped,
		&e.Request.ID, &e.Request.Method, &e.Request.Scheme, &e.Request.Protocol, &e.Request.Host, &e.Request.Path, &e.Request.Query,
		&e.Request.UserAgent, &e.Request.Referer, &e.Request.Headers, &e.Request.Size, &duration,
		&code, &e.Response.Size, &e.Response.ContentType,
		&source, &e.Source.Port, &peer, &e.Source.Country, &e.Source.ASN,
		&e.Principal.ID, &e.Principal.Type, &e.Principal.Tenant, &e.Principal.Roles,
		&e.Auth.Outcome, &e.Auth.Reason, &e.API.Route, &e.API.Version, &e.API.Name,
		&e.TLS.Version, &e.TLS.SNI, &e.TLS.Fingerprint,
		&e.LLM.Model, &e.LLM.PromptTokens, &e.LLM.CompletionTokens,
		&e.Enforced.By, &e.Enforced.Action, &e.WAF.Score, &e.WAF.Rules, &e.Intel.Lists, &e.Ext, &e.Truncated)
	if err != nil {
		return nil, err
	}
	e.ID = event.ID([]byte(id))
	e.Request.Duration = time.Duration(duration)
	e.Response.Code = int(code)
	e.Source.Address, e.Source.Peer = readAddr(source), readAddr(peer)
	emptyToNil(e)
	return e, nil
}

// emptyToNil makes collections that hold nothing nil, as a decoded event has them.
func emptyToNil(e *event.Event) {
	for _, l := range []*[]string{&e.Principal.Roles, &e.WAF.Rules, &e.Intel.Lists} {
		if len(*l) == 0 {
			*l = nil
		}
	}
	for _, m := range []*map[string]string{&e.Request.Headers, &e.Ext} {
		if len(*m) == 0 {
			*m = nil
		}
	}
}
