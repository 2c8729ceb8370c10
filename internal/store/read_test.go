package store_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

func TestTriage(t *testing.T) {
	s := storetest.Open(t)
	e := full()
	a := sampleAlert(1, alert.High)
	a.Events = []string{e.ID.String(), "no id"}
	d := change("d1", "active", noon())
	d.Reason.Alert = a.ID
	if err := errors.Join(s.InsertEvents(t.Context(), 1, []*event.Event{e}), s.InsertAlerts(t.Context(), []*alert.Alert{a, sampleAlert(2, alert.Low)}),
		s.InsertDecisions(t.Context(), []store.Change{d})); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []history.Triage{{}, {State: history.Closed}, {State: history.Open, Verdict: history.Benign}, {State: "gone"}} {
		if _, err := s.Triage(t.Context(), "person:a", a.ID, bad); !errors.Is(err, history.ErrQuestion) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for _, good := range []history.Triage{{State: history.Acknowledged}, {State: history.Acknowledged},
		{State: history.Closed, Verdict: history.FalsePositive, Note: "x\x1b[0m"}, {State: history.Open}} {
		got, err := s.Triage(t.Context(), "person:a", a.ID[:12], good)
		if err != nil || got.Triage.State != good.State || got.Triage.By != "person:a" {
			t.Fatalf("%+v: %+v, %v", good, got, err)
		}
	}
	got, err := s.Alert(t.Context(), a.ID[:12])
	if err != nil || len(got.History) != 3 || len(got.Evidence) != 1 || len(got.Decisions) != 1 || got.Triage.State != history.Open {
		t.Errorf("%+v, %v", got, err)
	}
	if open, err := s.Alerts(t.Context(), history.AlertFilter{State: history.Open, Entity: "203.0.113.1"}); err != nil || len(open) != 1 {
		t.Errorf("%d open, %v", len(open), err)
	}
	if _, err := s.Alert(t.Context(), "zz"); !errors.Is(err, history.ErrNotFound) {
		t.Error(err)
	}
}

func TestEntityAndInventory(t *testing.T) {
	s := storetest.Open(t)
	if err := s.InsertEvents(t.Context(), 1, append(run("a", 8, 9, noon()), full())); err != nil {
		t.Fatal(err)
	}
	e, err := s.Entity(t.Context(), history.EntityID{Kind: history.Address, Value: "::ffff:203.0.113.9"}, history.Span{})
	if err != nil {
		t.Fatal(err)
	}
	if e.Requests != 2 || e.Denied != 1 || e.Refused != 1 || len(e.Timeline) != 1 || len(e.Top["response.code"]) != 2 || e.Top["source.address"][0].Share != 1 {
		t.Errorf("%+v", e)
	}
	for _, id := range []history.EntityID{{Kind: history.Principal, Value: "' OR 1=1"}, {Kind: history.Address, Value: netip.IPv6Loopback().String()}} {
		if _, err := s.Entity(t.Context(), id, history.Span{}); !errors.Is(err, history.ErrNotFound) {
			t.Errorf("%v: %v", id, err)
		}
	}
	all, err := s.Inventory(t.Context(), history.InventoryFilter{})
	if err != nil || len(all) != 2 || all[0].Requests != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	for want, f := range map[int]history.InventoryFilter{1: {Route: "/a", NewSince: noon().AddDate(0, 0, -1)}, 0: {NewSince: noon().AddDate(0, 0, 2), Unauthenticated: true}} {
		if got, err := s.Inventory(t.Context(), f); err != nil || len(got) != want {
			t.Errorf("%+v: %+v, %v", f, got, err)
		}
	}
	if err := s.InsertAccess(t.Context(), history.Access{Time: noon(), Actor: "person:a", Action: "events.search"}); err != nil {
		t.Error(err)
	}
}

func TestAmbiguousID(t *testing.T) {
	s := storetest.Open(t)
	a, b := sampleAlert(1, alert.High), sampleAlert(2, alert.High)
	a.ID, b.ID = "abc", "abcd"
	if err := s.InsertAlerts(t.Context(), []*alert.Alert{a, b}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Alert(t.Context(), "ab"); !errors.Is(err, history.ErrQuestion) || !strings.Contains(err.Error(), "abcd") {
		t.Error(err)
	}
	if got, err := s.Alert(t.Context(), "abc"); err != nil || got.ID != "abc" {
		t.Errorf("a whole id that others begin with: %+v, %v", got, err)
	}
}
