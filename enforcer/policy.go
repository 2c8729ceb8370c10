package enforcer

import (
	"hash/fnv"
	"net/netip"
	"strings"
	"time"

	"github.com/gaissmai/bart"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

// policy turns alerts into decisions. It is a pure function of alert and time; it is safe for concurrent use.
type policy struct {
	cfg        Config
	addresses  bart.Lite
	principals map[string]bool
}

func newPolicy(cfg Config) (*policy, error) {
	p := &policy{cfg: cfg, principals: map[string]bool{}}
	for _, s := range cfg.NeverBlock {
		prefix, err := parsePrefix(s)
		if err != nil {
			return nil, err
		}
		p.addresses.Insert(prefix)
	}
	for _, id := range cfg.NeverBlockPrincipals {
		p.principals[id] = true
	}
	return p, nil
}

// Why a response makes no new decision.
const (
	skipStale   = "stale"         // it would have expired before now
	skipKnown   = "known"         // this alert was decided before
	skipLonger  = "longer_exists" // an active decision for the entity already lasts as long
	skipWaiting = "waiting"       // a proposal for the entity already waits for a person
	skipRevoked = "revoked"       // what it found happened before the decision that a person revoked
	skipInvalid = "invalid"       // the alert does not name a usable entity
	skipFull    = "too_many_held" // as many decisions wait for a person as may
)

// unverified begins the ids of principals that nobody proved. A gateway compares decisions with proven ones alone.
const unverified = "unverified:"

// asked is a decision on its way through the guardrails. Its life counts from from and is a multiple of ttl, see [Ladder].
type asked struct {
	*decision.Decision
	from time.Time
	ttl  time.Duration
	good int64 // successful requests that its share was judged by; 0: it was not judged
}

// ask returns the decision that the response asks for, without the guardrails. A nil decision comes with the reason to skip it. The id
// is made of what was asked for: a repeat of the alert finds the decision also when it was narrowed.
func (p *policy) ask(a *alert.Alert, r alert.Response, now time.Time) (*asked, string) {
	terms, err := terms(a, r)
	if err != nil {
		return nil, skipInvalid
	}
	from := a.Time
	if from.After(now) { // a tap's clock may be ahead; expiry is counted from our own
		from = now
	}
	d := &decision.Decision{
		Version: decision.Version,
		ID:      decision.NewID(a.ID, decision.Action(r.Action), terms...),
		Action:  decision.Action(r.Action),
		State:   decision.Active,
		Creator: byRule + a.Rule,
		Reason:  decision.Reason{Alert: a.ID, Rule: a.Rule, RuleVersion: a.RuleVersion, Title: a.Title, EventTime: a.Time},
		Created: now,
		Expires: from.Add(min(r.TTL, p.cfg.MaxTTL.Std())),
	}
	if !d.Expires.After(now) {
		return nil, skipStale
	}
	about(d, terms)
	d.Wanted = wanted(a, d)
	d.Mode = p.mode(d.Wanted)
	if a.Sample != nil {
		d.Reason.Event = a.Sample.Event
	}
	switch d.Action {
	case decision.Limit:
		d.Rate = &decision.Rate{Requests: r.Requests, Per: r.Per, Burst: r.Burst}
	case decision.Challenge:
		d.Status = r.Status
	}
	if d.Validate() != nil {
		return nil, skipInvalid
	}
	return &asked{Decision: d, from: from, ttl: r.TTL}, ""
}

// Who makes decisions.
const (
	byRule   = "rule:"
	byPerson = "person:"
)

// terms are what the response's scopes name in the alert.
func terms(a *alert.Alert, r alert.Response) ([]decision.Term, error) {
	out := make([]decision.Term, 0, 1+len(r.And))
	for _, s := range append([]string{r.Scope}, r.And...) {
		value := a.Group[s]
		if decision.Scope(s) == decision.APIKey && a.Sample != nil && a.Sample.PrincipalType == "api_key" {
			value = a.Group[string(decision.Principal)]
		}
		out = append(out, decision.Term{Scope: decision.Scope(s), Value: value})
	}
	return decision.Canonical(out...)
}

// about makes the decision one about the terms, which are canonical.
func about(d *decision.Decision, terms []decision.Term) {
	d.Scope, d.Value, d.And = terms[0].Scope, terms[0].Value, nil
	if len(terms) > 1 {
		d.And = terms[1:]
	}
}

// value returns the value of the decision's term of the scope, "" when it has none.
func value(d *decision.Decision, s decision.Scope) string {
	for _, t := range d.Terms() {
		if t.Scope == s {
			return t.Value
		}
	}
	return ""
}

// wanted is how the rule wants gateways to treat the decision: a shadow rule observes, a canary rule enforces for a stable
// share of entities. Nobody can be refused by a name that was only claimed.
func wanted(a *alert.Alert, d *decision.Decision) decision.Mode {
	if a.Mode == alert.Shadow || a.Mode == alert.Canary && !inCanary(a.Rule, d.Entity(), a.Canary) || claimed(d) {
		return decision.Observe
	}
	return decision.Enforce
}

func claimed(d *decision.Decision) bool {
	return strings.HasPrefix(value(d, decision.Principal), unverified) || strings.HasPrefix(value(d, decision.APIKey), unverified)
}

// mode is how gateways are to treat a decision: nothing is enforced while the configuration says so.
func (p *policy) mode(wanted decision.Mode) decision.Mode {
	if !p.cfg.Enforce {
		return decision.Observe
	}
	return wanted
}

// inCanary tells whether the entity is among the first percent of a hundred stable buckets of the rule.
func inCanary(rule, entity string, percent int) bool {
	h := fnv.New32a()
	h.Write([]byte(rule + "\x00" + entity))
	return int(h.Sum32()%100) < percent
}

// never returns the term by which the decision could touch an entity on the never-block lists, "" when there is none. A CIDR is held
// back when it overlaps a listed one. A decision that only marks requests touches nobody.
func (p *policy) never(d *decision.Decision) string {
	if d.Action == decision.Log {
		return ""
	}
	for _, t := range d.Terms() {
		listed := false
		switch t.Scope {
		case decision.Principal, decision.APIKey:
			listed = p.principals[t.Value]
		case decision.Address:
			a, err := netip.ParseAddr(t.Value)
			listed = err != nil || p.addresses.Contains(a.Unmap().WithZone(""))
		case decision.CIDR:
			c, err := decision.Prefix(t.Value)
			listed = err != nil || p.addresses.OverlapsPrefix(c)
		}
		if listed {
			return string(t.Scope) + "=" + t.Value
		}
	}
	return ""
}
