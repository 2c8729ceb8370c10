package ledger

import (
	"strings"
	"time"
)

// conduct checks what decisions must never be: active for nobody, without an end, or never ended.
func (v *Verifier) conduct(e *Entry) {
	key := string(e.Action) + "|" + e.Entity
	switch e.Kind {
	case Active, Approved, Extended, Changed, Repeated:
		if !accountable(e) {
			v.problem(e.Chain, e.Seq, CodeNobody, "decision %.80q became active, and neither a rule nor a person answers for it", e.Decision)
		}
		if e.Kind == Approved && e.Approver == "" {
			v.problem(e.Chain, e.Seq, CodeNobody, "decision %.80q was held back and became active with nobody's approval", e.Decision)
		}
		if e.Expires.IsZero() {
			v.problem(e.Chain, e.Seq, CodeNoExpiry, "decision %.80q became active without an expiry", e.Decision)
			return
		}
		if _, ok := v.open[key]; !ok && len(v.open) >= maxOpen {
			v.report.Unwatched++
			return
		}
		v.open[key] = openDecision{e.Decision, e.Expires, e.Seq}
	case Expired:
		if v.open[key].id == e.Decision {
			delete(v.open, key)
		}
	case Proposed, Revoked, Removed:
		delete(v.open, key)
	}
}

func accountable(e *Entry) bool {
	return e.Reason != nil && e.Reason.Rule != "" || named(e.Creator) || named(e.Approver)
}

// named tells whether a creator or approver is a rule or a person with a name.
func named(s string) bool {
	kind, name, _ := strings.Cut(s, ":")
	return (kind == "rule" || kind == "person") && name != ""
}

// unended reports decisions that are long over and whose end nobody wrote.
func (v *Verifier) unended() {
	for _, key := range sortedKeys(v.open) {
		if d := v.open[key]; v.newest.Sub(d.expires) > endGrace {
			v.at(0, Decisions, d.seq, CodeNoEnd, "decision %.80q expired %s, and at %s its end was not written", d.id,
				d.expires.Format(time.RFC3339), v.newest.Format(time.RFC3339))
		}
	}
}
