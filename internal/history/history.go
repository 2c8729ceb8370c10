// Package history is what can be asked of the past: the one narrow interface through which the command line, the API and backtests
// read events, entities, alerts, the API inventory and decisions. The store implements it on ClickHouse, the API's client over HTTP.
// The package is a leaf; its types' JSON forms are what the API speaks.
package history

import (
	"context"
	"errors"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
)

// MaxRows is the most rows that one question is answered with; a search without a limit goes on past it, see [Search].
const MaxRows = 10_000

// ErrNotFound is wrapped when what was asked for by its name is not there.
var ErrNotFound = errors.New("not found")

// ErrQuestion is wrapped when the question itself is at fault: a filter that does not compile, a span that ends before it begins.
// The text tells where and why.
var ErrQuestion = errors.New("the question cannot be asked")

// Span is a span of event time: Since is inclusive, Until exclusive. A zero time does not bound.
type Span struct {
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// Reader answers questions about the past. It is safe for concurrent use. Every answer is bounded in rows, time and memory; an error that
// comes of a bound names it and says how to ask for less.
type Reader interface {
	// Search calls fn for each event that the search is about, in its order, as they are found, until there are no more, fn fails or ctx ends.
	Search(ctx context.Context, s Search, fn func(*event.Event) error) (Summary, error)
	// Explain tells how a search would be answered, without answering it.
	Explain(ctx context.Context, s Search) (Plan, error)
	// Timeline counts events over time.
	Timeline(ctx context.Context, t Timeline) ([]Bucket, error)
	// Top lists the most frequent values of a field.
	Top(ctx context.Context, t Top) ([]Count, error)
	// Entity sums up what is known of a client, user or tenant; ErrNotFound when nothing is.
	Entity(ctx context.Context, e EntityID, s Span) (*Entity, error)
	// Alerts lists alerts, newest first, with what people made of them.
	Alerts(ctx context.Context, f AlertFilter) ([]Alert, error)
	// Alert returns one alert with its evidence and the decisions that came of it. id may be shortened to a prefix that only one alert has.
	Alert(ctx context.Context, id string) (*AlertDetail, error)
	// Inventory lists the endpoints that were called.
	Inventory(ctx context.Context, f InventoryFilter) ([]Endpoint, error)
	// Decisions lists decisions, newest change first.
	Decisions(ctx context.Context, f DecisionFilter) ([]DecisionChange, error)
}

// Triager changes what people make of alerts. by names the person or token.
type Triager interface {
	Triage(ctx context.Context, by, id string, t Triage) (*Alert, error)
}

// Search asks for events.
type Search struct {
	Span
	// Filter is a CEL expression over an event, as in a rule's where; "" is every event.
	Filter string `json:"filter,omitempty"`
	// Limit is how many events are wanted at most; 0 is all of them.
	Limit int `json:"limit,omitempty"`
	// OldestFirst turns the order round: without it, the newest come first.
	OldestFirst bool `json:"oldest_first,omitempty"`
	// StoredSince keeps events that were stored then or later, by the store's clock, which Summary.Stored tells; some that were stored a little
	// before may come with them. How far back that goes is bounded by the journal of the store, seven days.
	StoredSince time.Time `json:"stored_since,omitzero"`
}

// Summary tells how a search went.
type Summary struct {
	Found   uint64        `json:"found"`   // events handed out
	Scanned uint64        `json:"scanned"` // rows that ClickHouse read
	Checked uint64        `json:"checked"` // rows that the part of the filter which is evaluated in Go saw
	Failed  uint64        `json:"failed"`  // of these, ones on which it failed, for example because a field is missing; they are left out
	Took    time.Duration `json:"took"`    // nanoseconds
	Stored  time.Time     `json:"stored"`  // the store's clock when the search began: what was stored before has been looked at
}

// Plan tells how a search is answered.
type Plan struct {
	Pushed []string `json:"pushed"` // parts of the filter that ClickHouse evaluates, as CEL
	Rest   []string `json:"rest"`   // parts that are evaluated in Go on what ClickHouse returns, each with the reason
	SQL    string   `json:"sql"`    // the statement, with its parameters' names
	Params []Param  `json:"params,omitempty"`
}

// Param is a parameter of a statement.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Timeline asks how many events there were over time. Step is rounded up to a whole minute, and grows until there are at most 1,000 buckets for
// each value. The answer has every bucket of the span, empty ones too, unless By parts it; none when there is no event at all.
type Timeline struct {
	Span
	Filter string        `json:"filter,omitempty"`
	Step   time.Duration `json:"step,omitempty"` // nanoseconds; 0 chooses one
	By     string        `json:"by,omitempty"`   // a field such as api.route that parts the counts; "" does not
}

// Bucket is a piece of a timeline.
type Bucket struct {
	Time    time.Time `json:"time"` // its beginning
	Value   string    `json:"value,omitempty"`
	Count   uint64    `json:"count"`
	Denied  uint64    `json:"denied"`  // 401, 403 or a failed authentication
	Errors  uint64    `json:"errors"`  // 5xx
	Refused uint64    `json:"refused"` // answered by a decision of Warder's
}

// Top asks for the most frequent values of a field, such as source.address or api.route.
type Top struct {
	Span
	Filter string `json:"filter,omitempty"`
	Field  string `json:"field"`
	Limit  int    `json:"limit,omitempty"` // 0 is 20
}

// Count is how often a value came.
type Count struct {
	Value string  `json:"value"`
	Count uint64  `json:"count"`
	Share float64 `json:"share"` // of all counted events, 0 to 1
}

// The kinds of entities.
const (
	Address   = "address"
	Principal = "principal"
	Tenant    = "tenant"
)

// EntityID names a client, user or tenant.
type EntityID struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// Entity is the profile of a client, user or tenant. Its figures are of whole hours, to which Span is widened; ASN and Top are of the seven
// days up to Last.
type Entity struct {
	EntityID
	Span
	First     time.Time          `json:"first_seen"`
	Last      time.Time          `json:"last_seen"`
	Country   string             `json:"country,omitempty"`
	ASN       uint32             `json:"asn,omitempty"`
	Requests  uint64             `json:"requests"`
	Denied    uint64             `json:"denied"`
	NotFound  uint64             `json:"not_found"`
	Limited   uint64             `json:"limited"`
	Errors    uint64             `json:"errors"`
	Refused   uint64             `json:"refused"`
	Writes    uint64             `json:"writes"`
	Flagged   uint64             `json:"flagged"` // the firewall or a threat list had something to say
	Bytes     uint64             `json:"response_bytes"`
	Tokens    uint64             `json:"tokens,omitempty"`
	Distinct  EntityDistinct     `json:"distinct"`
	Timeline  []Bucket           `json:"timeline"`  // from its first to its last event in the span, empty buckets too
	Top       map[string][]Count `json:"top"`       // by field: api.route, response.code, source.address, principal.id, request.user_agent, source.country
	Alerts    []Alert            `json:"alerts"`    // newest first, at most 50
	Decisions []DecisionChange   `json:"decisions"` // newest first, at most 50
}

// EntityDistinct counts different values, to within about 2 %.
type EntityDistinct struct {
	Routes     uint64 `json:"routes"`
	Addresses  uint64 `json:"addresses"`
	Principals uint64 `json:"principals"`
}

// The states of an alert.
const (
	Open         = "open"
	Acknowledged = "acknowledged"
	Closed       = "closed"
)

// The verdicts with which an alert is closed.
const (
	TruePositive  = "true_positive"
	FalsePositive = "false_positive"
	Benign        = "benign" // it happened as told, and is meant to
)

// Triage is what people make of an alert.
type Triage struct {
	State   string    `json:"state"`
	Verdict string    `json:"verdict,omitempty"`
	By      string    `json:"by,omitempty"`
	Note    string    `json:"note,omitempty"`
	Time    time.Time `json:"time,omitzero"`
}

// Alert is an alert and where it stands.
type Alert struct {
	*alert.Alert
	Triage Triage    `json:"triage"`
	Stored time.Time `json:"stored"` // when it was written to the store, by the clock of who wrote it
}

// AlertDetail is an alert with what belongs to it.
type AlertDetail struct {
	Alert
	History   []Triage         `json:"history"`  // oldest first
	Evidence  []*event.Event   `json:"evidence"` // those of the alert's events that the store still has, oldest first
	Decisions []DecisionChange `json:"decisions"`
}

// AlertFilter narrows a list of alerts. Zero fields do not narrow.
type AlertFilter struct {
	Span
	MinSeverity alert.Severity `json:"min_severity,omitempty"`
	Rule        string         `json:"rule,omitempty"`
	State       string         `json:"state,omitempty"`
	Tag         string         `json:"tag,omitempty"`
	Entity      string         `json:"entity,omitempty"`      // the value of any of its group's fields
	StoredSince time.Time      `json:"stored_since,omitzero"` // only alerts that were stored then or later
	Limit       int            `json:"limit,omitempty"`
}

// InventoryFilter narrows the inventory. Zero fields do not narrow.
type InventoryFilter struct {
	Span
	API      string    `json:"api,omitempty"`
	Route    string    `json:"route,omitempty"`    // begins with
	NewSince time.Time `json:"new_since,omitzero"` // only endpoints that were first seen then or later
	// Unauthenticated keeps endpoints that answered anonymous callers with success.
	Unauthenticated bool `json:"unauthenticated,omitempty"`
	Limit           int  `json:"limit,omitempty"`
}

// Endpoint is a method of a route of an API, and how it is used.
type Endpoint struct {
	API           string    `json:"api"`
	Host          string    `json:"host"`
	Method        string    `json:"method"`
	Route         string    `json:"route"`
	Version       string    `json:"version,omitempty"`
	First         time.Time `json:"first_seen"`
	Last          time.Time `json:"last_seen"`
	Requests      uint64    `json:"requests"`
	Authenticated uint64    `json:"authenticated"`
	Anonymous     uint64    `json:"anonymous"`
	Failed        uint64    `json:"failed"` // authentication
	ClientErrors  uint64    `json:"client_errors"`
	ServerErrors  uint64    `json:"server_errors"`
	Refused       uint64    `json:"refused"`
	Bytes         uint64    `json:"response_bytes"`
	Largest       uint64    `json:"largest"` // bytes of the largest answer
	Clients       uint64    `json:"clients"`
	Principals    uint64    `json:"principals"`
	ContentTypes  []string  `json:"content_types,omitempty"`
}

// DecisionFilter narrows a list of decisions. Zero fields do not narrow.
type DecisionFilter struct {
	Span                   // of the change
	ID      string         `json:"id,omitempty"`
	State   decision.State `json:"state,omitempty"`
	Value   string         `json:"value,omitempty"`
	History bool           `json:"history,omitempty"` // every change; otherwise each decision once, as its newest change left it
	Limit   int            `json:"limit,omitempty"`
}

// DecisionChange is a decision as a change left it.
type DecisionChange struct {
	*decision.Decision
	Updated time.Time `json:"updated"`
}
