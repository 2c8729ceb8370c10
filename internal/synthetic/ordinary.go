package synthetic

import (
	"strconv"
	"strings"
	"time"

	"github.com/warder/warder/internal/event"
)

// ordinary makes a request of somebody who means well.
func (t *Traffic) ordinary(e *event.Event) {
	s := t.visit()
	who := uint8(public)
	switch {
	case s.client.kind == robot && !strings.Contains(s.agent.name, "bot"):
		who = internal // a monitor
	case s.user == nil:
	case s.client.kind == server:
		who = machine
	case len(s.user.principal.Roles) == 1 && s.user.principal.Roles[0] == "admin":
		who = admin
	case s.user.models:
		who = llm
	default:
		who = member
	}
	r := &t.api.routes[t.api.by[who].draw(t.rnd)]
	t.called(e, r, s.user)
	t.from(e, s.client, s.agent)
	t.identify(e, r, s)
	t.answer(e, r)
	if s.agent.browser && t.rnd.IntN(5) < 3 {
		e.Request.Referer = referers()[t.rnd.IntN(8)]
	}
	if s.client.listed {
		e.Intel.Lists = lists()[0]
	}
	if t.rnd.IntN(400) == 0 { // what a firewall takes offence at without need
		e.WAF = event.WAF{Score: 3, Rules: []string{"920" + strconv.Itoa(270+t.rnd.IntN(10)*10)}}
	}
}

// identify says who it is. People show their token also where none is needed.
func (t *Traffic) identify(e *event.Event, r *route, s *session) {
	if s.user == nil || strings.HasPrefix(r.template, "/v1/auth/") && r.access == public {
		e.Auth.Outcome = "anonymous"
		return
	}
	e.Principal = s.user.principal
	if s.user.principal.Type == "jwt" {
		e.Auth.Outcome = "success"
	}
}

// answer says what came back. Of a hundred requests two or three fail by the client's fault; a token that has expired is the most
// frequent one.
func (t *Traffic) answer(e *event.Event, r *route) {
	e.Response.Code = usual(r.method)
	e.Response.ContentType = contentType(r)
	e.Response.Size = int64(logNormal(t.rnd, r.response, 0.55))
	e.Request.Duration = lasting(t.rnd, r.took, 0.5)
	if r.access == llm && r.took == 0 || r.template == "/v1/embeddings" {
		t.model(e, r)
	}
	roll := t.rnd.IntN(10_000)
	if failing := t.clock.failing(e.Time, len(t.api.routes)); failing >= 0 && &t.api.routes[failing] == r && t.rnd.IntN(4) == 0 {
		roll = 9_990 + t.rnd.IntN(10)
	}
	switch {
	case roll < 700 && r.method == "GET":
		e.Response.Code, e.Response.Size, e.Response.ContentType = 304, 0, ""
	case roll < 9_690:
	case roll < 9_740:
		t.failed(e, 400, 180)
	case roll < 9_800:
		if e.Principal.Type != "jwt" {
			t.failed(e, 404, 90)
			break
		}
		e.Auth = event.Auth{Outcome: "failure", Reason: "expired"}
		e.Principal = event.Principal{ID: "unverified:" + e.Principal.ID, Type: "jwt"}
		t.failed(e, 401, 60)
	case roll < 9_820:
		t.failed(e, 403, 70)
	case roll < 9_930:
		t.failed(e, 404, 90)
	case roll < 9_955:
		t.failed(e, 422, 240)
	case roll < 9_970:
		t.failed(e, 429, 50)
	case roll < 9_988:
		t.failed(e, 500, 120)
	case roll < 9_992:
		t.failed(e, 502, 150)
	case roll < 9_997:
		t.failed(e, 503, 150)
	default:
		t.failed(e, 504, 150)
		e.Request.Duration = 30*time.Second + time.Duration(t.rnd.IntN(int(20*time.Millisecond)))
	}
	if r.template == "/v1/auth/login" && e.Response.Code == 200 && t.rnd.IntN(100) < 6 {
		t.failed(e, 401, 80) // a slip of the finger
		e.Auth = event.Auth{Outcome: "failure", Reason: "upstream_401"}
	}
}

func (t *Traffic) failed(e *event.Event, code int, size float64) {
	e.Response = event.ResponseInfo{Code: code, Size: int64(logNormal(t.rnd, size, 0.2)), ContentType: "application/problem+json"}
	e.LLM = event.LLM{Model: e.LLM.Model, PromptTokens: e.LLM.PromptTokens}
	if code < 500 {
		e.Request.Duration = lasting(t.rnd, 3*time.Millisecond, 0.5)
	}
}

func usual(method string) int {
	switch method {
	case "POST":
		return 201
	case "DELETE":
		return 204
	}
	return 200
}

func contentType(r *route) string {
	switch {
	case strings.HasSuffix(r.template, "{image}"):
		return "image/webp"
	case strings.HasSuffix(r.template, "/invoice"):
		return "application/pdf"
	case r.method == "DELETE":
		return ""
	case r.template == "/healthz":
		return "text/plain"
	}
	return "application/json"
}

// failing returns the route that a release made worse: one for a quarter of an hour in a day; -1 for none.
func (c *clock) failing(at time.Time, routes int) int {
	day, second := at.Unix()/86400, at.Unix()%86400
	begin := int64(mix(uint64(day)) % 85000)
	if second < begin || second > begin+900 {
		return -1
	}
	return int(mix(uint64(day)+1) % uint64(min(routes, 20)))
}

// model fills in a call of a language model. An answer takes its time for each token.
func (t *Traffic) model(e *event.Event, r *route) {
	e.Response.Code = 200
	if r.template == "/v1/embeddings" {
		e.LLM = event.LLM{Model: "text-embedding-3-small", PromptTokens: 1 + int64(logNormal(t.rnd, 420, 0.8))}
		return
	}
	models := [...]string{"gpt-4o-mini", "gpt-4o", "claude-sonnet-4", "llama-3.3-70b", "mistral-small"}
	e.LLM = event.LLM{Model: models[pick(t.rnd, 45, 20, 18, 10, 7)], PromptTokens: 1 + int64(min(logNormal(t.rnd, 900, 1), 128_000)),
		CompletionTokens: 1 + int64(min(logNormal(t.rnd, 240, 0.9), 8_192))}
	e.Request.Size = 4*e.LLM.PromptTokens + 300
	e.Response.Size = 4*e.LLM.CompletionTokens + 500
	e.Request.Duration = lasting(t.rnd, 300*time.Millisecond, 0.4) + time.Duration(e.LLM.CompletionTokens)*9*time.Millisecond
	if t.rnd.IntN(2) == 0 {
		e.Response.ContentType = "text/event-stream"
	}
}

func referers() [8]string {
	return [8]string{"https://www.example.com/", "https://www.example.com/sale", "https://www.example.com/cart", "https://www.example.com/account",
		"https://www.example.com/search", "https://www.example.com/", "https://app.example.com/", "https://www.example.com/category/garden"}
}

func lists() [3][]string {
	return [3][]string{{"ipsum"}, {"ipsum", "tor-exits"}, {"scanners"}}
}
