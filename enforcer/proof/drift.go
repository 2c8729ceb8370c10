package proof

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/warder/warder/internal/alert"
)

// Rule is the rule id of the alerts that tell people about drifts.
const Rule = "warder-drift"

// Kind says in which way reality differs from the decisions.
type Kind string

// The kinds.
const (
	Lag      Kind = "lag"      // a gateway lives and does not acknowledge
	Silent   Kind = "silent"   // a gateway is not heard
	Error    Kind = "error"    // a gateway says that it cannot be brought in line
	Repaired Kind = "repaired" // somebody altered a gateway's own state
	Leak     Kind = "leak"     // requests get through although a decision forbids them
	Nobody   Kind = "nobody"   // no gateway enforces
)

// How often the same drift of the same gateway is told.
const (
	repeat       = 10 * time.Minute
	repeatNobody = time.Hour
)

// passing tells whether a drift of the kind happens, and does not last: it is over when it has not happened again for a while.
func (k Kind) passing() bool { return k == Leak || k == Repaired }

func (k Kind) repeat() time.Duration {
	if k == Nobody {
		return repeatNobody
	}
	return repeat
}

// Drift is one way in which reality differs from the decisions.
type Drift struct {
	Kind     Kind
	Gateway  string // its name; for a leak the tap that saw it; empty for Nobody
	Decision string // id; only for a leak
	Since    time.Time
	Text     string // what, where, why it matters and what to do

	title  string
	count  int64
	event  string
	settle func() // called with the lock held once it was told
}

func (d *Drift) key() toldKey { return toldKey{d.Kind, d.Gateway} }

// alert returns the alert that tells people. Its id is the same whichever enforcer finds the drift, as long as the time falls into the same
// ten minutes (an hour for Nobody).
func (d *Drift) alert(now time.Time) *alert.Alert {
	start := now.UTC().Truncate(d.Kind.repeat())
	a := &alert.Alert{Version: alert.Version, Rule: Rule, RuleVersion: string(d.Kind), Title: d.title, Description: d.Text,
		Severity: alert.High, Tags: []string{"warder.drift", "warder.drift." + string(d.Kind)}, Time: now.UTC(),
		Window: alert.Window{Start: start, End: start.Add(d.Kind.repeat())}, Group: map[string]string{"gateway": d.Gateway, "kind": string(d.Kind)},
		Values: map[string]float64{"seconds": max(0, now.Sub(d.Since).Seconds())}, Events: []string{}, EventCount: d.count, Mode: alert.Enforce}
	if d.count > 0 {
		a.Values["count"] = float64(d.count)
	}
	if d.Decision != "" {
		a.Texts = map[string]string{"decision": d.Decision}
	}
	if d.event != "" {
		a.Events = append(a.Events, d.event)
	}
	a.ID = alert.NewID(a.Rule, a.RuleVersion, a.Group, a.Window)
	return a
}

// drifts finds all that there are at the time, in a fixed order. The caller holds the lock.
func (t *Tracker) drifts(now time.Time) []*Drift {
	var out []*Drift
	for _, g := range t.gateways {
		out = append(out, t.gatewayDrifts(g, now)...)
	}
	out = append(out, t.leakDrifts()...)
	if d := t.nobody(now); d != nil {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b *Drift) int {
		return strings.Compare(string(a.Kind)+"\x00"+a.Gateway, string(b.Kind)+"\x00"+b.Gateway)
	})
	return out
}

