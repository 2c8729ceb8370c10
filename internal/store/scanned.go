package store

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// scannedKey is where a context keeps the count of rows that ClickHouse read for its statements.
type scannedKey struct{}

// counting returns a context whose statements add the rows that ClickHouse reads for them to n. The native protocol reports them while it
// works; over HTTP they stand in a header, which is right once the statement is done and is therefore waited for. Results that are too large to be
// held until then are counted by the rows that come back, which is the least that was read.
func (s *Store) counting(ctx context.Context, n *atomic.Uint64) context.Context {
	if s.cfg.Protocol == HTTP {
		return context.WithValue(ctx, scannedKey{}, n)
	}
	return clickhouse.Context(ctx, clickhouse.WithProgress(func(p *clickhouse.Progress) { n.Add(p.Rows) }))
}

// summaries is a transport that reads ClickHouse's summary of each statement (X-ClickHouse-Summary, see its HTTP interface).
type summaries struct{ next http.RoundTripper }

// countSummaries wraps clickhouse-go's transport.
func countSummaries(t *http.Transport) (http.RoundTripper, error) { return summaries{t}, nil }

// RoundTrip implements http.RoundTripper.
func (s summaries) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if n, ok := r.Context().Value(scannedKey{}).(*atomic.Uint64); ok {
		var sum struct {
			Rows string `json:"read_rows"`
		}
		if json.Unmarshal([]byte(res.Header.Get("X-ClickHouse-Summary")), &sum) == nil {
			rows, _ := strconv.ParseUint(sum.Rows, 10, 64) // 0 when it is no number
			n.Add(rows)
		}
	}
	return res, nil
}
