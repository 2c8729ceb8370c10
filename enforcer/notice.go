package enforcer

import (
	"fmt"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision"
)

// noticeWindow is how long one alert speaks for all decisions of a rule that one guardrail held back.
const noticeWindow = 5 * time.Minute

// notice names a guardrail's alert. Its window is one of event time, so that a repeat after a crash is the same alert.
type notice struct {
	rule, guardrail string
	window          int64 // Unix seconds
}

func noticeOf(d *decision.Decision) notice {
	return notice{d.Reason.Rule, d.Guardrail, d.Reason.EventTime.Truncate(noticeWindow).Unix()}
}

// forgetNotices drops what no alert of a sensible age can ask for; should one come, people are told twice under one id.
func (e *Enforcer) forgetNotices(now time.Time) {
	for n := range e.told {
		if now.Unix()-n.window > int64(e.cfg.MaxTTL.Std().Seconds()) {
			delete(e.told, n)
		}
	}
}

// guardrailAlert is the alert that tells people why a guardrail tripped and what to do. One speaks for a rule, a guardrail and a window.
func (e *Enforcer) guardrailAlert(a *alert.Alert, d *decision.Decision, n notice) (bus.Record, error) {
	e.log.Warn("a guardrail tripped", "guardrail", d.Guardrail, "decision", d.ID, "rule", a.Rule, "alert", a.ID)
	waiting := e.ledger.waitingFor(d)
	start := time.Unix(n.window, 0).UTC()
	g := *a
	g.Rule, g.RuleVersion = GuardrailRule, d.Guardrail
	g.Window = alert.Window{Start: start, End: start.Add(noticeWindow)}
	g.Group = map[string]string{"rule": a.Rule, "guardrail": d.Guardrail}
	g.Values = map[string]float64{"waiting": float64(waiting)}
	g.Severity, g.Respond, g.Mode = alert.Medium, nil, alert.Enforce
	g.Tags = append([]string{"warder.guardrail", "warder.rule." + a.Rule}, a.Tags...)
	g.Title = "Held back for approval: " + string(d.Action) + " asked for by " + a.Title
	g.Description = fmt.Sprintf("%s of %s: %s. Decisions of rule %s that wait because of this guardrail: %d. To let this one through: "+
		"warder decisions approve %s. If the rule is wrong, set its mode to shadow.", d.Action, d.Entity(), d.Note, a.Rule, waiting, d.ID)
	if d.State == decision.Active {
		g.Title = "Narrowed: " + string(d.Action) + " asked for by " + a.Title
		g.Description = fmt.Sprintf("%s of %s: %s. It is in force; to end it: warder decisions revoke %s.", d.Action, d.Entity(), d.Note, d.ID)
	}
	g.ID = alert.NewID(g.Rule, g.RuleVersion, g.Group, g.Window)
	return alertRecord(&g)
}

func alertRecord(a *alert.Alert) (bus.Record, error) {
	v, err := a.Encode()
	return bus.Record{Topic: bus.TopicAlerts, Partition: bus.AnyPartition, Key: a.Key(), Value: v}, err
}
