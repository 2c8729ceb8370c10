package refusal

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/warder/warder/internal/decision"
)

func TestWrite(t *testing.T) {
	about := func(a decision.Action) *decision.Decision {
		return &decision.Decision{ID: "00ff", Action: a, Reason: decision.Reason{Title: `Stuffing <"login">`}}
	}
	const retry, ask = "Retry-After", "WWW-Authenticate"
	const bearer = `Bearer realm="api", error="invalid_token", error_description="this client must prove who it is"`
	for _, tt := range []struct {
		name string
		v    decision.Verdict
		body string
		with map[string]string
	}{
		{"block", decision.Verdict{Decision: about(decision.Block), Status: 403}, `{"error":"blocked","decision":"00ff"}`, nil},
		{"limit", decision.Verdict{Decision: about(decision.Limit), Status: 429, RetryAfter: 17}, `{"error":"limited","decision":"00ff"}`,
			map[string]string{retry: "17"}},
		{"limit without a wait", decision.Verdict{Decision: about(decision.Limit), Status: 429}, `{"error":"limited","decision":"00ff"}`,
			map[string]string{retry: "1"}},
		{"challenge", decision.Verdict{Decision: about(decision.Challenge), Status: 401},
			`{"error":"challenged","reason":"Stuffing \u003c\"login\"\u003e","decision":"00ff"}`, map[string]string{ask: bearer}},
		{"challenge to wait", decision.Verdict{Decision: about(decision.Challenge), Status: 429, RetryAfter: 60},
			`{"error":"challenged","reason":"Stuffing \u003c\"login\"\u003e","decision":"00ff"}`, map[string]string{retry: "60"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			Write(w, tt.v)
			body := tt.body + "\n"
			want := http.Header{"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(len(body))}, "Cache-Control": {"no-store"},
				"X-Content-Type-Options": {"nosniff"}}
			for k, v := range tt.with {
				want.Set(k, v)
			}
			if diff := cmp.Diff(want, w.Header()); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if w.Code != tt.v.Status || w.Body.String() != body {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, tt.v.Status, body)
			}
		})
	}
}
