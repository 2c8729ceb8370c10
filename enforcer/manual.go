package enforcer

import (
	"errors"
	"time"

	"github.com/warder/warder/internal/decision"
)

// Why something that a person asked for is not done. Errors wrap one of these and say the rest.
var (
	ErrNotFound = errors.New("there is no such decision")
	ErrInvalid  = errors.New("not valid")
	// ErrConflict: the decision's state or a guardrail does not allow it.
	ErrConflict = errors.New("not allowed")
)

// Request is a decision that a person asks for.
type Request struct {
	Action decision.Action
	Terms  []decision.Term // in any order, any spelling
	TTL    time.Duration   // mandatory, at most max_ttl
	Rate   *decision.Rate  // for a limit
	Status int             // for a challenge: 401 or 429
	Mode   decision.Mode   // Enforce when empty
	Note   string
	Nonce  string // the same person's request with the same nonce makes one decision; by default the time
}

// Filter chooses decisions; empty fields choose all.
type Filter struct {
	States  []decision.State
	Action  decision.Action
	Scope   decision.Scope
	Value   string // exact; for an address also the prefixes that hold it
	Rule    string
	Creator string
	// Limit is the most decisions returned, newest first; After skips up to and including the decision with this id; one
	// that is gone skips nothing.
	Limit int
	After string
}

// Explanation leads from a decision back to its evidence and forward to its effect.
type Explanation struct {
	// Decision is nil when an address was asked for that no decision names: then Effective says what is known of it.
	Decision *decision.Decision `json:"decision"`
	// Guardrails says what each guardrail found, in the order in which they look.
	Guardrails []Finding `json:"guardrails"`
	// Gateways says which gateways have acknowledged the decision, and which have not.
	Gateways []Acknowledgement `json:"gateways"`
	// Refusals counts requests that the decision answered, as far as gateways report them; FirstRefusal is the first one's time.
	Refusals     uint64    `json:"refusals"`
	FirstRefusal time.Time `json:"first_refusal,omitzero"`
	// Effective says in words what gateways do about the entity right now, and why if it is not what the decision says.
	Effective string `json:"effective"`
}

// Finding is what one guardrail says of a decision.
type Finding struct {
	Guardrail string `json:"guardrail"`
	Held      bool   `json:"held"`
	Says      string `json:"says"`
}

// Acknowledgement is what one gateway says of a decision.
type Acknowledgement struct {
	Gateway string    `json:"gateway"`
	Kind    string    `json:"kind"`
	Acked   bool      `json:"acked"`
	At      time.Time `json:"at,omitzero"` // when the acknowledgement came
	Error   string    `json:"error,omitempty"`
}

// GatewayStatus is what is known of one gateway.
type GatewayStatus struct {
	Gateway  string    `json:"gateway"`
	Kind     string    `json:"kind"`
	Seen     time.Time `json:"seen"`   // its last acknowledgement
	Behind   int64     `json:"behind"` // records of the decisions topic that it has not acknowledged
	Held     int       `json:"held"`   // decisions in force there
	Repaired uint64    `json:"repaired"`
	State    string    `json:"state"` // "in line", "behind", "silent", "left"
	Error    string    `json:"error,omitempty"`
}
