// Package decision defines the decision: what the enforcer wants a gateway to do about one entity, until when and why. The
// decisions topic is compacted by [Decision.Key] and is the single truth. The package is a leaf.
package decision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Version is the schema version of the JSON form.
const Version = 1

// Limits.
const (
	MaxEncoded = 16 << 10
	MaxValue   = 256
)

// Action is what the gateway does with a request of the entity.
type Action string

// The actions.
const (
	Block Action = "block" // answer 403
	Limit Action = "limit" // answer 429 above a rate
)

// Scope says what kind of entity the value names.
type Scope string

// The scopes.
const (
	Address   Scope = "source.address" // value: one IP address
	CIDR      Scope = "source.cidr"    // value: a prefix
	Principal Scope = "principal.id"   // value: the principal's id
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
	Scope   Scope  `json:"scope"`
	Value   string `json:"value"`
	Rate    *Rate  `json:"rate,omitempty"` // for Limit
	Mode    Mode   `json:"mode"`
	// Wanted is the mode that the rule asks for. Mode is Observe instead while the enforcer's switch is off.
	Wanted  Mode      `json:"wanted,omitempty"`
	State   State     `json:"state"`
	Creator string    `json:"creator"` // "rule:<id>", "person:<name>"
	Reason  Reason    `json:"reason"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"` // mandatory
	// Guardrail names what turned the decision into a proposal; Note says it, or why the decision ended, to a person.
	Guardrail string `json:"guardrail,omitempty"`
	Note      string `json:"note,omitempty"`
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
func NewID(alertID string, action Action, scope Scope, value string) string {
	h := sha256.Sum256([]byte(alertID + "\x00" + string(action) + "\x00" + string(scope) + "\x00" + value))
	return hex.EncodeToString(h[:16])
}

// Key is the decision's key on the compacted topic: one entity has at most one decision of each action.
func (d *Decision) Key() []byte {
	return []byte(string(d.Action) + "|" + string(d.Scope) + "|" + d.Value)
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
	case d.Value == "" || len(d.Value) > MaxValue:
		return fmt.Errorf("value has %d bytes, want 1 to %d", len(d.Value), MaxValue)
	case d.Expires.IsZero():
		return errors.New("expires is missing: every decision must expire")
	case !d.Expires.After(d.Created):
		return fmt.Errorf("expires %s is not after created %s", d.Expires.Format(time.RFC3339), d.Created.Format(time.RFC3339))
	}
	switch d.Action {
	case Block:
	case Limit:
		if d.Rate == nil || d.Rate.Requests < 1 || d.Rate.Per <= 0 || d.Rate.Burst < 1 {
			return errors.New("a limit needs a rate with requests, per and burst above zero")
		}
	default:
		return fmt.Errorf("unknown action %.20q", d.Action)
	}
	switch d.Scope {
	case Address:
		if _, err := netip.ParseAddr(d.Value); err != nil {
			return fmt.Errorf("value: %w", err)
		}
	case CIDR:
		if _, err := netip.ParsePrefix(d.Value); err != nil {
			return fmt.Errorf("value: %w", err)
		}
	case Principal:
	default:
		return fmt.Errorf("unknown scope %.40q", d.Scope)
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
