// Package event defines the access event: one request as a gateway saw it, in one typed, bounded and versioned form.
//
// Every tap produces events, every other stage reads them. The package is a leaf: it imports nothing of Warder. Values are
// attacker-controlled; [Event.Bound] cuts them to the limits below before an event goes anywhere.
package event

import (
	"net/netip"
	"time"
)

// Kind says what a record on the events topic is.
type Kind uint8

const (
	// Request is a request that a gateway answered.
	Request Kind = iota
	// Heartbeat carries no request: it tells how far a tap has come, so that event time advances while nothing happens.
	Heartbeat
)

// Event is one access event. The zero value of each field means "the tap could not know". An Event is owned by one
// goroutine at a time; it is never changed after a tap emitted it.
type Event struct {
	// ID is unique and deterministic: the same request read twice by the same tap has the same ID. See [NewID].
	ID ID
	// Tap names the instance that numbered the event, Seq is its number there, ascending from 1.
	Tap string
	Seq uint64
	// Dropped counts the events that this tap had lost for good when it emitted this one.
	Dropped uint64
	Kind    Kind
	// Time is when the gateway received the request, UTC.
	Time time.Time

	Request   RequestInfo
	Response  ResponseInfo
	Source    Source
	Principal Principal
	Auth      Auth
	API       API
	TLS       TLS
	LLM       LLM
	Enforced  Enforced
	WAF       WAF
	Intel     Intel

	// Ext holds what a tap knows beyond the typed fields; at most [MaxExt] entries.
	Ext map[string]string

	// Truncated tells that Bound cut something off.
	Truncated bool
}

// RequestInfo is what the client asked. CEL: request.*
type RequestInfo struct {
	ID        string // the gateway's own request id, if it has one
	Method    string
	Scheme    string
	Protocol  string // "HTTP/1.1"
	Host      string
	Path      string // as sent, without the query
	Query     string // as sent, without "?"
	UserAgent string
	Referer   string
	// Headers has lower-case names; only the ones that the tap was told to keep, redacted where it was told to.
	Headers  map[string]string
	Size     int64 // body bytes
	Duration time.Duration
}

// ResponseInfo is what the client got. CEL: response.*
type ResponseInfo struct {
	Code        int
	Size        int64 // body bytes
	ContentType string
}

// Source is who sent the request. CEL: source.*
type Source struct {
	Address netip.Addr // the client, after trusted-proxy rules
	Port    uint16
	Peer    netip.Addr // the other end of the connection, when it is not the client
	Country string     // ISO 3166-1 alpha-2
	ASN     uint32
}

// Principal is the authenticated or claimed identity. CEL: principal.*
type Principal struct {
	ID     string
	Type   string // "jwt", "api_key", "basic", "certificate", "header"
	Tenant string
	Roles  []string
}

// Auth is how authentication went at the gateway. CEL: auth.*
type Auth struct {
	Outcome string // "", "anonymous", "success", "failure"
	Reason  string // why it failed: "expired", "bad_signature", …
}

// API is where the request went. CEL: api.*
type API struct {
	Route   string // the template: "/users/{id}"
	Version string
	Name    string // upstream or service
}

// TLS describes the client's connection. CEL: tls.*
type TLS struct {
	Version     string // "1.3"
	SNI         string
	Fingerprint string
}

// LLM is set for calls through an AI gateway. CEL: llm.*
type LLM struct {
	Model            string
	PromptTokens     int64
	CompletionTokens int64
}

// Enforced is set when a decision of Warder's answered the request, or would have. CEL: enforced.*
type Enforced struct {
	By     string // decision id
	Action string // one of [Actions]
}

// Actions lists the values of Enforced.Action besides "": what a decision did to the request, or would have done.
func Actions() []string {
	return []string{"block", "limit", "challenge", "log", "observe:block", "observe:limit", "observe:challenge", "observe:log"}
}

// WAF carries a web application firewall's opinion. CEL: waf.*
type WAF struct {
	Score int64
	Rules []string
}

// Intel lists the threat-intelligence lists that the source is on. CEL: intel.*
type Intel struct {
	Lists []string
}

// Refused tells whether a decision of Warder's answered this request instead of the upstream: such an event does not feed
// detection again.
func (e *Event) Refused() bool {
	return e.Enforced.Action == "block" || e.Enforced.Action == "limit" || e.Enforced.Action == "challenge"
}

// Key is the event's key on the bus: all events of one client address share a partition. Without an address it is the tap.
func (e *Event) Key() []byte {
	if !e.Source.Address.IsValid() {
		return []byte(e.Tap)
	}
	b := e.Source.Address.As16()
	return b[:]
}
