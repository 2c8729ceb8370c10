package api

import (
	"time"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/internal/decision"
)

// Decision is a decision as the API writes it. Times are RFC 3339, durations are in seconds.
type Decision struct {
	ID     string          `json:"id"`
	Action decision.Action `json:"action"`
	// Entity names what the decision is about, for people; Terms for programs: a request must meet all of them.
	Entity     string          `json:"entity"`
	Terms      []decision.Term `json:"terms"`
	Rate       *Rate           `json:"rate,omitempty"`
	Status     int             `json:"status,omitempty"`
	Mode       decision.Mode   `json:"mode"`
	Wanted     decision.Mode   `json:"wanted,omitempty"`
	State      decision.State  `json:"state"`
	Creator    string          `json:"creator"`
	Approver   string          `json:"approver,omitempty"`
	Reason     decision.Reason `json:"reason"`
	Created    time.Time       `json:"created"`
	Expires    time.Time       `json:"expires"`
	TTLSeconds float64         `json:"ttl_seconds"` // from Created to Expires
	Guardrail  string          `json:"guardrail,omitempty"`
	Note       string          `json:"note,omitempty"`
	Offence    int             `json:"offence,omitempty"`
	Share      float64         `json:"share,omitempty"` // 0 to 1
}

// Rate is a token bucket: Requests per PerSeconds on average, Burst at once.
type Rate struct {
	Requests   int     `json:"requests"`
	PerSeconds float64 `json:"per_seconds"`
	Burst      int     `json:"burst"`
}

// Page is a part of the list of decisions.
type Page struct {
	Decisions []Decision `json:"decisions"` // newest first
	Next      string     `json:"next,omitempty"`
}

// Explanation is [enforcer.Explanation] as the API writes it.
type Explanation struct {
	Decision     *Decision                  `json:"decision,omitempty"` // none when the entity has none
	Guardrails   []enforcer.Finding         `json:"guardrails"`
	Gateways     []enforcer.Acknowledgement `json:"gateways"`
	Refusals     uint64                     `json:"refusals"`
	FirstRefusal time.Time                  `json:"first_refusal,omitzero"`
	Effective    string                     `json:"effective"`
}

// Switch is [decision.Switch] as the API writes it.
type Switch struct {
	Mode decision.Mode `json:"mode"`
	By   string        `json:"by,omitempty"` // nobody has thrown it yet when empty
	At   time.Time     `json:"at,omitzero"`
	Note string        `json:"note,omitempty"`
}

// Gateways is the list of gateways.
type Gateways struct {
	Gateways []enforcer.GatewayStatus `json:"gateways"`
}

func wireDecision(d *decision.Decision) Decision {
	out := Decision{ID: d.ID, Action: d.Action, Entity: d.Entity(), Terms: d.Terms(), Status: d.Status, Mode: d.Mode, Wanted: d.Wanted,
		State: d.State, Creator: d.Creator, Approver: d.Approver, Reason: d.Reason, Created: d.Created, Expires: d.Expires,
		TTLSeconds: d.Expires.Sub(d.Created).Seconds(), Guardrail: d.Guardrail, Note: d.Note, Offence: d.Offence, Share: d.Share}
	if d.Rate != nil {
		out.Rate = &Rate{d.Rate.Requests, d.Rate.Per.Seconds(), d.Rate.Burst}
	}
	return out
}

func wireExplanation(e *enforcer.Explanation) Explanation {
	out := Explanation{Guardrails: append([]enforcer.Finding{}, e.Guardrails...), Gateways: append([]enforcer.Acknowledgement{}, e.Gateways...),
		Refusals: e.Refusals, FirstRefusal: e.FirstRefusal, Effective: e.Effective}
	if e.Decision != nil {
		d := wireDecision(e.Decision)
		out.Decision = &d
	}
	return out
}

func wireSwitch(s decision.Switch) Switch {
	if s.Mode == "" { // never thrown
		s.Mode = decision.Enforce
	}
	return Switch{Mode: s.Mode, By: s.By, At: s.At, Note: s.Note}
}
