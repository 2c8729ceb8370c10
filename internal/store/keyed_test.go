package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

func sampleAlert(n int, severity alert.Severity) *alert.Alert {
	at := noon().Add(time.Duration(n)*time.Hour + 123456789)
	a := &alert.Alert{
		Version: alert.Version, Rule: "login-stuffing", RuleVersion: "v1", Title: "Stuffing", Severity: severity, Time: at,
		Window: alert.Window{Start: at.Add(-time.Minute), End: at}, Group: map[string]string{"source.address": fmt.Sprintf("203.0.113.%d", n)},
		Values: map[string]float64{"failures": 20}, Events: []string{"00"}, EventCount: 20, Mode: alert.Enforce,
	}
	a.ID = alert.NewID(a.Rule, a.RuleVersion, a.Group, a.Window)
	return a
}

// plain leaves out what people made of the alerts.
func plain(alerts []history.Alert) []*alert.Alert {
	var out []*alert.Alert
	for _, a := range alerts {
		out = append(out, a.Alert)
	}
	return out
}

func TestAlertsAreStoredOnce(t *testing.T) {
	cfg := storetest.Config(t)
	s := storetest.OpenConfig(t, cfg)
	var all []*alert.Alert
	for n := range 40 {
		all = append(all, sampleAlert(n*24, alert.Severities()[n%5])) // spans months
	}
	for _, batch := range [][]*alert.Alert{all[:10], all[:10], all[5:30], append(all[25:40:40], all[25:40]...), all, nil} {
		if err := s.InsertAlerts(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if got := count(t, cfg, "alerts"); got != 40 {
		t.Errorf("%d rows, want 40", got)
	}
	got, err := s.Alerts(t.Context(), history.AlertFilter{Rule: "login-stuffing", MinSeverity: alert.Critical, Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*alert.Alert{all[39], all[34], all[29]}, plain(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got, err = s.Alerts(t.Context(), history.AlertFilter{Span: history.Span{Since: all[10].Time, Until: all[12].Time}})
	if err != nil || len(got) != 2 {
		t.Errorf("by time: %d alerts, %v; want 2", len(got), err)
	}
}

func change(id string, state decision.State, at time.Time) store.Change {
	return store.Change{Updated: at, Decision: &decision.Decision{
		Version: decision.Version, ID: id, Action: decision.Block, Scope: decision.Address, Value: "203.0.113.9", Mode: decision.Enforce, State: state,
		Creator: "rule:login-stuffing", Created: noon(), Expires: noon().Add(time.Hour),
	}}
}

func TestDecisionsKeepTheirHistory(t *testing.T) {
	cfg := storetest.Config(t)
	s := storetest.OpenConfig(t, cfg)
	t0 := noon()
	changes := []store.Change{
		change("d1", decision.Proposed, t0),
		change("d1", decision.Active, t0.Add(time.Second)),
		change("d2", decision.Active, t0.Add(2*time.Second)),
		change("d1", decision.Revoked, t0.Add(3*time.Second)),
		change("d1", decision.Active, t0.Add(4*time.Second)), // says the same as once before, and is a change all the same
	}
	again := change("d2", decision.Active, t0.Add(5*time.Second)) // produced twice: says what the newest row says
	for _, batch := range [][]store.Change{changes[:3], changes[:3], changes[1:], changes, {again}, {again, again}} {
		if err := s.InsertDecisions(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if got := count(t, cfg, "decisions"); got != 5 {
		t.Errorf("%d rows, want 5", got)
	}
	got, err := s.Decisions(t.Context(), history.DecisionFilter{State: decision.Active})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]store.Change{changes[4], changes[2]}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got, err = s.Decisions(t.Context(), history.DecisionFilter{ID: "d1", History: true}); err != nil || len(got) != 4 || got[3].State != decision.Proposed {
		t.Errorf("history: %d changes, %v; want 4", len(got), err)
	}
	if got, err = s.Decisions(t.Context(), history.DecisionFilter{State: decision.Revoked}); err != nil || len(got) != 0 {
		t.Errorf("revoked once, active now: listed as revoked: %v, %v", got, err)
	}
}
