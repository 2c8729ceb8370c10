package rules

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/google/cel-go/cel"

	"github.com/warder/warder/internal/event"
)

// field is one event field as rules see it. Exactly one getter is set; it decides the CEL type.
type field struct {
	name string
	max  int // bound of the text's bytes, the list's or the table's entries

	text func(*event.Event) string
	addr func(*event.Event) netip.Addr // a text field whose text is the canonical address
	num  func(*event.Event) int64
	span func(*event.Event) time.Duration
	time func(*event.Event) time.Time
	list func(*event.Event) []string
	tab  func(*event.Event) map[string]string
}

// celType returns the field's type in expressions. Addresses are strings: they compare as text, in canonical form, and
// cidr().containsIP() takes them as they are.
func (f *field) celType() *cel.Type {
	switch {
	case f.num != nil:
		return cel.IntType
	case f.span != nil:
		return cel.DurationType
	case f.time != nil:
		return cel.TimestampType
	case f.list != nil:
		return cel.ListType(cel.StringType)
	case f.tab != nil:
		return cel.MapType(cel.StringType, cel.StringType)
	}
	return cel.StringType
}

// groupable tells whether the field has one short value that can name an entity.
func (f *field) groupable() bool { return f.text != nil || f.addr != nil || f.num != nil }

// value returns the canonical text of a groupable field: numbers in decimal, addresses as netip prints them. It is empty
// when the tap could not know the value.
func (f *field) value(e *event.Event) string {
	switch {
	case f.text != nil:
		return f.text(e)
	case f.addr != nil:
		return addrText(f.addr(e))
	case f.num != nil:
		if n := f.num(e); n != 0 {
			return strconv.FormatInt(n, 10)
		}
	}
	return ""
}

// addrText is the canonical form of an address, "" for none: an IPv4 address in IPv6 clothing is the IPv4 address.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}

func text(name string, limit int, get func(*event.Event) string) *field {
	return &field{name: name, max: limit, text: get}
}

func num(name string, get func(*event.Event) int64) *field { return &field{name: name, num: get} }

// eventFields is every event field that a rule can name, in the order of the documentation.
func eventFields() []*field {
	type ev = event.Event
	short := event.MaxShort
	return []*field{
		{name: "event.time", time: func(e *ev) time.Time { return e.Time }},
		text("event.tap", short, func(e *ev) string { return e.Tap }),

		text("request.id", short, func(e *ev) string { return e.Request.ID }),
		text("request.method", short, func(e *ev) string { return e.Request.Method }),
		text("request.scheme", short, func(e *ev) string { return e.Request.Scheme }),
		text("request.protocol", short, func(e *ev) string { return e.Request.Protocol }),
		text("request.host", short, func(e *ev) string { return e.Request.Host }),
		text("request.path", event.MaxText, func(e *ev) string { return e.Request.Path }),
		text("request.query", event.MaxText, func(e *ev) string { return e.Request.Query }),
		text("request.uri", 2*event.MaxText+1, uri),
		text("request.useragent", event.MaxAgent, func(e *ev) string { return e.Request.UserAgent }),
		text("request.referer", event.MaxAgent, func(e *ev) string { return e.Request.Referer }),
		{name: "request.headers", max: event.MaxHeaders, tab: func(e *ev) map[string]string { return e.Request.Headers }},
		text("request.header_values", maxHeaderValues, headerValues),
		num("request.size", func(e *ev) int64 { return e.Request.Size }),
		{name: "request.duration", span: func(e *ev) time.Duration { return e.Request.Duration }},

		num("response.code", func(e *ev) int64 { return int64(e.Response.Code) }),
		num("response.size", func(e *ev) int64 { return e.Response.Size }),
		text("response.content_type", short, func(e *ev) string { return e.Response.ContentType }),

		{name: "source.address", max: 64, addr: func(e *ev) netip.Addr { return e.Source.Address }},
		num("source.port", func(e *ev) int64 { return int64(e.Source.Port) }),
		{name: "source.peer", max: 64, addr: func(e *ev) netip.Addr { return e.Source.Peer }},
		text("source.country", short, func(e *ev) string { return e.Source.Country }),
		num("source.asn", func(e *ev) int64 { return int64(e.Source.ASN) }),

		text("principal.id", short, func(e *ev) string { return e.Principal.ID }),
		text("principal.type", short, func(e *ev) string { return e.Principal.Type }),
		text("principal.tenant", short, func(e *ev) string { return e.Principal.Tenant }),
		{name: "principal.roles", max: event.MaxList, list: func(e *ev) []string { return e.Principal.Roles }},

		text("auth.outcome", short, func(e *ev) string { return e.Auth.Outcome }),
		text("auth.reason", short, func(e *ev) string { return e.Auth.Reason }),

		text("api.route", event.MaxAgent, func(e *ev) string { return e.API.Route }),
		text("api.version", short, func(e *ev) string { return e.API.Version }),
		text("api.name", short, func(e *ev) string { return e.API.Name }),

		text("tls.version", short, func(e *ev) string { return e.TLS.Version }),
		text("tls.sni", short, func(e *ev) string { return e.TLS.SNI }),
		text("tls.fingerprint", short, func(e *ev) string { return e.TLS.Fingerprint }),

		text("llm.model", short, func(e *ev) string { return e.LLM.Model }),
		num("llm.prompt_tokens", func(e *ev) int64 { return e.LLM.PromptTokens }),
		num("llm.completion_tokens", func(e *ev) int64 { return e.LLM.CompletionTokens }),

		text("enforced.by", short, func(e *ev) string { return e.Enforced.By }),
		text("enforced.action", short, func(e *ev) string { return e.Enforced.Action }),

		num("waf.score", func(e *ev) int64 { return e.WAF.Score }),
		{name: "waf.rules", max: event.MaxList, list: func(e *ev) []string { return e.WAF.Rules }},
		{name: "intel.lists", max: event.MaxList, list: func(e *ev) []string { return e.Intel.Lists }},

		{name: "ext", max: event.MaxExt, tab: func(e *ev) map[string]string { return e.Ext }},
	}
}

// uri is the path and, where there is one, "?" and the query, as sent.
func uri(e *event.Event) string {
	if e.Request.Query == "" {
		return e.Request.Path
	}
	return e.Request.Path + "?" + e.Request.Query
}

// synonyms leads from names that people try first to ours, for suggestions.
func synonyms() map[string]string {
	return map[string]string{
		"response.status": "response.code", "response.status_code": "response.code", "status": "response.code", "status_code": "response.code",
		"source.ip": "source.address", "client.ip": "source.address", "client_ip": "source.address", "remote_addr": "source.address",
		"request.user_agent": "request.useragent", "user_agent": "request.useragent", "request.url": "request.uri",
		"request.url_path": "request.path", "path": "request.path", "method": "request.method", "request.time": "event.time",
		"user": "principal.id", "user.id": "principal.id", "principal": "principal.id", "request.header": "request.headers",
		"route": "api.route", "request.route": "api.route", "host": "request.host", "request.referrer": "request.referer",
		"response.bytes": "response.size", "request.bytes": "request.size", "time": "event.time", "timestamp": "event.time",
	}
}
