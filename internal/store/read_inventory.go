package store

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/history"
)

// endpointKey is what tells endpoints apart.
const endpointKey = "api_name, host, method, route, api_version"

// Inventory implements [history.Reader], in the order of API, host, route and method. It reads the rollup by the day: figures are those of
// the whole days on which the endpoint was called within the span. First is that of all days. Whether anonymous callers had success (2xx) is
// known by API, method and route, but not by host.
func (s *Store) Inventory(ctx context.Context, f history.InventoryFilter) ([]history.Endpoint, error) {
	if err := checkSpan(f.Span); err != nil {
		return nil, err
	}
	q := newSelect("SELECT e.api_name, e.host, e.method, e.route, e.api_version, any(o.first), max(e.last_seen), sum(e.requests), sum(e.authenticated), " +
		"sum(e.anonymous), sum(e.failed), sum(e.client_errors), sum(e.server_errors), sum(e.refused), sum(e.response_bytes), max(e.largest), " +
		"uniqCombinedMerge(12)(e.clients), uniqCombinedMerge(12)(e.principals), arraySort(groupUniqArrayArray(8)(e.content_types)) " +
		"FROM endpoints AS e INNER JOIN (SELECT " + endpointKey + ", min(d.first_seen) AS first FROM endpoints AS d GROUP BY " + endpointKey + ") AS o " +
		"USING (" + endpointKey + ")")
	inventorySpan(q, f.Span)
	if f.API != "" {
		q.where("e.api_name = {api:String}", clickhouse.Named("api", f.API))
	}
	if f.Route != "" {
		q.where("startsWith(e.route, {route:String})", clickhouse.Named("route", f.Route))
	}
	if !f.NewSince.IsZero() {
		q.where("o.first >= {new:DateTime64(9, 'UTC')}", clickhouse.DateNamed("new", storedTime(f.NewSince), clickhouse.NanoSeconds))
	}
	if f.Unauthenticated {
		q.where("e.anonymous > 0")
		q.where("(e.api_name, e.route, e.method) IN (" + openRoutes(f.Span) + ")")
	}
	out := []history.Endpoint{}
	tail := "GROUP BY e.api_name, e.host, e.method, e.route, e.api_version ORDER BY e.api_name, e.host, e.route, e.method, e.api_version"
	err := s.each(ctx, "read the inventory", q.text(tail, f.Limit), q.args, func(r driver.Rows) error {
		var e history.Endpoint
		err := r.Scan(&e.API, &e.Host, &e.Method, &e.Route, &e.Version, &e.First, &e.Last, &e.Requests, &e.Authenticated, &e.Anonymous, &e.Failed,
			&e.ClientErrors, &e.ServerErrors, &e.Refused, &e.Bytes, &e.Largest, &e.Clients, &e.Principals, &e.ContentTypes)
		out = append(out, e)
		return err
	})
	return out, err
}

// inventorySpan narrows the rollup to the days on which an endpoint was called within the span.
func inventorySpan(q *selects, span history.Span) {
	q.span("e.last_seen", span.Since, time.Time{})
	q.span("e.first_seen", time.Time{}, span.Until)
	if !span.Since.IsZero() {
		q.where("e.day >= toDate({since:DateTime64(9, 'UTC')})")
	}
	if !span.Until.IsZero() {
		q.where("e.day <= toDate({until:DateTime64(9, 'UTC')})")
	}
}

// openRoutes selects the routes that answered anonymous callers with success. Its parameters are those of inventorySpan.
func openRoutes(span history.Span) string {
	q := newSelect("SELECT h.api_name, h.route, h.method FROM traffic_hour AS h")
	q.where("h.auth_outcome IN ('', 'anonymous') AND h.code BETWEEN 200 AND 299")
	if !span.Since.IsZero() {
		q.where("h.time >= toStartOfDay({since:DateTime64(9, 'UTC')})")
	}
	if !span.Until.IsZero() {
		q.where("h.time < {until:DateTime64(9, 'UTC')}")
	}
	return q.body()
}
