package enforcer

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/warder/warder/internal/decision"
)

// Get returns the decision with the id as it stands now.
func (e *Enforcer) Get(id string) (*decision.Decision, error) {
	d, _ := e.ledger.repeated(id)
	if d == nil {
		return nil, fmt.Errorf("%w: %.64q; it may have been replaced, or have ended longer ago than is remembered", ErrNotFound, id)
	}
	return d, nil
}

// List returns the decisions that the filter chooses, newest first.
func (e *Enforcer) List(f Filter) []*decision.Decision {
	out := e.ledger.all(f.chooses)
	slices.SortFunc(out, func(a, b *decision.Decision) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	if f.After != "" {
		out = out[1+slices.IndexFunc(out, func(d *decision.Decision) bool { return d.ID == f.After }):]
	}
	if f.Limit > 0 && len(out) > f.Limit {
		out = out[:f.Limit]
	}
	return out
}

func (f *Filter) chooses(d *decision.Decision) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, d.State)) && (f.Action == "" || f.Action == d.Action) &&
		(f.Rule == "" || f.Rule == d.Reason.Rule) && (f.Creator == "" || f.Creator == d.Creator) &&
		slices.ContainsFunc(d.Terms(), f.names)
}

// names tells whether the term is what the filter's scope and value ask for.
func (f *Filter) names(t decision.Term) bool {
	a, err := netip.ParseAddr(f.Value)
	a = a.Unmap().WithZone("")
	isAddress := err == nil
	if isAddress && t.Scope == decision.CIDR && (f.Scope == "" || f.Scope == decision.Address || f.Scope == decision.CIDR) {
		c, err := decision.Prefix(t.Value)
		return err == nil && c.Contains(a)
	}
	if f.Scope != "" && f.Scope != t.Scope {
		return false
	}
	return f.Value == "" || f.Value == t.Value || isAddress && t.Scope == decision.Address && a.String() == t.Value
}

// Explain leads from a decision, by its id, by the value of one of its terms or by all of them as [decision.Decision.Entity] writes them, to
// why it is as it is and what came of it. Of several the one in force and newest is explained. For an address that no decision names
// Explanation.Decision is nil and Effective says what is known of the address.
func (e *Enforcer) Explain(what string) (*Explanation, error) {
	now := e.now()
	what = strings.TrimSpace(what)
	d, err := e.Get(what)
	if err != nil {
		if d = e.about(what, now); d == nil {
			return e.nothing(what, err)
		}
	}
	x := &Explanation{Decision: d, Guardrails: e.findings(d), Effective: e.effective(d, now)}
	if e.proof != nil {
		x.Gateways, x.Refusals, x.FirstRefusal = e.proof.Explain(d.ID)
	}
	return x, nil
}

// about returns the decision about what is named, nil when there is none.
func (e *Enforcer) about(what string, now time.Time) *decision.Decision {
	if what == "" {
		return nil
	}
	found := e.List(Filter{Value: what})
	if terms, err := entity(what); err == nil && len(found) == 0 {
		named := &decision.Decision{}
		about(named, terms)
		found = e.List(Filter{Scope: terms[0].Scope, Value: terms[0].Value})
		found = slices.DeleteFunc(found, func(d *decision.Decision) bool { return d.Entity() != named.Entity() })
	}
	if len(found) == 0 {
		return nil
	}
	slices.SortStableFunc(found, func(a, b *decision.Decision) int { return inForce(b, now) - inForce(a, now) })
	return found[0]
}

// entity reads "source.address=203.0.113.9 and api.route=/login".
func entity(what string) ([]decision.Term, error) {
	var terms []decision.Term
	for part := range strings.SplitSeq(what, " and ") {
		scope, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		terms = append(terms, decision.Term{Scope: decision.Scope(scope), Value: value})
		if len(terms) > decision.MaxTerms {
			break
		}
	}
	return decision.Canonical(terms...)
}

// nothing explains an address that no decision names; of anything else it returns the error.
func (e *Enforcer) nothing(what string, err error) (*Explanation, error) {
	a, bad := netip.ParseAddr(strings.TrimPrefix(what, string(decision.Address)+"="))
	if bad != nil {
		return nil, err
	}
	a = a.Unmap().WithZone("")
	if about := e.List(Filter{Value: a.String()}); len(about) > 0 {
		return e.Explain(a.String())
	}
	says := "nothing: no decision names " + a.String() + " or a prefix that holds it"
	says += map[bool]string{true: "; it is on the never-block list", false: "; it is not on the never-block list"}[e.policy.addresses.Contains(a)]
	if e.traffic != nil {
		says += "; " + count(e.traffic.Principals(a, "", "")) + " proven principals were seen on it lately"
	}
	return &Explanation{Effective: says}, nil
}

func inForce(d *decision.Decision, now time.Time) int {
	if d.Applies(now) {
		return 1
	}
	return 0
}

// findings is what each guardrail says of the decision today, in the order in which they look.
func (e *Enforcer) findings(d *decision.Decision) []Finding {
	held := func(guardrail, says, otherwise string) Finding {
		if d.Guardrail == guardrail && d.Note != "" {
			says = d.Note
		}
		if says == "" {
			return Finding{Guardrail: guardrail, Says: otherwise}
		}
		return Finding{guardrail, d.Guardrail == guardrail, says}
	}
	listed := ""
	if hit := e.policy.never(d); hit != "" {
		listed = "it can touch " + hit + ", which is listed"
	}
	_, good := e.share(d)
	return []Finding{
		held(guardNeverBlock, listed, "it touches nothing that is listed"),
		held(guardShared, "", "no address that many principals share was found"),
		held(guardApproval, e.policy.large(d, good), "it is small enough"),
		held(guardShare, "", fmt.Sprintf("it touched %.1f%% of the last minutes' successful requests when it was made", 100*d.Share)),
		held(guardTooMany, "", "it was within the minute's budget"),
		held(guardRollback, "", "good traffic did not fall after it, as far as is known"),
	}
}

// effective says in words what gateways do.
func (e *Enforcer) effective(d *decision.Decision, now time.Time) string {
	switch state := over(d, now); {
	case state == decision.Proposed:
		return "nothing: it waits for approval (" + d.Guardrail + ")"
	case state != decision.Active:
		return "nothing: it is " + string(state)
	case d.Action == decision.Log:
		return "requests are marked and pass"
	case e.ledger.switchedTo().Mode == decision.Observe:
		return "requests pass and are marked: the global switch is on observe"
	case !e.cfg.Enforce:
		return "requests pass and are marked: enforcer.enforce is false"
	case d.Mode == decision.Observe:
		return "requests pass and are marked: the decision only observes"
	}
	return fmt.Sprintf("%s until %s", d.Action, d.Expires.UTC().Format(time.RFC3339))
}

// Gateways returns what is known of the gateways.
func (e *Enforcer) Gateways() []GatewayStatus {
	if e.proof == nil {
		return nil
	}
	return e.proof.Gateways()
}
