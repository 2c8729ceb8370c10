package decision

import (
	"net/netip"
	"strconv"
)

// Subject is what a request shows of itself to the decisions. Zero values match nothing.
type Subject struct {
	Address     netip.Addr // unmapped, without a zone
	Principal   string     // proven id
	APIKey      bool       // an API key proved it
	Tenant      string     // of the proven principal
	Route       string     // template
	Country     string     // upper case
	ASN         uint32
	UserAgent   string
	Fingerprint string
}

// Matches tells whether the request meets every term of the decision, whatever its state. It is the definition that faster
// look-ups are tested against; it parses the values each time: see [Decision.Matcher].
func (d *Decision) Matches(q *Subject) bool {
	if !matches(Term{d.Scope, d.Value}, q) {
		return false
	}
	for _, t := range d.And {
		if !matches(t, q) {
			return false
		}
	}
	return true
}

func matches(t Term, q *Subject) bool {
	switch t.Scope {
	case Address:
		a, err := netip.ParseAddr(t.Value)
		return err == nil && q.Address.IsValid() && a.Unmap().WithZone("") == q.Address
	case CIDR:
		p, err := Prefix(t.Value)
		return err == nil && q.Address.IsValid() && p.Contains(q.Address)
	case ASN:
		return q.ASN != 0 && t.Value == strconv.FormatUint(uint64(q.ASN), 10)
	case APIKey:
		return q.APIKey && t.Value != "" && t.Value == q.Principal
	}
	return t.Value != "" && t.Value == q.text(t.Scope)
}

// text is the value of a scope that is compared as text.
func (q *Subject) text(s Scope) string {
	switch s {
	case Principal:
		return q.Principal
	case Tenant:
		return q.Tenant
	case Route:
		return q.Route
	case Country:
		return q.Country
	case UserAgent:
		return q.UserAgent
	case Fingerprint:
		return q.Fingerprint
	}
	return ""
}

// Verdict is what the decisions say to one request.
type Verdict struct {
	// Decision governs the request; nil when none applies.
	Decision *Decision
	// Observed tells that the request passes and is marked, because the decision only observes what it would have refused. A Log
	// decision refuses nothing and is never observed.
	Observed bool
	// Status is what to answer: 0 lets the request pass, 403, 429 or 401 refuse it.
	Status int
	// RetryAfter is when to come back, for 429. Seconds, at least 1.
	RetryAfter int
}

// Mark is what the event's enforced.action says of the verdict: "" when nothing is to be said, "block", "limit", "challenge", "log", or
// "observe:" and the action that would have refused.
func (v Verdict) Mark() string {
	switch {
	case v.Decision == nil:
		return ""
	case v.Observed:
		return "observe:" + string(v.Decision.Action)
	}
	return string(v.Decision.Action)
}

// Refused tells whether the request is not to reach the service.
func (v Verdict) Refused() bool { return v.Status != 0 }
