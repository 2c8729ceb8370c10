package historytest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/warder/warder/internal/history"
)

func (s *suite) inventory(t *testing.T) {
	json := []string{"application/json"}
	shop := func(method, route string, e history.Endpoint) history.Endpoint {
		e.API, e.Host, e.Version, e.Method, e.Route, e.Largest, e.ContentTypes = "shop", "shop.example.com", "v1", method, route, 100, json
		e.Bytes, e.Clients = 100*e.Requests, 1
		return e
	}
	stray := shop("GET", "", history.Endpoint{First: s.at(3), Last: s.at(3), Requests: 1, Anonymous: 1, ClientErrors: 1})
	items := shop("GET", "/items/{id}", history.Endpoint{First: s.at(2), Last: s.at(2).Add(4 * time.Minute), Requests: 5, Anonymous: 5})
	login := shop("POST", "/login", history.Endpoint{First: s.start, Last: s.start.Add(6 * time.Minute), Requests: 7, Authenticated: 1, Failed: 6,
		ClientErrors: 6, Principals: 1})
	orders := shop("GET", "/orders", history.Endpoint{First: s.at(26), Last: s.at(26).Add(time.Second), Requests: 2, Authenticated: 2, ClientErrors: 1,
		ServerErrors: 1, Refused: 1, Principals: 1})
	for _, c := range []struct {
		name   string
		filter history.InventoryFilter
		want   []history.Endpoint
	}{
		{"all", history.InventoryFilter{}, []history.Endpoint{stray, items, login, orders}},
		{"api", history.InventoryFilter{API: "shop", Limit: 1}, []history.Endpoint{stray}},
		{"another api", history.InventoryFilter{API: "bank"}, nil},
		{"route", history.InventoryFilter{Route: "/o"}, []history.Endpoint{orders}},
		{"new", history.InventoryFilter{NewSince: s.at(3)}, []history.Endpoint{stray, orders}},
		{"open", history.InventoryFilter{Unauthenticated: true}, []history.Endpoint{items}},
		{"open in a span", history.InventoryFilter{Unauthenticated: true, Span: history.Span{Since: s.at(1), Until: s.at(2.5)}}, []history.Endpoint{items}},
		{"open and new", history.InventoryFilter{Unauthenticated: true, NewSince: s.at(3)}, nil},
		{"since", history.InventoryFilter{Span: history.Span{Since: s.at(20)}}, []history.Endpoint{orders}},
		{"until", history.InventoryFilter{Span: history.Span{Until: s.at(1)}}, []history.Endpoint{login}},
		{"before everything", history.InventoryFilter{Span: history.Span{Until: s.start}}, nil},
	} {
		got, err := s.Reader.Inventory(t.Context(), c.filter)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		same(t, c.name, c.want, got)
	}
}

// questions asks what cannot be asked.
func (s *suite) questions(t *testing.T) {
	ctx, r := t.Context(), s.Reader
	for _, span := range []history.Span{{Since: s.at(2), Until: s.at(1)}, {Since: s.at(2), Until: s.at(2)}} {
		_, alerts := r.Alerts(ctx, history.AlertFilter{Span: span})
		_, decisions := r.Decisions(ctx, history.DecisionFilter{Span: span})
		_, inventory := r.Inventory(ctx, history.InventoryFilter{Span: span})
		_, entity := r.Entity(ctx, history.EntityID{Kind: history.Address, Value: attacker}, span)
		_, timeline := r.Timeline(ctx, history.Timeline{Span: span})
		_, top := r.Top(ctx, history.Top{Span: span, Field: "api.route"})
		for i, err := range []error{alerts, decisions, inventory, entity, timeline, top} {
			fails(t, fmt.Sprintf("question %d", i), err, history.ErrQuestion)
		}
	}
	_, severity := r.Alerts(ctx, history.AlertFilter{MinSeverity: "dire"})
	_, state := r.Alerts(ctx, history.AlertFilter{State: "lost"})
	_, decided := r.Decisions(ctx, history.DecisionFilter{State: "lost"})
	_, field := r.Top(ctx, history.Top{Field: "planet"})
	_, filter := r.Timeline(ctx, history.Timeline{Filter: "response.code =="})
	if err := errors.Join(severity, state, decided, field, filter); err == nil {
		t.Fatal("all were answered")
	}
	for what, err := range map[string]error{"severity": severity, "state": state, "decision state": decided, "field": field, "filter": filter} {
		fails(t, what, err, history.ErrQuestion)
	}
}
