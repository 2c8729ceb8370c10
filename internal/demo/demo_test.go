package demo

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestShop(t *testing.T) {
	shop := Shop()
	for _, c := range []struct {
		method, path, body, token string
		want                      int
	}{
		{"GET", "/", "", "", 200},
		{"GET", "/assets/app.js", "", "", 200},
		{"GET", "/api/v1/products/7", "", "", 200},
		{"GET", "/api/v1/products/x", "", "", 404},
		{"GET", "/api/v1/search?q=o%27neill", "", "", 200},
		{"GET", "/api/v1/orders", "", "", 401},
		{"GET", "/api/v1/orders/1001", "", "token-customer-1", 200},
		{"POST", "/api/v1/cart", "{}", "token-customer-1", 201},
		{"POST", "/login", `{"user":"customer-1","password":"correct horse"}`, "", 200},
		{"POST", "/login", `{"user":"customer-1","password":"x"}`, "", 401},
		{"POST", "/login", "x", "", 400},
		{"GET", "/.env", "", "", 404},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		r.Header.Set("Authorization", "Bearer "+c.token)
		w := httptest.NewRecorder()
		shop.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.want)
		}
	}
}

// gate refuses an address after its third request, as the gateway would.
func gate(next http.Handler, refuse func(address string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse(r.Header.Get("X-Forwarded-For")) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func TestTraffic(t *testing.T) {
	attackers := map[string]int{}
	for _, a := range Attackers() {
		attackers[a.Address] = 0
	}
	var mu sync.Mutex
	answered := int64(0)
	srv := httptest.NewServer(gate(Shop(), func(address string) bool {
		mu.Lock()
		defer mu.Unlock()
		answered++
		n, bad := attackers[address]
		if bad {
			attackers[address] = n + 1
		}
		return bad && n >= 3
	}))
	defer srv.Close()
	var begun, refused int
	r := NewReckoning()
	start := time.Now()
	tr := NewTraffic(srv.URL, 8, func(Attacker) { mu.Lock(); begun++; mu.Unlock() }, func(string, time.Time) { mu.Lock(); refused++; mu.Unlock() })
	tr.Run(t.Context(), 3*time.Second)
	if begun != len(Attackers()) || refused != len(Attackers()) {
		t.Errorf("%d attackers began and %d were refused, want %d", begun, refused, len(Attackers()))
	}
	r.Alert(&alert.Alert{ID: "1"})
	if r.Alert(&alert.Alert{ID: "1"}) {
		t.Error("a repeated alert counts")
	}
	d := &decision.Decision{Action: decision.Block, Value: Attackers()[0].Address, Mode: decision.Enforce, State: decision.Active, Reason: decision.Reason{EventTime: start}}
	if !r.Decision(d) || r.Decision(d) {
		t.Error("the first block of an entity counts once")
	}
	s := r.Summary(tr, answered, map[string]int{"email": 1, "slack": 1})
	if !s.Closed || s.Requests != answered || s.Innocent != 0 || len(s.Blocked) != len(Attackers()) || s.BlockLatency.Max <= 0 {
		t.Errorf("summary %+v, want the loop closed after %d requests", s, answered)
	}
	s = r.Summary(tr, answered-1, map[string]int{"email": 2})
	if s.Closed || len(s.Problems) != 2 {
		t.Errorf("a missing event and a doubled mail close the loop: %+v", s)
	}
}

func TestInnocentRefusedDoesNotClose(t *testing.T) {
	srv := httptest.NewServer(gate(Shop(), func(string) bool { return true }))
	defer srv.Close()
	tr := NewTraffic(srv.URL, 2, func(Attacker) {}, func(string, time.Time) {})
	tr.Run(t.Context(), 2*time.Second+200*time.Millisecond)
	s := NewReckoning().Summary(tr, tr.Requests(), nil)
	if s.Closed || s.Innocent == 0 {
		t.Errorf("summary %+v, want innocent users counted", s)
	}
}

func TestSummaryText(t *testing.T) {
	var b bytes.Buffer
	Summary{Requests: 10, EventsStored: 9, Alerts: 2, Blocked: []string{"203.0.113.9"}, BlockLatency: Latency{3, 4.25, 5},
		Delivered: map[string]int{"slack": 2, "email": 2}, Problems: []string{"one is missing"}}.Write(&b)
	want := `  requests                   10
  events stored              9
  alerts                     2
  blocked                    203.0.113.9
  trip to first refusal      median 3.0 ms, 99th percentile 4.2 ms, worst 5.0 ms
  innocent users refused     0
  delivered by email         2
  delivered by slack         2
  the loop                   DID NOT CLOSE
    - one is missing
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestQuantile(t *testing.T) {
	v := []float64{1, 2, 3, 4}
	for q, want := range map[float64]float64{0: 1, .5: 2, .75: 3, .99: 4, 1: 4} {
		if got := quantile(v, q); got != want {
			t.Errorf("quantile %v = %v, want %v", q, got, want)
		}
	}
	if quantile(nil, .5) != 0 {
		t.Error("no values have a quantile")
	}
}
