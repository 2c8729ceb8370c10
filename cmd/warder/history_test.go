package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// serveHistory is the script command "history": an API that knows a little of the past, until the script ends.
func serveHistory(ts *testscript.TestScript, _ bool, _ []string) {
	srv := httptest.NewServer(pastAPI())
	ts.Defer(srv.Close)
	ts.Setenv("WARDER_API", srv.URL)
	ts.Setenv("WARDER_API_TOKEN", dutyToken)
}

func pastAPI() http.Handler {
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	a := history.Alert{Alert: &alert.Alert{Version: 1, ID: "aaaa0000000000000000000000000001", Rule: "login-stuffing", Title: "Credential stuffing", Severity: alert.High,
		Time: at, Group: map[string]string{"source.address": "203.0.113.9"}, Values: map[string]float64{"failures": 20}}, Triage: history.Triage{State: history.Open}}
	answers := map[string]any{
		"GET /api/v1/events/explain": history.Plan{Pushed: []string{"response.code == 403"}, SQL: "SELECT 1", Params: []history.Param{{Name: "p0", Value: "403"}}},
		"GET /api/v1/top":            []history.Count{{Value: "203.0.113.9\u202e", Count: 3, Share: 0.75}},
		"GET /api/v1/timeline":       []history.Bucket{{Time: at, Count: 4, Denied: 2}, {Time: at.Add(time.Minute)}, {Time: at.Add(2 * time.Minute)}, {Time: at.Add(3 * time.Minute), Count: 1}},
		"GET /api/v1/entities/address/203.0.113.9": history.Entity{EntityID: history.EntityID{Kind: history.Address, Value: "203.0.113.9"}, First: at, Last: at,
			Requests: 4, Timeline: []history.Bucket{{Time: at, Count: 4}}, Top: map[string][]history.Count{"api.route": {{Value: "/login", Count: 4, Share: 1}}}, Alerts: []history.Alert{a}},
		"GET /api/v1/alerts":      []history.Alert{a},
		"GET /api/v1/alerts/aaaa": history.AlertDetail{Alert: a, Evidence: []*event.Event{somethingSeen(1)}},
		"POST /api/v1/alerts/aaaa0000000000000000000000000001/triage": a,
		"GET /api/v1/inventory": []history.Endpoint{{API: "shop", Method: "GET", Route: "/items/{id}", Version: "v1", Requests: 9, First: at, Last: at},
			{API: "shop", Method: "POST", Requests: 1, First: at, Last: at}},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		enc := json.NewEncoder(w)
		key := r.Method + " " + r.URL.Path
		switch v, ok := answers[key]; {
		case r.Header.Get("Authorization") != "Bearer "+dutyToken:
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"detail":"no token of this API"}`)
		case key == "GET /api/v1/events" && r.URL.Query().Get("filter") == "nonsense":
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"code":"invalid","detail":"filter: undeclared reference to 'nonsense'"}`)
		case key == "GET /api/v1/events":
			_ = enc.Encode(somethingSeen(1))
			_ = enc.Encode(somethingSeen(2))
			fmt.Fprintln(w, `{"summary":{"found":2,"scanned":10,"checked":2,"failed":0,"took":1000000}}`)
		case ok:
			_ = enc.Encode(v)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"code":"not_found","detail":"nothing is known of it"}`)
		}
	})
}

func somethingSeen(seq uint64) *event.Event {
	return &event.Event{ID: event.NewID("t", seq), Tap: "t", Seq: seq, Time: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		Request: event.RequestInfo{Method: "POST", Path: "/login\x1b[2J"}, Response: event.ResponseInfo{Code: 401},
		Source: event.Source{Address: netip.MustParseAddr("203.0.113.9")}, Principal: event.Principal{ID: "=cmd()"}, API: event.API{Route: "/login"}}
}