func (t *Tracker) gatewayDrifts(g *gateway, now time.Time) (out []*Drift) {
	state, since := t.state(g, now)
	waiting := max(0, t.topic.head-g.offset)
	switch {
	case state == silent && now.Sub(t.listening) > t.cfg.SilentAfter.Std() && now.Sub(g.heard) <= rememberSilent:
		out = append(out, &Drift{Kind: Silent, Gateway: g.name, Since: since, title: "A gateway is silent",
			Text: fmt.Sprintf("Gateway %q (%q) was last heard at %s and was not stopped in order. It may still serve, without new decisions and "+
				"without the end of old ones. Look whether its process runs and reaches the bus; if it is gone for good, this is told for an hour.",
				g.name, g.kind, clock(since))})
	case (state == behind || state == inLine) && g.err != "" && now.Sub(g.failing) > t.cfg.AckWithin.Std():
		out = append(out, &Drift{Kind: Error, Gateway: g.name, Since: g.failing, title: "A gateway cannot be brought in line",
			Text: fmt.Sprintf("Gateway %q (%q) reports since %s: %q. Records of the decisions topic that it has not acknowledged: %d. What they "+
				"decide is not in force there. It is tried again until it works: look at its log, its address and its credentials.",
				g.name, g.kind, clock(g.failing), g.err, waiting)})
	case state == behind:
		out = append(out, &Drift{Kind: Lag, Gateway: g.name, Since: since, title: "A gateway is behind the decisions",
			Text: fmt.Sprintf("Gateway %q (%q) lives and has not acknowledged %d records of the decisions topic, the oldest since %s; it should "+
				"within %s. What they decide is not in force there, and what they end still is. Look at its log and whether it can read the bus.",
				g.name, g.kind, waiting, clock(since), t.cfg.AckWithin)})
	}
	if n := g.altered; n > 0 {
		out = append(out, &Drift{Kind: Repaired, Gateway: g.name, Since: g.alteredAt, title: "Somebody altered a gateway's state", count: int64(n),
			Text: fmt.Sprintf("%d entries at gateway %q (%q) were missing or foreign when its own state was read back, and were put right. Until "+
				"then it did not do what was decided. Find out who or what changes them: another tool, a reload of its configuration, an intruder.",
				n, g.name, g.kind),
			settle: func() { g.altered -= n; g.alteredAt = now }})
	}
	return out
}

// leakDrifts returns one drift for each tap that saw requests get through. It names the decision with the most of them.
func (t *Tracker) leakDrifts() (out []*Drift) {
	taps := map[string]map[leakKey]int64{}
	for k, l := range t.leaks {
		if taps[k.tap] == nil {
			taps[k.tap] = map[leakKey]int64{}
		}
		taps[k.tap][k] = l.count
	}
	for tap, counts := range taps {
		out = append(out, t.leakDrift(tap, counts))
	}
	return out
}

func (t *Tracker) leakDrift(tap string, counts map[leakKey]int64) *Drift {
	var worst leakKey
	d := &Drift{Kind: Leak, Gateway: tap, title: "Requests get through although they are blocked"}
	for k, n := range counts {
		d.count += n
		if m := counts[worst]; n > m || n == m && k.decision < worst.decision {
			worst = k
		}
		if l := t.leaks[k]; d.Since.IsZero() || l.since.Before(d.Since) {
			d.Since = l.since
		}
	}
	l := t.leaks[worst]
	d.Decision, d.event = worst.decision, l.event
	others := ""
	if len(counts) > 1 {
		others = fmt.Sprintf(", and %d by %d other decisions", d.count-counts[worst], len(counts)-1)
	}
	d.Text = fmt.Sprintf("Tap %q saw %d successful requests since %s that decision %s forbids (%q)%s. They found a way that no gateway of "+
		"Warder's guards, or one that cannot express the decision. Look which gateway serves that tap's traffic (warder decisions explain %s), "+
		"and close the way.",
		cut(tap, maxError), counts[worst], clock(d.Since), worst.decision, cut(l.text, maxError), others, worst.decision)
	d.settle = func() {
		for k, n := range counts {
			if l := t.leaks[k]; l.count > n {
				l.count, l.since = l.count-n, t.now()
			} else {
				delete(t.leaks, k)
			}
		}
	}
	return d
}

// nobody finds that decisions are to be enforced and no gateway is there to do so.
func (t *Tracker) nobody(now time.Time) *Drift {
	gone := len(t.gateways) > 0
	for _, g := range t.gateways {
		if !g.left {
			return nil
		}
	}
	since, ok := t.decisions.oldest()
	if !ok || t.observe {
		return nil
	}
	if since.Before(t.switched) {
		since = t.switched
	}
	patience, said := t.cfg.AckWithin.Std(), "no gateway has ever acknowledged anything"
	if gone {
		patience, said = t.cfg.SilentAfter.Std(), "every gateway was stopped"
		if since.Before(t.lastLeft) {
			since = t.lastLeft
		}
	}
	if now.Sub(since) <= patience {
		return nil
	}
	return &Drift{Kind: Nobody, Since: since, title: "Nobody enforces", count: t.decisions.enforcing,
		Text: fmt.Sprintf("%d decisions are to be enforced and %s: nothing is refused anywhere since %s. Connect a gateway (docs/gateway.md), or "+
			"look why the one that you have does not reach the bus.", t.decisions.enforcing, said, clock(since))}
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
