// Package historytest holds what every implementation of [history.Reader] and [history.Triager] must do, as tests over a small history.
package historytest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// Store is what the history is written to; *store.Store is one.
type Store interface {
	InsertEvents(ctx context.Context, partition int, events []*event.Event) error
	InsertAlerts(ctx context.Context, alerts []*alert.Alert) error
	InsertDecisions(ctx context.Context, changes []history.DecisionChange) error
}

// Who and what the history has. The ids of the first two alerts begin alike.
const (
	attacker = "203.0.113.7"  // 6 failed logins in the first minutes, then one that succeeds, as alice
	scraper  = "198.51.100.4" // 5 anonymous reads from hour 2 on, and an unknown path in hour 3
	sixth    = "2001:db8::5"  // bob of the tenant t1, refused once in hour 26, and a server error

	stuffing = "abcdef11111111111111111111111111"
	scraping = "abcdef22222222222222222222222222"
	stealing = "fedcba33333333333333333333333333"

	blocked  = "d1111111" // because of stuffing: proposed, then active, then revoked
	held     = "d2222222" // because of stealing, about bob: active
	personal = "d3333333" // a person's, about another address
)

// made is the history: it begins at a whole hour two days ago.
type made struct {
	start   time.Time
	events  []*event.Event
	alerts  []*alert.Alert
	changes []history.DecisionChange
}

func makeHistory() *made {
	m := &made{start: time.Now().UTC().Truncate(24 * time.Hour).Add(-36 * time.Hour)}
	m.makeEvents()
	m.makeAlerts()
	m.makeChanges()
	return m
}

// at is a time of the history.
func (m *made) at(hours float64) time.Time {
	return m.start.Add(time.Duration(hours * float64(time.Hour)))
}

func (m *made) add(at time.Time, address, method, route string, code int) *event.Event {
	seq := uint64(len(m.events) + 1)
	e := &event.Event{
		ID: event.NewID("edge", seq), Tap: "edge", Seq: seq, Time: at,
		Request:  event.RequestInfo{Method: method, Host: "shop.example.com", Path: route, UserAgent: "agent-" + address},
		Response: event.ResponseInfo{Code: code, Size: 100, ContentType: "application/json"},
		Source:   event.Source{Address: netip.MustParseAddr(address)},
		API:      event.API{Name: "shop", Route: route, Version: "v1"},
	}
	m.events = append(m.events, e)
	return e
}

func (m *made) makeEvents() {
	for i := range 7 {
		e := m.add(m.start.Add(time.Duration(i)*time.Minute+time.Millisecond), attacker, "POST", "/login", 401)
		e.Source.Country, e.Source.ASN, e.Auth.Outcome = "DE", 64500, "failure"
		if i == 6 {
			e.Response.Code, e.Auth.Outcome, e.Principal.ID = 200, "success", "alice"
		}
	}
	for i := range 5 {
		m.add(m.at(2).Add(time.Duration(i)*time.Minute), scraper, "GET", "/items/{id}", 200)
	}
	m.add(m.at(3), scraper, "GET", "", 404)
	for i, code := range []int{403, 500} {
		e := m.add(m.at(26).Add(time.Duration(i)*time.Second), sixth, "GET", "/orders", code)
		e.Auth.Outcome, e.Principal = "success", event.Principal{ID: "bob", Tenant: "t1"}
		if code == 403 {
			e.Enforced = event.Enforced{By: held, Action: "block"}
		}
	}
}

func (m *made) makeAlerts() {
	one := func(id, rule string, severity alert.Severity, at time.Time, group map[string]string, events []*event.Event) {
		a := &alert.Alert{Version: alert.Version, ID: id, Rule: rule, RuleVersion: "1", Title: rule, Severity: severity, Tags: []string{"tag-" + rule},
			Time: at, Window: alert.Window{Start: events[0].Time, End: at}, Group: group, Values: map[string]float64{"n": float64(len(events))},
			EventCount: int64(len(events)), Mode: alert.Enforce}
		for _, e := range events {
			a.Events = append(a.Events, e.ID.String())
		}
		m.alerts = append(m.alerts, a)
	}
	one(stuffing, "stuffing", alert.Critical, m.events[5].Time, map[string]string{"source.address": attacker}, m.events[:6])
	one(scraping, "scraping", alert.Low, m.events[11].Time, map[string]string{"source.address": scraper}, m.events[7:12])
	one(stealing, "stealing", alert.High, m.events[13].Time, map[string]string{"principal.id": "bob"}, m.events[12:])
}

func (m *made) makeChanges() {
	one := func(id, creator, because string, scope decision.Scope, value string, state decision.State, hours float64) {
		m.changes = append(m.changes, history.DecisionChange{Updated: m.at(hours), Decision: &decision.Decision{
			Version: decision.Version, ID: id, Action: decision.Block, Scope: scope, Value: value, Mode: decision.Enforce, State: state,
			Creator: creator, Reason: decision.Reason{Alert: because}, Created: m.at(0.1), Expires: m.at(48)}})
	}
	one(blocked, "rule:stuffing", stuffing, decision.Address, attacker, decision.Proposed, 0.1)
	one(blocked, "rule:stuffing", stuffing, decision.Address, attacker, decision.Active, 0.2)
	one(personal, "person:kim", "", decision.Address, "203.0.113.99", decision.Active, 1)
	one(blocked, "rule:stuffing", stuffing, decision.Address, attacker, decision.Revoked, 4)
	one(held, "rule:stealing", stealing, decision.Principal, "bob", decision.Active, 26)
}

// write seeds a store.
func (m *made) write(t *testing.T, s Store) {
	t.Helper()
	if err := s.InsertEvents(t.Context(), 0, m.events); err != nil {
		t.Fatal(err)
	}
	if err := s.InsertAlerts(t.Context(), m.alerts); err != nil {
		t.Fatal(err)
	}
	if err := s.InsertDecisions(t.Context(), m.changes); err != nil {
		t.Fatal(err)
	}
}
