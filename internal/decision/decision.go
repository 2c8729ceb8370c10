// Package decision defines the decision: what the enforcer wants a gateway to do about one entity, until when and why. The
// decisions topic is compacted by [Decision.Key] and is the single truth. The package is a leaf.
package decision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Version is the schema version of the JSON form.
const Version = 1

// Limits.
const (
	MaxEncoded = 16 << 10
	MaxValue   = 512 // bytes of one term's value
	MaxTerms   = 4
)

// Action is what the gateway does with a request of the entity.
type Action string

// The actions.
const (
	Block     Action = "block"     // answer 403
	Limit     Action = "limit"     // answer 429 above a rate
	Challenge Action = "challenge" // answer 401 until the client proves who it is, or 429 with the reason
	Log       Action = "log"       // mark the request in the event, never refuse it
)

// State is where a decision stands in its life.
type State string

// The states. Only an active decision before its expiry is applied.
const (
	Proposed State = "proposed" // a guardrail or a mode held it back: a person may approve it
	Active   State = "active"
	Expired  State = "expired"
	Revoked  State = "revoked"
)

// Mode says whether gateways refuse or only record.
type Mode string

// The modes.
const (
	Enforce Mode = "enforce"
	Observe Mode = "observe" // record what would have been done
)

// Decision is one decision. It is immutable; a change is a new record with the same ID and key.
type Decision struct {
	Version int    `json:"v"`
	ID      string `json:"id"` // see [NewID]
	Action  Action `json:"action"`
	// Scope and Value are the first term of what the decision is about, And the others: a request must meet all of them. Terms are
	// canonical and in the order of [Canonical].
	Scope Scope  `json:"scope"`
	Value string `json:"value"`
	And   []Term `json:"and,omitempty"`
	Rate  *Rate  `json:"rate,omitempty"` // for Limit
	// Status is what a Challenge answers: 401 or 429.
	Status int  `json:"status,omitempty"`
	Mode   Mode `json:"mode"`
	// Wanted is the mode that the rule asks for. Mode is Observe instead while the enforcer's switch is off.
	Wanted  Mode   `json:"wanted,omitempty"`
	State   State  `json:"state"`
	Creator string `json:"creator"` // "rule:<id>", "person:<name>"
	// Approver is who let a proposal become active, or changed the decision last: "person:<name>".
	Approver string    `json:"approver,omitempty"`
	Reason   Reason    `json:"reason"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"` // mandatory
	// Guardrail names what turned the decision into a proposal; Note says it, or why the decision ended, to a person.
	Guardrail string `json:"guardrail,omitempty"`
	Note      string `json:"note,omitempty"`
	// Offence is how often the entity was decided on within the ladder's memory, this time included; 0 for a person's decision.
	Offence int `json:"offence,omitempty"`
	// Share is the part of the last minutes' successful requests that the decision touches, 0 to 1, as estimated when it was made.
	Share float64 `json:"share,omitempty"`
}

// Rate is a token bucket: Requests per Per on average, Burst at once.
type Rate struct {
	Requests int           `json:"requests"`
	Per      time.Duration `json:"per"` // nanoseconds
	Burst    int           `json:"burst"`
}

// Reason leads from a decision back to its evidence.
type Reason struct {
	Alert       string    `json:"alert,omitempty"`
	Rule        string    `json:"rule,omitempty"`
	RuleVersion string    `json:"rule_version,omitempty"`
	Title       string    `json:"title,omitempty"`
	Event       string    `json:"event,omitempty"` // the request that tripped the rule
	EventTime   time.Time `json:"event_time,omitzero"`
}

// NewID returns the deterministic id of the decision that an alert causes: 32 hexadecimal digits of a SHA-256.
func NewID(alertID string, action Action, terms ...Term) string {
	h := sha256.New()
	h.Write([]byte(alertID + "\x00" + string(action)))
	for _, t := range terms {
		h.Write([]byte("\x00" + string(t.Scope) + "\x00" + t.Value))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Terms returns all terms of what the decision is about.
func (d *Decision) Terms() []Term { return append([]Term{{d.Scope, d.Value}}, d.And...) }

// Entity names what the decision is about, for people: "source.address=203.0.113.9 and api.route=/login".
func (d *Decision) Entity() string {
	var b strings.Builder
	for i, t := range d.Terms() {
		if i > 0 {
			b.WriteString(" and ")
		}
		b.WriteString(string(t.Scope) + "=" + t.Value)
	}
	return b.String()
}

// Key is the decision's key on the compacted topic: one entity has at most one decision of each action. Values hold no control
// characters, so the separator cannot occur in one.
func (d *Decision) Key() []byte {
	b := []byte(string(d.Action) + "|" + string(d.Scope) + "|" + d.Value)
	for _, t := range d.And {
		b = append(b, "\x1f"+string(t.Scope)+"|"+t.Value...)
	}
	return b
}

// Applies tells whether a gateway acts on the decision at the time now.
func (d *Decision) Applies(now time.Time) bool {
	return d.State == Active && now.Before(d.Expires)
}

// Replaces tells whether d, which comes after old in the order of the topic, takes its place. Everything does, except that the
// expiry of another decision than the one in force says nothing about that one: several enforcers end decisions. old may be nil.
func (d *Decision) Replaces(old *Decision, now time.Time) bool {
	return old == nil || d.State != Expired || d.ID == old.ID || !old.Applies(now)
}

// Validate tells what makes a decision unusable: it must name an entity, be of a known kind and expire.
func (d *Decision) Validate() error {
	switch {
	case d.ID == "":
		return errors.New("id is missing")
	case d.Expires.IsZero():
		return errors.New("expires is missing: every decision must expire")
	case !d.Expires.After(d.Created):
		return fmt.Errorf("expires %s is not after created %s", d.Expires.Format(time.RFC3339), d.Created.Format(time.RFC3339))
	}
	if err := d.validateAction(); err != nil {
		return err
	}
	if err := validTerms(d.Terms()); err != nil {
		return err
	}
	switch d.State {
	case Proposed, Active, Expired, Revoked:
	default:
		return fmt.Errorf("unknown state %.20q", d.State)
	}
	if d.Mode != Enforce && d.Mode != Observe {
		return fmt.Errorf("unknown mode %.20q", d.Mode)
	}
	return nil
}

func (d *Decision) validateAction() error {
	switch d.Action {
	case Block, Log:
	case Limit:
		if d.Rate == nil || d.Rate.Requests < 1 || d.Rate.Per <= 0 || d.Rate.Burst < 1 {
			return errors.New("a limit needs a rate with requests, per and burst above zero")
		}
	case Challenge:
		if d.Status != 401 && d.Status != 429 {
			return fmt.Errorf("a challenge needs status 401 or 429, got %d", d.Status)
		}
	default:
		return fmt.Errorf("unknown action %.20q", d.Action)
	}
	return nil
}

// Encode returns the decision's JSON form.
func (d *Decision) Encode() ([]byte, error) {
	b, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode decision: %w", err)
	}
	return b, nil
}

// Decode reads and validates what Encode wrote.
func Decode(b []byte) (*Decision, error) {
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("decode decision: %d bytes, limit is %d", len(b), MaxEncoded)
	}
	d := new(Decision)
	if err := json.Unmarshal(b, d); err != nil {
		return nil, fmt.Errorf("decode decision: %w", err)
	}
	if d.Version != Version {
		return nil, fmt.Errorf("decode decision: schema version %d, this program reads %d", d.Version, Version)
	}
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("decode decision: %w", err)
	}
	return d, nil
}
