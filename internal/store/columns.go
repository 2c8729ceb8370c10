package store

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/event"
)

// column is a column of a table and how to fill it from a batch of rows.
type column[R any] struct {
	name string
	fill func(into driver.BatchColumn, rows []R) error
	typ  string                 // what is sent, of columns that can be encoded
	add  func(v *vector, row R) // adds a row's value to such a column
}

// encoded says how values of the column are encoded.
func (c column[R]) encoded(typ string, add func(v *vector, row R)) column[R] {
	c.typ, c.add = typ, add
	return c
}

// col makes a column of one value a row.
func col[R, V any](name string, value func(r R) V) column[R] {
	return column[R]{name: name, fill: func(into driver.BatchColumn, rows []R) error {
		values := make([]V, len(rows))
		for i, r := range rows {
			values[i] = value(r)
		}
		return into.Append(values)
	}}
}

// low makes a LowCardinality(String) column. clickhouse-go boxes each value of a []string; here each distinct value is boxed once.
func low[R any](name string, value func(r R) string) column[R] {
	return column[R]{name: name, fill: func(into driver.BatchColumn, rows []R) error {
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
	return column[R]{name: name, fill: func(into driver.BatchColumn, rows []R) error {
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

// The constructors below are for columns that can be encoded too.

func text[R any](name string, value func(r R) string) column[R] {
	return col(name, value).encoded("String", func(v *vector, r R) { v.text(value(r)) })
}

func short[R any](name string, value func(r R) string) column[R] {
	return low(name, value).encoded(lowText, func(v *vector, r R) { v.low(value(r)) })
}

func integer[R any, N int32 | int64 | uint16 | uint32 | uint64](name, typ string, value func(r R) N) column[R] {
	add := func(v *vector, r R) { v.u64(uint64(value(r))) }
	switch typ {
	case "UInt16":
		add = func(v *vector, r R) { v.u16(uint16(value(r))) }
	case "Int32", "UInt32":
		add = func(v *vector, r R) { v.u32(uint32(value(r))) }
	}
	return col(name, value).encoded(typ, add)
}

func address[R any](name string, value func(r R) netip.Addr) column[R] {
	return col(name, func(r R) netip.Addr { return storedAddr(value(r)) }).encoded("IPv6", func(v *vector, r R) { v.addr(value(r)) })
}

func shorts[R any](name string, value func(r R) []string) column[R] {
	return col(name, value).encoded("Array("+lowText+")", func(v *vector, r R) { v.lows(value(r)) })
}

func pairs[R any](name string, value func(r R) map[string]string) column[R] {
	return col(name, value).encoded("Map("+lowText+", String)", func(v *vector, r R) { v.pairs(value(r)) })
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

// eventColumns lists the columns that make up an event, in the order in which scanEvent reads them. Those without a type follow from
// others.
func eventColumns() []column[eventRow] {
	return []column[eventRow]{
		{name: "id"},
		col("time", func(e eventRow) time.Time { return storedTime(e.Time) }).encoded("DateTime64(9, 'UTC')", func(v *vector, e eventRow) { v.nanos(e.Time) }),
		short("tap", func(e eventRow) string { return e.Tap }),
		integer("seq", "UInt64", func(e eventRow) uint64 { return e.Seq }),
		integer("kafka_partition", "UInt16", func(e eventRow) uint16 { return e.partition }),
		integer("dropped", "UInt64", func(e eventRow) uint64 { return e.Dropped }),
		{name: "request_id"},
		short("method", func(e eventRow) string { return e.Request.Method }),
		short("scheme", func(e eventRow) string { return e.Request.Scheme }),
		short("protocol", func(e eventRow) string { return e.Request.Protocol }),
		short("host", func(e eventRow) string { return e.Request.Host }),
		text("path", func(e eventRow) string { return e.Request.Path }),
		text("query", func(e eventRow) string { return e.Request.Query }),
		short("user_agent", func(e eventRow) string { return e.Request.UserAgent }),
		short("referer", func(e eventRow) string { return e.Request.Referer }),
		pairs("headers", func(e eventRow) map[string]string { return e.Request.Headers }),
		integer("request_size", "Int64", func(e eventRow) int64 { return e.Request.Size }),
		integer("duration", "Int64", func(e eventRow) int64 { return int64(e.Request.Duration) }),
		integer("code", "Int32", func(e eventRow) int32 { return int32(e.Response.Code) }),
		integer("response_size", "Int64", func(e eventRow) int64 { return e.Response.Size }),
		short("content_type", func(e eventRow) string { return e.Response.ContentType }),
		address("source_address", func(e eventRow) netip.Addr { return e.Source.Address }),
		integer("source_port", "UInt16", func(e eventRow) uint16 { return e.Source.Port }),
		address("source_peer", func(e eventRow) netip.Addr { return e.Source.Peer }),
		short("country", func(e eventRow) string { return e.Source.Country }),
		integer("asn", "UInt32", func(e eventRow) uint32 { return e.Source.ASN }),
		text("principal_id", func(e eventRow) string { return e.Principal.ID }),
		short("principal_type", func(e eventRow) string { return e.Principal.Type }),
		short("tenant", func(e eventRow) string { return e.Principal.Tenant }),
		shorts("roles", func(e eventRow) []string { return e.Principal.Roles }),
		short("auth_outcome", func(e eventRow) string { return e.Auth.Outcome }),
		short("auth_reason", func(e eventRow) string { return e.Auth.Reason }),
		short("route", func(e eventRow) string { return e.API.Route }),
		short("api_version", func(e eventRow) string { return e.API.Version }),
		short("api_name", func(e eventRow) string { return e.API.Name }),
		short("tls_version", func(e eventRow) string { return e.TLS.Version }),
		short("sni", func(e eventRow) string { return e.TLS.SNI }),
		short("tls_fingerprint", func(e eventRow) string { return e.TLS.Fingerprint }),
		short("model", func(e eventRow) string { return e.LLM.Model }),
		integer("prompt_tokens", "Int64", func(e eventRow) int64 { return e.LLM.PromptTokens }),
		integer("completion_tokens", "Int64", func(e eventRow) int64 { return e.LLM.CompletionTokens }),
		text("enforced_by", func(e eventRow) string { return e.Enforced.By }),
		short("enforced_action", func(e eventRow) string { return e.Enforced.Action }),
		integer("waf_score", "Int64", func(e eventRow) int64 { return e.WAF.Score }),
		shorts("waf_rules", func(e eventRow) []string { return e.WAF.Rules }),
		shorts("intel_lists", func(e eventRow) []string { return e.Intel.Lists }),
		pairs("ext", func(e eventRow) map[string]string { return e.Ext }),
		col("truncated", func(e eventRow) bool { return e.Truncated }).encoded("Bool", func(v *vector, e eventRow) { v.flag(e.Truncated) }),
	}
}

// A request id that is an UUID in its canonical form is stored as one, in 16 bytes that are as good as random; any other as text.
func requestUUID(id string) (u [16]byte, ok bool) {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return u, false
	}
	var digits [32]byte
	n := 0
	for i := range len(id) {
		switch c := id[i]; {
		case i == 8, i == 13, i == 18, i == 23:
			continue
		case 'A' <= c && c <= 'F': // would come back in lower case
			return u, false
		default:
			digits[n] = c
			n++
		}
	}
	_, err := hex.Decode(u[:], digits[:])
	return u, err == nil && u != [16]byte{}
}

// eventInserts lists the columns that are written.
func eventInserts() []column[eventRow] {
	columns := slices.DeleteFunc(eventColumns(), func(c column[eventRow]) bool { return c.typ == "" })
	return append(columns,
		col("request_uuid", func(e eventRow) string {
			if _, ok := requestUUID(e.Request.ID); ok {
				return e.Request.ID
			}
			return "00000000-0000-0000-0000-000000000000"
		}).encoded("UUID", func(v *vector, e eventRow) {
			u, _ := requestUUID(e.Request.ID)
			v.uuid(u)
		}),
		text("request_text", func(e eventRow) string {
			if _, ok := requestUUID(e.Request.ID); ok {
				return ""
			}
			return e.Request.ID
		}))
}
