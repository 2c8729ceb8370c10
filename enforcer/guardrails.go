package enforcer

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

// The guardrails.
const (
	guardNeverBlock = "never_block"
	guardTooMany    = "too_many_blocks"
	guardShare      = "max_share"
	guardShared     = "shared_address"
	guardApproval   = "approval"
	guardRollback   = "rollback"
)

// hold turns the decision into a proposal.
func hold(d *decision.Decision, guardrail, note string) {
	d.State, d.Guardrail = decision.Proposed, guardrail
	say(d, "held back: "+note)
}

// say adds to the decision's note, which stays short enough for a record.
func say(d *decision.Decision, note string) {
	if note == "" {
		return
	}
	if d.Note != "" {
		note = d.Note + "; " + note
	}
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[len(note)-maxNote:], "")
	}
	d.Note = note
}

// maxNote bounds a decision's note, in bytes; the newest part stays.
const maxNote = 2048

// refuses tells whether the decision is one that keeps requests from the service: these can hurt the business. A limit below one request
// a second does, for a client that works with the service. While enforcement is off they count as well, so that switching it on trips
// nothing.
func refuses(d *decision.Decision) bool {
	wants := d.Wanted
	if wants == "" {
		wants = d.Mode
	}
	if wants != decision.Enforce {
		return false
	}
	switch d.Action {
	case decision.Block, decision.Challenge:
		return true
	case decision.Limit:
		return float64(d.Rate.Requests) < d.Rate.Per.Seconds()
	}
	return false
}

// guard applies the guardrails that need no history of decisions. The decision may become a narrower one or a proposal.
func (e *Enforcer) guard(q *asked, s *alert.Sample) {
	d := q.Decision
	if e.holdListed(d) || d.Wanted != decision.Enforce || d.Action == decision.Log {
		return
	}
	e.narrow(d, s)
	if d.State == decision.Proposed || d.Guardrail != "" && e.holdListed(d) {
		return
	}
	d.Share, q.good = e.share(d)
	if why := e.policy.large(d, q.good); why != "" {
		hold(d, guardApproval, why)
	}
}

func (e *Enforcer) holdListed(d *decision.Decision) bool {
	listed := e.policy.never(d)
	if listed != "" {
		hold(d, guardNeverBlock, "it can touch "+listed+", which is on the never-block list")
	}
	return listed != ""
}

// share is what part of the last minutes' successful requests a refusing decision touches, and how many these are; 0 while too few are
// known to say so.
func (e *Enforcer) share(d *decision.Decision) (share float64, good int64) {
	if e.traffic == nil || !refuses(d) {
		return 0, 0
	}
	s, good := e.traffic.Share(d)
	if good < e.cfg.MinRequests || math.IsNaN(s) {
		return 0, 0
	}
	return min(max(s, 0), 1), good
}

// allowed is the share that may be touched where good requests were successful: the configured one, or what the allowance leaves to a
// small service, in which every client is a large share.
func (c *Config) allowed(share float64, good int64) float64 {
	if good == 0 {
		return share
	}
	return max(share, min(c.Allowance.Share, float64(c.Allowance.Requests)/float64(good)))
}

// large says in words why the decision needs a person by its size, "" when it does not. Its share was judged by good requests.
func (p *policy) large(d *decision.Decision, good int64) string {
	if d.Action == decision.Log {
		return ""
	}
	if !slices.ContainsFunc(d.Terms(), p.narrow) {
		return "it names no client but " + d.Entity() + ", which may touch many, also some on the never-block lists"
	}
	if limit := p.cfg.allowed(p.cfg.Approval.Share, good); d.Share > limit {
		return fmt.Sprintf("it touches %.1f%% of the last minutes' successful requests; above %.1f%% a person decides", 100*d.Share, 100*limit)
	}
	return ""
}

// narrow tells whether the term alone keeps a decision small.
func (p *policy) narrow(t decision.Term) bool {
	if t.Scope != decision.CIDR {
		return !slices.Contains(p.cfg.Approval.Scopes, t.Scope)
	}
	c, err := decision.Prefix(t.Value)
	shortest := p.cfg.Approval.CIDRv6
	if c.Addr().Is4() {
		shortest = p.cfg.Approval.CIDRv4
	}
	return err == nil && c.Bits() >= shortest
}

