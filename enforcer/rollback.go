package enforcer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

// rollback takes young decisions back when good traffic fell after one of them. Only those that touched good traffic when they were made
// can be the cause; an attacker who breaks the service is not let in by it.
func (e *Enforcer) rollback(ctx context.Context) error {
	now := e.now()
	if e.traffic == nil || e.ledger.switchedTo().Mode == decision.Observe {
		return nil
	}
	young := e.ledger.watched(func(d *decision.Decision) bool { return e.young(d, now) })
	slices.SortFunc(young, func(a, b *decision.Decision) int { // newest first: see rolledBackAlert
		return b.Created.Compare(a.Created)*2 + strings.Compare(b.ID, a.ID)
	})
	fall, since, fell := e.fell(young)
	if !fell {
		return nil
	}
	note := fmt.Sprintf("rolled back: successful requests fell by %.0f%% since %s", 100*fall, since.UTC().Format(time.RFC3339))
	oldest := young[len(young)-1]
	rec, err := alertRecord(rolledBackAlert(oldest, len(young), note, now))
	if err != nil {
		return err
	}
	// The alert first, on its own: whoever dies in between rolls back again, under the same id, for the oldest is revoked last.
	if err := e.bus.Produce(ctx, rec); err != nil {
		return err
	}
	for i, d := range young {
		c := *d
		c.State, c.Guardrail = decision.Revoked, guardRollback
		say(&c, note)
		young[i] = &c
	}
	if err := e.write(ctx, young...); err != nil {
		return err
	}
	e.m.held.WithLabelValues(guardRollback).Add(float64(len(young)))
	e.log.Warn("good traffic fell; young decisions were rolled back", "decisions", len(young), "fall", fall)
	return nil
}

// young tells whether the rollback watches the decision: a rule's, in force, that touches good traffic.
func (e *Enforcer) young(d *decision.Decision, now time.Time) bool {
	return d.Applies(now) && d.Mode == decision.Enforce && refuses(d) && d.Share > 0 && strings.HasPrefix(d.Creator, byRule) &&
		now.Sub(d.Created) < e.cfg.Rollback.Watch.Std()
}

// fell tells whether good traffic fell after one of the decisions, by how much and since when. It asks once for each second.
func (e *Enforcer) fell(young []*decision.Decision) (fall float64, since time.Time, fell bool) {
	var asked int64
	for _, d := range young {
		if d.Created.Unix() == asked {
			continue
		}
		asked = d.Created.Unix()
		if fall, sure := e.traffic.Fell(d.Created); sure && fall >= e.cfg.Rollback.Fall {
			return fall, d.Created, true
		}
	}
	return 0, time.Time{}, false
}

// rolledBackAlert tells people. Its id comes from the oldest decision.
func rolledBackAlert(oldest *decision.Decision, n int, note string, now time.Time) *alert.Alert {
	a := &alert.Alert{Version: alert.Version, Rule: GuardrailRule, RuleVersion: guardRollback, Severity: alert.High, Mode: alert.Enforce,
		Title: "Rolled back: good traffic fell after a " + string(oldest.Action),
		Description: fmt.Sprintf("%s. %d decisions were revoked, the first one about %s by %s (%s). New alerts about them wait for approval until they would "+
			"have expired; see warder decisions explain %s.", note, n, oldest.Entity(), oldest.Creator, oldest.Reason.Title, oldest.ID),
		Tags: []string{"warder.guardrail", "warder.rule." + oldest.Reason.Rule}, Time: now,
		Window: alert.Window{Start: oldest.Created, End: oldest.Created},
		Group:  map[string]string{"guardrail": guardRollback, "decision": oldest.ID},
		Values: map[string]float64{"decisions": float64(n)}, Events: []string{}}
	a.ID = alert.NewID(a.Rule, a.RuleVersion, a.Group, a.Window)
	return a
}
