package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
)

func TestBlockRefuses(t *testing.T) {
	b := start(t, echo(t).URL, nil)
	b.set.Apply(active5m("d1", nil))
	res, text, e := b.get("/x")
	if res.StatusCode != 403 || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	var body map[string]string
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"error": "blocked", "decision": "d1"}, body); diff != "" {
		t.Error(diff)
	}
	if !e.Refused() || e.Enforced != (event.Enforced{By: "d1", Action: "block"}) || e.Response.Code != 403 {
		t.Errorf("%+v %+v", e.Enforced, e.Response)
	}
	// The connection stays usable: a scanner that is refused must not cost a handshake each time.
	reused := false
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
	req, _ := http.NewRequest(http.MethodGet, b.url, nil)
	if res, err := b.client.Do(req.WithContext(httptrace.WithClientTrace(t.Context(), trace))); err != nil || !reused {
		t.Errorf("reused %v, error %v", reused, err)
	} else {
		res.Body.Close()
	}
	b.event()
	b.set.Apply(active5m("d1", func(d *decision.Decision) { d.State = decision.Revoked }))
	if res, _, e := b.get("/x"); res.StatusCode != 200 || e.Enforced.By != "" {
		t.Errorf("after the revocation: %d %+v", res.StatusCode, e.Enforced)
	}
}

func TestLimitRefusesAboveTheRate(t *testing.T) {
	b := start(t, echo(t).URL, nil)
	b.set.Apply(active5m("l1", func(d *decision.Decision) {
		d.Action, d.Rate = decision.Limit, &decision.Rate{Requests: 2, Per: time.Hour, Burst: 2}
	}))
	for i, want := range []int{200, 200, 429, 429} {
		res, text, e := b.get("/")
		if res.StatusCode != want {
			t.Fatalf("request %d: %d, want %d", i, res.StatusCode, want)
		}
		if want == 429 && (res.Header.Get("Retry-After") != "1800" || text != `{"error":"limited","decision":"l1"}`+"\n" || e.Enforced.Action != "limit") {
			t.Errorf("%s %s %+v", res.Header.Get("Retry-After"), text, e.Enforced)
		}
		if want == 200 && e.Enforced.By != "" {
			t.Errorf("passed within the rate, but has %+v", e.Enforced)
		}
	}
}

func TestObserveRecordsAndPasses(t *testing.T) {
	b := start(t, echo(t).URL, nil)
	b.set.Apply(active5m("o1", func(d *decision.Decision) { d.Mode = decision.Observe }))
	if res, _, e := b.get("/"); res.StatusCode != 200 || e.Enforced != (event.Enforced{By: "o1", Action: "observe:block"}) || e.Refused() {
		t.Errorf("%d %+v", res.StatusCode, e.Enforced)
	}
	b.set.Apply(active5m("o1", func(d *decision.Decision) { d.State = decision.Revoked }),
		active5m("o2", func(d *decision.Decision) {
			d.Mode, d.Action, d.Rate = decision.Observe, decision.Limit, &decision.Rate{Requests: 1, Per: time.Hour, Burst: 1}
		}))
	for _, want := range []string{"", "observe:limit"} {
		if res, _, e := b.get("/"); res.StatusCode != 200 || e.Enforced.Action != want {
			t.Errorf("%d %+v, want %q", res.StatusCode, e.Enforced, want)
		}
	}
}

func TestBlockByPrincipalNeedsProof(t *testing.T) {
	b := start(t, echo(t).URL, func(c *Config) {
		c.TrustedProxies = []string{"127.0.0.0/8"}
		c.Principal = []Credential{{Type: typeHeader, Name: "X-User"}, {Type: typeBasic}, {Type: typeAPIKey, Header: "X-Api-Key"}}
	})
	_, _, e := b.get("/", "X-Api-Key", "k1")
	key := e.Principal.ID
	for i, who := range []string{"alice", key} {
		b.set.Apply(active5m(fmt.Sprint("p", i), func(d *decision.Decision) { d.Scope, d.Value = decision.Principal, who }))
	}
	for _, tt := range []struct {
		header, value, who string
		code               int
	}{
		{"X-User", "alice", "alice", 403},
		{"X-User", "bob", "bob", 200},
		{"Authorization", "Basic YWxpY2U6cHc=", "unverified:alice", 200}, // alice:pw
		{"X-Api-Key", "k1", key, 403},
		{"X-Api-Key", "k2", "", 200},
	} {
		res, _, e := b.get("/", tt.header, tt.value)
		if res.StatusCode != tt.code || tt.who != "" && e.Principal.ID != tt.who {
			t.Errorf("%s %s: %d, principal %q", tt.header, tt.value, res.StatusCode, e.Principal.ID)
		}
	}
}

func TestRestartKeepsBlocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions")
	up := echo(t).URL
	func() {
		set := newSet(t, path)
		b := startWith(t, set, up, nil)
		set.Apply(active5m("d1", nil))
		if res, _, _ := b.get("/"); res.StatusCode != 403 {
			t.Errorf("before the restart: %d", res.StatusCode)
		}
		b.stop()
		if err := set.Flush(); err != nil {
			t.Fatal(err)
		}
	}()
	b := startWith(t, newSet(t, path), up, nil)
	if res, _, e := b.get("/"); res.StatusCode != 403 || e.Enforced.By != "d1" {
		t.Errorf("after the restart: %d", res.StatusCode)
	}
}

func TestChallengeAndLog(t *testing.T) {
	b := start(t, echo(t).URL, nil)
	b.set.Apply(active5m("c1", func(d *decision.Decision) {
		d.Action, d.Status, d.Reason.Title = decision.Challenge, 401, "Stuffing"
	}))
	res, text, e := b.get("/")
	if res.StatusCode != 401 || res.Header.Get("WWW-Authenticate") == "" || text != `{"error":"challenged","reason":"Stuffing","decision":"c1"}`+"\n" {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, text)
	}
	// It is not the upstream's word on the credentials, and does not feed detection.
	if !e.Refused() || e.Enforced.Action != "challenge" || e.Auth.Outcome == "failure" {
		t.Errorf("%+v %+v", e.Enforced, e.Auth)
	}
	b.set.Sync(active5m("g1", func(d *decision.Decision) { d.Action = decision.Log }))
	if res, _, e := b.get("/"); res.StatusCode != 200 || e.Enforced != (event.Enforced{By: "g1", Action: "log"}) || e.Refused() {
		t.Errorf("%d %+v", res.StatusCode, e.Enforced)
	}
}
