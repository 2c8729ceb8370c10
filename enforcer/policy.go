package enforcer

import (
	"hash/fnv"
	"net/netip"
	"time"

	"github.com/gaissmai/bart"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

// policy turns alerts into decisions. It is a pure function of alert, time and what is already decided; it is safe for
// concurrent use.
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
	skipInvalid = "invalid"       // the alert does not name a usable entity
	skipFull    = "too_many_held" // as many decisions wait for a person as may
)

// The guardrails.
const (
	guardNeverBlock = "never_block"
	guardTooMany    = "too_many_blocks"
)

// decide returns the decision that the response asks for, without the guardrails that need history. A nil decision comes
// with the reason to skip it.
func (p *policy) decide(a *alert.Alert, r alert.Response, now time.Time) (*decision.Decision, string) {
	value := a.Group[r.Scope]
	from := a.Time
	if from.After(now) { // a tap's clock may be ahead; expiry is counted from our own
		from = now
	}
	expires := from.Add(min(r.TTL, p.cfg.MaxTTL.Std()))
	if !expires.After(now) {
		return nil, skipStale
	}
	d := &decision.Decision{
		Version: decision.Version,
		Action:  decision.Action(r.Action),
		Scope:   decision.Scope(r.Scope),
		Value:   value,
		Mode:    p.mode(wanted(a, value)),
		Wanted:  wanted(a, value),
		State:   decision.Active,
		Creator: "rule:" + a.Rule,
		Reason:  decision.Reason{Alert: a.ID, Rule: a.Rule, RuleVersion: a.RuleVersion, Title: a.Title, EventTime: a.Time},
		Created: now,
		Expires: expires,
	}
	if a.Sample != nil {
		d.Reason.Event = a.Sample.Event
	}
	if d.Action == decision.Limit {
		d.Rate = &decision.Rate{Requests: r.Requests, Per: r.Per, Burst: r.Burst}
	}
	d.ID = decision.NewID(a.ID, d.Action, d.Terms()...)
	if d.Validate() != nil {
		return nil, skipInvalid
	}
	if p.never(d) {
		hold(d, guardNeverBlock, "held back: the entity is on the never-block list")
	}
	return d, ""
}

// hold turns the decision into a proposal.
func hold(d *decision.Decision, guardrail, note string) {
	d.State, d.Guardrail, d.Note = decision.Proposed, guardrail, note
}

// wanted is how the rule wants gateways to treat the decision: a shadow rule observes, a canary rule enforces for a stable
// share of entities.
func wanted(a *alert.Alert, value string) decision.Mode {
	if a.Mode == alert.Shadow || a.Mode == alert.Canary && !inCanary(a.Rule, value, a.Canary) {
		return decision.Observe
	}
	return decision.Enforce
}

// mode is how gateways are to treat a decision: nothing is enforced while the configuration says so.
func (p *policy) mode(wanted decision.Mode) decision.Mode {
	if !p.cfg.Enforce {
		return decision.Observe
	}
	return wanted
}

// inCanary tells whether the entity is among the first percent of a hundred stable buckets of the rule.
func inCanary(rule, value string, percent int) bool {
	h := fnv.New32a()
	h.Write([]byte(rule + "\x00" + value))
	return int(h.Sum32()%100) < percent
}

// never tells whether the decision would touch an entity on the never-block lists. A CIDR is held back when it overlaps one.
func (p *policy) never(d *decision.Decision) bool {
	switch d.Scope {
	case decision.Principal:
		return p.principals[d.Value]
	case decision.Address:
		a, err := netip.ParseAddr(d.Value)
		return err != nil || p.addresses.Contains(a.Unmap())
	case decision.CIDR:
		c, err := netip.ParsePrefix(d.Value)
		return err != nil || p.addresses.OverlapsPrefix(c.Masked())
	}
	return true
}
