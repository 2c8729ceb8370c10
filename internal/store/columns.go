package store

import (
	"net/netip"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/event"
)

// column is a column of a table and how to fill it from a batch of rows.
type column[R any] struct {
	name string
	fill func(into driver.BatchColumn, rows []R) error
}

// col makes a column of one value a row.
func col[R, V any](name string, value func(r R) V) column[R] {
	return column[R]{name, func(into driver.BatchColumn, rows []R) error {
		values := make([]V, len(rows))
		for i, r := range rows {
			values[i] = value(r)
		}
		return into.Append(values)
	}}
}

// low makes a LowCardinality(String) column. clickhouse-go boxes each value of a []string; here each distinct value is boxed once.
func low[R any](name string, value func(r R) string) column[R] {
	return column[R]{name, func(into driver.BatchColumn, rows []R) error {
		values := make([]any, len(rows))
		boxes := make(map[string]any)
		last, box := "", any("")
		for i, r := range rows {
			if v := value(r); v != last {
				b, ok := boxes[v]
				if !ok {
					b = v
					boxes[v] = b
				}
				last, box = v, b
			}
			values[i] = box
		}
		return into.Append(values)
	}}
}

// fixed makes a FixedString(16) column.
func fixed[R any](name string, value func(r R) [16]byte) column[R] {
	return column[R]{name, func(into driver.BatchColumn, rows []R) error {
		run := make([]byte, 0, 16*len(rows))
		values := make([][]byte, len(rows))
		for i, r := range rows {
			v := value(r)
			run = append(run, v[:]...)
			values[i] = run[16*i:]
		}
		return into.Append(values) // which takes the first 16 bytes of each
	}}
}

// The span of times that the tables can hold: a partition's day and the TTL are 16 and 32 bit numbers in ClickHouse. An event
// that claims a time outside is stored with the nearest bound.
const (
	firstTime = 0          // 1970-01-01
	lastTime  = 4102444799 // 2099-12-31T23:59:59
)

// storedTime brings a time into the span.
func storedTime(t time.Time) time.Time {
	switch s := t.Unix(); {
	case s < firstTime:
		return time.Unix(firstTime, 0).UTC()
	case s > lastTime:
		return time.Unix(lastTime, 0).UTC()
	}
	return t.UTC()
}

// storedAddr returns the address as the IPv6 columns hold it: IPv4 mapped, "::" for none.
func storedAddr(a netip.Addr) netip.Addr {
	if !a.IsValid() {
		return netip.IPv6Unspecified()
	}
	return netip.AddrFrom16(a.As16())
}

// readAddr undoes storedAddr.
func readAddr(a netip.Addr) netip.Addr {
	if a == netip.IPv6Unspecified() {
		return netip.Addr{}
	}
	return a.Unmap()
}

// eventRow is an event on its way into the table.
type eventRow struct {
	*event.Event
	partition uint16
}

// eventColumns lists the events table's columns.
func eventColumns() []column[eventRow] {
	return []column[eventRow]{
		fixed("id", func(e eventRow) [16]byte { return e.ID }),
		col("time", func(e eventRow) time.Time { return storedTime(e.Time) }),
		low("tap", func(e eventRow) string { return e.Tap }),
		col("seq", func(e eventRow) uint64 { return e.Seq }),
		col("kafka_partition", func(e eventRow) uint16 { return e.partition }),
		col("dropped", func(e eventRow) uint64 { return e.Dropped }),
		col("request_id", func(e eventRow) string { return e.Request.ID }),
		low("method", func(e eventRow) string { return e.Request.Method }),
		low("scheme", func(e eventRow) string { return e.Request.Scheme }),
		low("protocol", func(e eventRow) string { return e.Request.Protocol }),
		low("host", func(e eventRow) string { return e.Request.Host }),
		col("path", func(e eventRow) string { return e.Request.Path }),
		col("query", func(e eventRow) string { return e.Request.Query }),
		col("user_agent", func(e eventRow) string { return e.Request.UserAgent }),
		col("referer", func(e eventRow) string { return e.Request.Referer }),
		col("headers", func(e eventRow) map[string]string { return e.Request.Headers }),
		col("request_size", func(e eventRow) int64 { return e.Request.Size }),
		col("duration", func(e eventRow) int64 { return int64(e.Request.Duration) }),
		col("code", func(e eventRow) int32 { return int32(e.Response.Code) }),
		col("response_size", func(e eventRow) int64 { return e.Response.Size }),
		low("content_type", func(e eventRow) string { return e.Response.ContentType }),
		col("source_address", func(e eventRow) netip.Addr { return storedAddr(e.Source.Address) }),
		col("source_port", func(e eventRow) uint16 { return e.Source.Port }),
		col("source_peer", func(e eventRow) netip.Addr { return storedAddr(e.Source.Peer) }),
		low("country", func(e eventRow) string { return e.Source.Country }),
		col("asn", func(e eventRow) uint32 { return e.Source.ASN }),
		col("principal_id", func(e eventRow) string { return e.Principal.ID }),
		low("principal_type", func(e eventRow) string { return e.Principal.Type }),
		low("tenant", func(e eventRow) string { return e.Principal.Tenant }),
		col("roles", func(e eventRow) []string { return e.Principal.Roles }),
		low("auth_outcome", func(e eventRow) string { return e.Auth.Outcome }),
		low("auth_reason", func(e eventRow) string { return e.Auth.Reason }),
		low("route", func(e eventRow) string { return e.API.Route }),
		low("api_version", func(e eventRow) string { return e.API.Version }),
		low("api_name", func(e eventRow) string { return e.API.Name }),
		low("tls_version", func(e eventRow) string { return e.TLS.Version }),
		low("sni", func(e eventRow) string { return e.TLS.SNI }),
		low("tls_fingerprint", func(e eventRow) string { return e.TLS.Fingerprint }),
		low("model", func(e eventRow) string { return e.LLM.Model }),
		col("prompt_tokens", func(e eventRow) int64 { return e.LLM.PromptTokens }),
		col("completion_tokens", func(e eventRow) int64 { return e.LLM.CompletionTokens }),
		col("enforced_by", func(e eventRow) string { return e.Enforced.By }),
		low("enforced_action", func(e eventRow) string { return e.Enforced.Action }),
		col("waf_score", func(e eventRow) int64 { return e.WAF.Score }),
		col("waf_rules", func(e eventRow) []string { return e.WAF.Rules }),
		col("intel_lists", func(e eventRow) []string { return e.Intel.Lists }),
		col("ext", func(e eventRow) map[string]string { return e.Ext }),
		col("truncated", func(e eventRow) bool { return e.Truncated }),
	}
}
