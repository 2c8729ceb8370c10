package store

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/history"
)

// Inventory implements [history.Reader], from the rollup by day: a span counts whole days. Most requests first, at most MaxRows.
func (s *Store) Inventory(ctx context.Context, f history.InventoryFilter) ([]history.Endpoint, error) {
	if err := checkSpan(f.Span); err != nil {
		return nil, err
	}
	in := newSelect("")
	if !f.Since.IsZero() {
		in.where("e.day >= toDate({since:DateTime64(9, 'UTC')})", clickhouse.DateNamed("since", storedTime(f.Since), clickhouse.NanoSeconds))
	}
	if !f.Until.IsZero() {
		in.where("toDateTime(e.day, 'UTC') < {until:DateTime64(9, 'UTC')}", clickhouse.DateNamed("until", storedTime(f.Until), clickhouse.NanoSeconds))
	}
	in.equal("api_name", f.API)
	if f.Route != "" {
		in.where("startsWith(toString(e.route), {prefix:String})", clickhouse.Named("prefix", f.Route))
	}
	tail := "GROUP BY api_name, host, method, route, api_version HAVING 1"
	if !f.NewSince.IsZero() {
		// An endpoint is new by the first of all its days, not by the first in the span.
		tail += ` AND (api_name, host, method, route, api_version) NOT IN (SELECT o.api_name, o.host, o.method, o.route, o.api_version FROM endpoints AS o
WHERE o.first_seen < {new:DateTime64(9, 'UTC')})`
		in.args = append(in.args, clickhouse.DateNamed("new", storedTime(f.NewSince), clickhouse.NanoSeconds))
	}
	in.head = `SELECT api_name, host, method, route, api_version, min(e.first_seen), max(e.last_seen), sum(e.requests), sum(e.authenticated) AS known,
sum(e.anonymous) AS unknown, sum(e.failed), sum(e.client_errors) AS wrong, sum(e.server_errors) AS broken, sum(e.refused), sum(e.response_bytes),
max(e.largest), uniqCombinedMerge(12)(e.clients), uniqCombinedMerge(12)(e.principals), groupUniqArrayArray(8)(e.content_types) FROM endpoints AS e`
	if f.Unauthenticated {
		// The rollup does not know which of the errors anonymous callers got: those that surely got an answer count.
		tail += " AND unknown > wrong + broken"
	}
	var out []history.Endpoint
	err := s.each(ctx, "read the inventory", in.text(tail+" ORDER BY sum(e.requests) DESC, api_name, host, route, method, api_version", f.Limit), in.args,
		func(r driver.Rows) error {
			var e history.Endpoint
			err := r.Scan(&e.API, &e.Host, &e.Method, &e.Route, &e.Version, &e.First, &e.Last, &e.Requests, &e.Authenticated, &e.Anonymous, &e.Failed,
				&e.ClientErrors, &e.ServerErrors, &e.Refused, &e.Bytes, &e.Largest, &e.Clients, &e.Principals, &e.ContentTypes)
			out = append(out, e)
			return err
		})
	if err != nil {
		return nil, err
	}
	return out, nil
}
