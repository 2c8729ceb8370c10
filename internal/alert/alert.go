// Package alert defines the alert: what a rule found, with its evidence, as it stands on the alerts topic, in the store, in
// `warder detect`'s output and in every notification. The package is a leaf.
package alert

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Version is the schema version of the JSON form.
const Version = 1

// Limits of an alert's parts.
const (
	MaxEvents  = 100 // evidence ids
	MaxEncoded = 128 << 10
)

// Severity orders alerts by how much they matter.
type Severity string

// The severities, lowest first.
const (
	Info     Severity = "info"
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Severities lists all of them, lowest first.
func Severities() []Severity { return []Severity{Info, Low, Medium, High, Critical} }

// Rank returns 0 for info up to 4 for critical, -1 for an unknown severity.
func (s Severity) Rank() int { return slices.Index(Severities(), s) }

// Mode says how far an alert may reach: shadow only records, canary acts on a share of entities, enforce acts.
type Mode string

// The modes.
const (
	Shadow  Mode = "shadow"
	Canary  Mode = "canary"
	Enforce Mode = "enforce"
)

// Alert is one finding. It is immutable once made; its JSON form is deterministic.
type Alert struct {
	Version     int      `json:"v"`
	ID          string   `json:"id"` // see [NewID]
	Rule        string   `json:"rule"`
	RuleVersion string   `json:"rule_version"` // hash of the rule's text
	Title       string   `json:"title"`
	Description string   `json:"description,omitempty"`
	Severity    Severity `json:"severity"`
	Tags        []string `json:"tags,omitempty"`
	// Time is the event time of the event that made the condition true.
	Time   time.Time `json:"time"`
	Window Window    `json:"window"`
	// Group names the entity: group_by field → value.
	Group map[string]string `json:"group"`
	// Values are the aggregates when the condition became true.
	Values map[string]float64 `json:"values"`
	// Texts are values that are no numbers: the most frequent value of a top, the one that a first_seen rule had not seen.
	Texts map[string]string `json:"texts,omitempty"`
	// Events are the ids of the newest events that counted, oldest first, at most MaxEvents; EventCount is how many counted.
	Events     []string `json:"events"`
	EventCount int64    `json:"event_count"`
	// Sample shows the tripping event to people: method, path, status, user agent, bounded and as sent.
	Sample *Sample `json:"sample,omitempty"`
	Mode   Mode    `json:"mode"`
	// Canary is the percentage of entities acted upon when Mode is canary.
	Canary   int        `json:"canary,omitempty"`
	Respond  []Response `json:"respond,omitempty"`
	Coverage Coverage   `json:"coverage"`
}

// Window is the span of event time that the values were taken over; both ends are inclusive. For a single-event rule they are equal.
type Window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Sample is the request that made the condition true.
type Sample struct {
	Event     string `json:"event"`
	Method    string `json:"method,omitempty"`
	Host      string `json:"host,omitempty"`
	Path      string `json:"path,omitempty"`
	Query     string `json:"query,omitempty"`
	Code      int    `json:"code,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	Address   string `json:"address,omitempty"`
	Principal string `json:"principal,omitempty"`
	// PrincipalType and Fingerprint help to name the client more narrowly than by its address.
	PrincipalType string `json:"principal_type,omitempty"`
	Fingerprint   string `json:"fingerprint,omitempty"`
}

// Response is what the rule asks the enforcer to do.
type Response struct {
	Action string        `json:"action"`           // block, limit, challenge, log
	Scope  string        `json:"scope"`            // a group field, or a scope that follows from one (principal.key from principal.id)
	And    []string      `json:"and,omitempty"`    // further scopes that a request must meet too
	TTL    time.Duration `json:"ttl"`              // nanoseconds
	Status int           `json:"status,omitempty"` // of a challenge: 401 or 429
	// Requests per Per, with Burst at once, for a limit.
	Requests int           `json:"requests,omitempty"`
	Per      time.Duration `json:"per,omitempty"` // nanoseconds
	Burst    int           `json:"burst,omitempty"`
}

// Coverage tells what the window could not see: events that taps had to drop within it.
type Coverage struct {
	Dropped uint64 `json:"dropped"`
}

// NewID returns the deterministic id of an alert: 32 hexadecimal digits of a SHA-256 over rule, version, group and window.
func NewID(rule, version string, group map[string]string, w Window) string {
	h := sha256.New()
	put := func(s string) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	put(rule)
	put(version)
	for _, k := range slices.Sorted(maps.Keys(group)) {
		put(k)
		put(group[k])
	}
	var t [16]byte
	binary.BigEndian.PutUint64(t[:8], uint64(w.Start.UnixNano()))
	binary.BigEndian.PutUint64(t[8:], uint64(w.End.UnixNano()))
	h.Write(t[:])
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Key is the alert's key on the bus: its id, so that repeats meet in one partition.
func (a *Alert) Key() []byte { return []byte(a.ID) }

// Encode returns the alert's JSON form.
func (a *Alert) Encode() ([]byte, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode alert: %w", err)
	}
	return b, nil
}

// Decode reads what Encode wrote.
func Decode(b []byte) (*Alert, error) {
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("decode alert: %d bytes, limit is %d", len(b), MaxEncoded)
	}
	a := new(Alert)
	if err := json.Unmarshal(b, a); err != nil {
		return nil, fmt.Errorf("decode alert: %w", err)
	}
	switch {
	case a.Version != Version:
		return nil, fmt.Errorf("decode alert: schema version %d, this program reads %d", a.Version, Version)
	case a.ID == "" || a.Rule == "":
		return nil, errors.New("decode alert: id or rule is missing")
	case a.Severity.Rank() < 0:
		return nil, fmt.Errorf("decode alert: unknown severity %.20q", a.Severity)
	}
	return a, nil
}
