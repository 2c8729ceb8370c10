package celsql

import "slices"

// Kind is what a field's column holds.
type Kind uint8

// The kinds of fields.
const (
	Text     Kind = iota // String
	Number               // a whole number that fits an Int64
	Span                 // a duration as nanoseconds in an Int64
	Time                 // DateTime64(9, 'UTC')
	Address              // IPv6, IPv4 mapped, "::" for none; a text in CEL
	TextList             // Array(String)
	TextMap              // Map(String, String)
	Opaque               // worked out in Go alone
)

// Column is how SQL says a field.
type Column struct {
	Kind    Kind
	SQL     string   // the table is e
	Columns []string // the table's columns that the field is made of
}

// Table has the columns of fields by their names in CEL.
type Table map[string]Column

// Columns lists the table's columns that the fields are made of, each once, in order.
func (t Table) Columns(fields []string) []string {
	var out []string
	for _, f := range fields {
		out = append(out, t[f].Columns...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Events are the fields of the store's table events: all that rules can name (rules/field.go), which a test compares.
func Events() Table {
	t := Table{
		"request.uri": {Text, "if(e.query = '', e.path, concat(e.path, '?', e.query))", []string{"path", "query"}},
		// Joined and narrowed down by a function of its own, see rules/headers.go.
		"request.header_values": {Kind: Opaque, Columns: []string{"headers"}},
	}
	for kind, names := range map[Kind]map[string]string{
		Text: {
			"event.tap": "tap", "request.id": "request_id", "request.method": "method", "request.scheme": "scheme",
			"request.protocol": "protocol", "request.host": "host", "request.path": "path", "request.query": "query",
			"request.useragent": "user_agent", "request.referer": "referer", "response.content_type": "content_type",
			"source.country": "country", "principal.id": "principal_id", "principal.type": "principal_type", "principal.tenant": "tenant",
			"auth.outcome": "auth_outcome", "auth.reason": "auth_reason", "api.route": "route", "api.version": "api_version",
			"api.name": "api_name", "tls.version": "tls_version", "tls.sni": "sni", "tls.fingerprint": "tls_fingerprint",
			"llm.model": "model", "enforced.by": "enforced_by", "enforced.action": "enforced_action",
		},
		Number: {
			"request.size": "request_size", "response.code": "code", "response.size": "response_size", "source.port": "source_port",
			"source.asn": "asn", "llm.prompt_tokens": "prompt_tokens", "llm.completion_tokens": "completion_tokens", "waf.score": "waf_score",
		},
		Span:     {"request.duration": "duration"},
		Time:     {"event.time": "time"},
		Address:  {"source.address": "source_address", "source.peer": "source_peer"},
		TextList: {"principal.roles": "roles", "waf.rules": "waf_rules", "intel.lists": "intel_lists"},
		TextMap:  {"request.headers": "headers", "ext": "ext"},
	} {
		for field, column := range names {
			t[field] = Column{kind, "e." + column, []string{column}}
		}
	}
	return t
}
