// Package refusal writes the HTTP answer to a refused request, the same at every gateway that answers over HTTP.
package refusal

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/warder/warder/internal/decision"
)

// The headers that say to a gateway's log which decision answered or marked a request.
const (
	HeaderDecision = "X-Warder-Decision" // the decision's id
	HeaderAction   = "X-Warder-Action"   // decision.Verdict.Mark
)

// words are what the answer calls the action.
var words = map[decision.Action]string{decision.Block: "blocked", decision.Limit: "limited", decision.Challenge: "challenged"}

// Body is the answer's JSON. It names the decision, so that whoever was refused can ask about it, and for a challenge the rule's title.
func Body(v decision.Verdict) []byte {
	body := struct {
		Error    string `json:"error"`
		Reason   string `json:"reason,omitempty"`
		Decision string `json:"decision"`
	}{Error: words[v.Decision.Action], Decision: v.Decision.ID}
	if v.Decision.Action == decision.Challenge {
		body.Reason = v.Decision.Reason.Title
	}
	b, err := json.Marshal(body)
	if err != nil { // texts: it cannot fail
		b = []byte("{}")
	}
	return append(b, '\n')
}

// Write answers a request that the verdict refuses. The verdict must have a status.
func Write(w http.ResponseWriter, v decision.Verdict) {
	h := w.Header()
	body := Body(v)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	Headers(h.Set, v)
	w.WriteHeader(v.Status)
	_, _ = w.Write(body) // the client may be gone
}

// Headers sets the headers of the answer that depend on the verdict.
func Headers(set func(name, value string), v decision.Verdict) {
	if v.Status == http.StatusTooManyRequests {
		set("Retry-After", strconv.Itoa(max(1, v.RetryAfter)))
	}
	if v.Status == http.StatusUnauthorized {
		set("WWW-Authenticate", `Bearer realm="api", error="invalid_token", error_description="this client must prove who it is"`)
	}
}