// narrow makes a decision about an address that many share one about the client that tripped the rule.
func (e *Enforcer) narrow(d *decision.Decision, s *alert.Sample) {
	users, where := e.sharing(d, s)
	if users < e.cfg.SharedAddress {
		return
	}
	found := fmt.Sprintf("narrowed from %s: %s principals share %s", d.Entity(), count(users), where)
	for _, terms := range e.narrower(d, s) {
		if terms, err := decision.Canonical(terms...); err == nil {
			about(d, terms)
			d.Guardrail = guardShared
			say(d, found)
			return
		}
	}
	hold(d, guardShared, fmt.Sprintf("%s principals share %s, and nothing narrower names the client", count(users), where))
}

// count writes a number of principals, which is exact up to 64.
func count(n int) string {
	if n > 64 {
		return "more than 64"
	}
	return fmt.Sprint(n)
}

// maxLooked is how many addresses of a prefix are looked at for being shared.
const maxLooked = 256

// sharing returns how many principals share the address that the decision refuses, the most shared one of a small prefix. A decision about a
// principal is not about an address. Of a larger prefix only the address that tripped the rule is looked at.
func (e *Enforcer) sharing(d *decision.Decision, s *alert.Sample) (users int, where string) {
	if e.traffic == nil || value(d, decision.Principal) != "" || value(d, decision.APIKey) != "" {
		return 0, ""
	}
	look := func(a netip.Addr) {
		if n := e.traffic.Principals(a, value(d, decision.Fingerprint), value(d, decision.UserAgent)); n > users {
			users, where = n, "source.address="+a.String()
		}
	}
	if a, err := netip.ParseAddr(value(d, decision.Address)); err == nil {
		look(a)
		return users, where
	}
	c, err := decision.Prefix(value(d, decision.CIDR))
	if err != nil {
		return 0, ""
	}
	if s != nil {
		if a, err := netip.ParseAddr(s.Address); err == nil && c.Contains(a.Unmap().WithZone("")) {
			look(a.Unmap().WithZone(""))
		}
	}
	if c.Addr().BitLen()-c.Bits() <= 8 {
		for a, n := c.Addr(), 0; c.Contains(a) && n < maxLooked; a, n = a.Next(), n+1 {
			look(a)
		}
	}
	return users, where
}

// narrower lists the terms that could take the place of the decision's, the best first.
func (e *Enforcer) narrower(d *decision.Decision, s *alert.Sample) [][]decision.Term {
	if s == nil {
		return nil
	}
	if name, ok := proven(s); ok {
		scope := decision.Principal
		if value(d, decision.APIKey) != "" || s.PrincipalType == "api_key" {
			scope = decision.APIKey
		}
		return [][]decision.Term{append(others(d), decision.Term{Scope: scope, Value: name})}
	}
	a, err := netip.ParseAddr(s.Address)
	if text := value(d, decision.Address); text != "" {
		a, err = netip.ParseAddr(text)
	}
	if err != nil {
		return nil
	}
	a = a.Unmap().WithZone("")
	var out [][]decision.Term
	add := func(t decision.Term, users int) {
		if t.Value != "" && value(d, t.Scope) == "" && users < e.cfg.SharedAddress {
			out = append(out, append(others(d), decision.Term{Scope: decision.Address, Value: a.String()}, t))
		}
	}
	fp, ua := value(d, decision.Fingerprint), value(d, decision.UserAgent)
	add(decision.Term{Scope: decision.Fingerprint, Value: s.Fingerprint}, e.traffic.Principals(a, s.Fingerprint, ua))
	add(decision.Term{Scope: decision.UserAgent, Value: s.UserAgent}, e.traffic.Principals(a, fp, s.UserAgent))
	return out
}

// proven returns the principal that the tripping request proved to be.
func proven(s *alert.Sample) (string, bool) {
	types := []string{"jwt", "api_key", "certificate", "header"}
	return s.Principal, s.Principal != "" && !strings.HasPrefix(s.Principal, unverified) && slices.Contains(types, s.PrincipalType)
}

// others are the decision's terms that name no address.
func others(d *decision.Decision) []decision.Term {
	return slices.DeleteFunc(d.Terms(), func(t decision.Term) bool { return t.Scope == decision.Address || t.Scope == decision.CIDR })
}
