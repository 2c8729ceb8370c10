package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/enforcer/api/apitest"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

// exercised are the operations of the description that some test has had an answer of.
var exercised sync.Map

// TestMain fails when an operation of the description was never answered.
func TestMain(m *testing.M) {
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.FileBodyDecoder)
	code := m.Run()
	if code == 0 && !partial() {
		code = unexercised()
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// partial tells whether only some of the tests were asked for.
func partial() bool {
	for _, a := range os.Args {
		if name, value, _ := strings.Cut(a, "="); value != "" && (name == "-test.run" || name == "-test.fuzz") || name == "-test.list" || a == "-test.fuzzworker" {
			return true
		}
	}
	return false
}

func unexercised() int {
	doc, err := description()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if _, ok := exercised.Load(method + " " + path); !ok {
				fmt.Fprintf(os.Stderr, "openapi.yaml: no test has asked for %s %s\n", method, path)
				return 1
			}
		}
	}
	return 0
}

func description() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
}

// checked validates every answer, and every accepted request, against the description.
type checked struct {
	t      *testing.T
	router routers.Router
}

// RoundTrip implements http.RoundTripper.
func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return resp, err
	}
	ask := r.Clone(r.Context())
	ask.URL.Scheme, ask.URL.Host, ask.Host = "", "", ""
	route, params, err := c.router.FindRoute(ask)
	if err != nil {
		return resp, nil // not in the description: the caller looks at the status
	}
	exercised.Store(route.Method+" "+route.Path, true)
	in := &openapi3filter.RequestValidationInput{Request: ask, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if resp.StatusCode/100 == 2 { // what is accepted must be described
		if r.GetBody != nil {
			ask.Body, _ = r.GetBody()
		}
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			c.t.Errorf("%s %s is accepted, but not as described: %v", r.Method, r.URL, err)
		}
	}
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		c.t.Errorf("%s %s: the answer is not as described: %v\n%s", r.Method, r.URL, err, body)
	}
	return resp, nil
}

// rig is a running API.
type rig struct {
	t      *testing.T
	fake   *apitest.Decisions
	addr   string
	client *http.Client
	log    *lockedBuffer
	book   *book // nil: there is no history
}

// past is the history that the server asks.
func (r *rig) past() (api.History, error) {
	if r.book == nil {
		return nil, errors.New("the store is not ready yet")
	}
	return r.book, nil
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func token(name string) string { return name + "-0123456789abcdef" }

func testConfig() api.Config {
	cfg := api.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	for name, role := range map[string]api.Role{"rita": api.Read, "otto": api.Operate, "anna": api.Approve} {
		cfg.Tokens = append(cfg.Tokens, api.Token{Name: name, Token: config.NewSecret(token(name)), Role: role})
	}
	return cfg
}

func start(t *testing.T, audit api.AuditReader) *rig {
	t.Helper()
	doc, err := description()
	if err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, fake: &apitest.Decisions{Now: time.Now}, client: &http.Client{Transport: checked{t, router}}, log: new(lockedBuffer)}
	s, err := api.New(testConfig(), r.fake, audit, r.past, slog.New(slog.NewTextHandler(r.log, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	r.addr = s.Addr()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// ask sends a request as somebody and returns status, headers and body. A body makes it JSON.
func (r *rig) ask(who, method, path, body string, headers ...string) (int, http.Header, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.addr+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+token(who))
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.Header.Get("Cache-Control") != "no-store" {
		r.t.Errorf("%s %s: answers may be cached", method, path)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// step is a request and what its answer must be.
type step struct {
	who, method, path, body string
	status                  int
	want                    string // part of the body
}

func (r *rig) steps(steps ...step) {
	r.t.Helper()
	for _, s := range steps {
		status, _, body := r.ask(s.who, s.method, s.path, s.body)
		if status != s.status || !strings.Contains(body, s.want) {
			r.t.Errorf("%s: %s %s %s: got %d %s\nwant %d %s", s.who, s.method, s.path, s.body, status, body, s.status, s.want)
		}
	}
}

const id = "0123456789abcdef0123456789abcdef"

func proposal() *decision.Decision {
	at := time.Date(2026, 10, 10, 13, 55, 36, 0, time.UTC)
	return &decision.Decision{Version: decision.Version, ID: id, Action: decision.Limit, Scope: decision.Address, Value: "203.0.113.9",
		And:  []decision.Term{{Scope: decision.Route, Value: "/login"}},
		Rate: &decision.Rate{Requests: 10, Per: 500 * time.Millisecond, Burst: 20}, Mode: decision.Enforce, Wanted: decision.Enforce,
		State: decision.Proposed, Creator: "rule:stuffing", Created: at, Expires: at.Add(15 * time.Minute), Guardrail: "never_block",
		Note: "held back", Offence: 2, Share: 0.25,
		Reason: decision.Reason{Alert: "a", Rule: "stuffing", RuleVersion: "v", Title: "Stuffing", Event: "e", EventTime: at}}
}

func TestDecisions(t *testing.T) {
	r := start(t, nil)
	r.fake.Put(proposal())
	r.fake.Story = enforcer.Explanation{Effective: "nothing", Guardrails: []enforcer.Finding{{Guardrail: "never_block", Held: true, Says: "is on the list"}},
		Gateways: []enforcer.Acknowledgement{{Gateway: "edge-1", Kind: "inline", Acked: true, At: time.Now()}, {Gateway: "edge-2", Kind: "haproxy", Error: "down"}},
		Refusals: 3, FirstRefusal: time.Now()}
	one := "/api/v1/decisions/" + id
	r.steps(
		step{"rita", "GET", one, "", 200, `"entity":"source.address=203.0.113.9 and api.route=/login"`},
		step{"rita", "GET", one, "", 200, `"rate":{"requests":10,"per_seconds":0.5,"burst":20}`},
		step{"rita", "GET", one, "", 200, `"expires":"2026-10-10T14:10:36Z","ttl_seconds":900`},
		step{"rita", "GET", one + "/explain", "", 200, `"says":"is on the list"`},
		step{"rita", "GET", "/api/v1/explain?entity=203.0.113.9", "", 200, `"effective":"nothing"`},
		step{"otto", "POST", one + "/extend", `{"ttl":"1h"}`, 409, `"detail":"not allowed: the decision is proposed"`},
		step{"anna", "POST", one + "/approve", "", 200, `"approver":"person:anna"`},
		step{"anna", "POST", one + "/approve", `{"note":"again"}`, 409, `"code":"conflict"`},
		step{"otto", "POST", one + "/extend", `{"ttl":"2h"}`, 200, `"approver":"person:otto"`},
		step{"otto", "POST", one + "/revoke", `{"note":"it was the load test"}`, 200, `"state":"revoked"`},
		step{"otto", "POST", "/api/v1/decisions", `{"terms":[{"scope":"api.route","value":"/a"},{"scope":"source.address","value":"::ffff:203.0.113.7"}],"ttl":"1d"}`,
			201, `"entity":"source.address=203.0.113.7 and api.route=/a"`},
		step{"otto", "POST", "/api/v1/decisions", `{"action":"limit","rate":{"requests":5},"terms":[{"scope":"source.country","value":"xx"}],"ttl":"1m"}`,
			201, `"rate":{"requests":5,"per_seconds":1,"burst":5}`},
		step{"otto", "POST", "/api/v1/decisions", `{"action":"challenge","status":429,"mode":"observe","terms":[{"scope":"source.asn","value":"AS64496"}],"ttl":"90s","note":"slow down"}`,
			201, `"creator":"person:otto"`},
	)
	if log := r.log.String(); !strings.Contains(log, `msg="decision revoked" by=person:otto id=`+id) || !strings.Contains(log, `msg="decision approved" by=person:anna`) {
		t.Errorf("the log does not say who changed what:\n%s", log)
	}
}

func TestList(t *testing.T) {
	r := start(t, nil)
	for i := range 5 {
		d := proposal()
		d.ID = fmt.Sprintf("id-%d", i)
		r.fake.Put(d)
	}
	r.steps(
		step{"rita", "GET", "/api/v1/decisions?limit=2", "", 200, `"next":"id-3"`},
		step{"rita", "GET", "/api/v1/decisions?limit=2&cursor=id-3", "", 200, `"next":"id-1"`},
		step{"rita", "GET", "/api/v1/decisions?limit=2&cursor=id-1&state=proposed,active&action=limit&scope=source.address&value=203.0.113.9&rule=stuffing&creator=rule:stuffing",
			"", 200, `{"decisions":[{"id":"id-0"`},
		step{"rita", "GET", "/api/v1/decisions?state=revoked", "", 200, `{"decisions":[]}`},
		step{"rita", "GET", "/api/v1/decisions?state=gone", "", 400, `"field":"state"`},
		step{"rita", "GET", "/api/v1/decisions?limit=0", "", 400, "from 1 to 1000"},
		step{"rita", "GET", "/api/v1/decisions?sate=active", "", 400, "there is no such parameter"},
		step{"rita", "GET", "/api/v1/decisions?scope=planet", "", 400, "source.address, principal.id"},
		step{"rita", "GET", "/api/v1/decisions?action=", "", 400, "must be given once"},
		step{"rita", "GET", "/api/v1/decisions?rule=" + strings.Repeat("x", 600), "", 400, "limit is 512"},
	)
	if _, _, body := r.ask("rita", "GET", "/api/v1/decisions?limit=5", ""); strings.Contains(body, "next") {
		t.Error("the last page names another one")
	}
}

func TestOperation(t *testing.T) {
	r := start(t, func(_ context.Context, after uint64, fn func([]byte) error) error {
		for i := after + 1; i <= 3; i++ {
			if err := fn(fmt.Appendf(nil, `{"seq":%d}`, i)); err != nil {
				return err
			}
		}
		return nil
	})
	r.fake.Status = []enforcer.GatewayStatus{{Gateway: "edge-1", Kind: "inline", Seen: time.Now(), Held: 3, State: "in line"}}
	r.steps(
		step{"rita", "GET", "/api/v1/switch", "", 200, `{"mode":"enforce"}`},
		step{"otto", "PUT", "/api/v1/switch", `{"mode":"observe","note":"customers report 403"}`, 200, `"by":"person:otto"`},
		step{"otto", "PUT", "/api/v1/switch", `{"mode":"enforce"}`, 403, "needs the role approve, and otto has the role operate"},
		step{"anna", "PUT", "/api/v1/switch", `{"mode":"enforce"}`, 200, `"mode":"enforce"`},
		step{"anna", "PUT", "/api/v1/switch", `{"mode":"off"}`, 400, `"field":"mode"`},
		step{"rita", "GET", "/api/v1/gateways", "", 200, `"state":"in line"`},
		step{"rita", "GET", "/api/v1/audit", "", 200, "{\"seq\":1}\n{\"seq\":2}\n{\"seq\":3}\n"},
		step{"rita", "GET", "/api/v1/audit?after=3", "", 200, ""},
		step{"rita", "GET", "/api/v1/audit?after=-1", "", 400, `"field":"after"`},
		step{"", "GET", "/api/v1/openapi.yaml", "", 200, "openapi: 3.0.3"},
		step{"", "GET", "/api/v1/openapi.json", "", 200, `"openapi":`},
		step{"", "GET", "/api/v1/healthz", "", 200, "ok"},
	)
}

func TestAuditFails(t *testing.T) {
	broken := errors.New("broken")
	r := start(t, func(_ context.Context, after uint64, fn func([]byte) error) error {
		if after == 0 {
			return broken
		}
		return errors.Join(fn([]byte(`{"seq":1}`)), broken)
	})
	r.steps(step{"rita", "GET", "/api/v1/audit", "", 503, `"code":"unavailable"`})
	req, _ := http.NewRequest("GET", "http://"+r.addr+"/api/v1/audit?after=1", nil)
	req.Header.Set("Authorization", "Bearer "+token("rita"))
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("a stream that failed half-way looks whole")
	}
	start(t, nil).steps(step{"rita", "GET", "/api/v1/audit", "", 503, "keeps no audit ledger"})
}

func TestProblems(t *testing.T) {
	r := start(t, nil)
	add, one := "/api/v1/decisions", "/api/v1/decisions/"+id
	body := func(rest string) string {
		return `{"terms":[{"scope":"source.address","value":"203.0.113.9"}],"ttl":"1h"` + rest + `}`
	}
	r.steps(
		step{"otto", "POST", add, "{", 400, "not a JSON object"},
		step{"otto", "POST", add, body("") + "{}", 400, "goes on after"},
		step{"otto", "POST", add, body(`,"tll":"1h"`), 400, `"field":"tll"`},
		step{"otto", "POST", add, body(`,"note":7`), 400, `"field":"note"`},
		step{"otto", "POST", add, body(`,"note":"a\nb"`), 400, "control characters"},
		step{"otto", "POST", add, body(`,"note":"` + strings.Repeat("x", 1001) + `"`), 400, "limit is 1000"},
		step{"otto", "POST", add, body(`,"action":"drop"`), 400, `"field":"action"`},
		step{"otto", "POST", add, body(`,"action":"limit"`), 400, `"field":"rate"`},
		step{"otto", "POST", add, body(`,"rate":{"requests":1}`), 400, "belongs to a limit"},
		step{"otto", "POST", add, body(`,"action":"limit","rate":{"requests":0}`), 400, `"field":"rate.requests"`},
		step{"otto", "POST", add, body(`,"action":"limit","rate":{"requests":1,"burst":-1}`), 400, `"field":"rate.burst"`},
		step{"otto", "POST", add, body(`,"action":"limit","rate":{"requests":1,"per":"x"}`), 400, `"field":"rate.per"`},
		step{"otto", "POST", add, body(`,"action":"challenge"`), 400, `"field":"status"`},
		step{"otto", "POST", add, body(`,"status":401`), 400, "belongs to a challenge"},
		step{"otto", "POST", add, body(`,"mode":"shadow"`), 400, `"field":"mode"`},
		step{"otto", "POST", add, `{"ttl":"1h"}`, 400, `"field":"terms"`},
		step{"otto", "POST", add, `{"terms":[{"scope":"source.address","value":"nobody"}],"ttl":"1h"}`, 400, `"field":"terms[0]"`},
		step{"otto", "POST", add, `{"terms":[{"scope":"api.route","value":"/a"},{"scope":"api.route","value":"/b"}],"ttl":"1h"}`, 400, "repeat"},
		step{"otto", "POST", add, `{"terms":[{},{},{},{},{}],"ttl":"1h"}`, 400, "limit is 4"},
		step{"otto", "POST", add, `{"terms":[{"scope":"api.route","value":"/a"}]}`, 400, "every decision expires"},
		step{"otto", "POST", add, `{"terms":[{"scope":"api.route","value":"/a"}],"ttl":"-1h"}`, 400, "not above zero"},
		step{"otto", "POST", add, body(`,"note":"` + strings.Repeat("x", api.MaxBody) + `"`), 413, `"code":"too_large"`},
		step{"otto", "POST", one + "/extend", "", 415, `"code":"media_type"`},
		step{"otto", "POST", one + "/extend", "{}", 400, `"field":"ttl"`},
		step{"otto", "POST", one + "/extend", `{"ttl":"1h"}`, 404, `"code":"not_found"`},
		step{"otto", "POST", one + "/revoke", "[]", 400, `"code":"invalid"`},
		step{"otto", "POST", one + "/revoke", "", 404, "there is no such decision"},
		step{"anna", "POST", one + "/approve", "{\"note\":\"\xff\"}", 400, "not UTF-8"},
		step{"rita", "GET", one, "", 404, id},
		step{"rita", "GET", one + "/explain", "", 404, `"code":"not_found"`},
		step{"rita", "GET", "/api/v1/explain", "", 400, `"field":"entity"`},
		step{"rita", "GET", "/api/v2", "", 404, `"code":"no_such_path"`},
		step{"rita", "DELETE", one, "", 405, `/api/v1/decisions/{id} takes GET`},
		step{"rita", "POST", add, body(""), 403, "needs the role operate, and rita has the role read"},
		step{"otto", "POST", one + "/approve", "", 403, "needs the role approve"},
		step{"rita", "PUT", "/api/v1/switch", `{"mode":"observe"}`, 403, "operate"},
	)
	if status, _, _ := r.ask("otto", "POST", add, body(""), "Content-Type", "text/plain"); status != 415 {
		t.Errorf("text: %d", status)
	}
	r.fake.Fail = errors.New("the broker at 10.0.0.7 is away")
	for _, s := range []step{{"otto", "POST", add, body(""), 503, "safe to send"}, {"anna", "POST", one + "/revoke", "", 503, ""}, {"anna", "PUT", "/api/v1/switch", `{"mode":"observe"}`, 503, ""}} {
		status, header, text := r.ask(s.who, s.method, s.path, s.body)
		if status != 503 || header.Get("Retry-After") == "" || strings.Contains(text, "10.0.0.7") {
			t.Errorf("%s: %d %v %s", s.path, status, header, text)
		}
	}
	if !strings.Contains(r.log.String(), "10.0.0.7") {
		t.Error("the log does not say what failed")
	}
}

func TestIdempotency(t *testing.T) {
	r := start(t, nil)
	const body, other = `{"terms":[{"scope":"api.route","value":"/a"}],"ttl":"1h"}`, `{"terms":[{"scope":"api.route","value":"/b"}],"ttl":"1h"}`
	add := func(who, key, body string) (int, string, string) {
		status, header, text := r.ask(who, "POST", "/api/v1/decisions", body, "Idempotency-Key", key)
		return status, header.Get("Idempotency-Replayed"), text
	}
	r.fake.Fail = errors.New("away")
	if status, _, _ := add("otto", "k", body); status != 503 {
		t.Fatalf("got %d", status)
	}
	r.fake.Fail = nil
	status, replayed, first := add("otto", "k", body)
	if status != 201 || replayed != "" {
		t.Fatalf("%d %s %s", status, replayed, first)
	}
	if status, replayed, again := add("otto", "k", body); status != 201 || replayed != "true" || again != first {
		t.Errorf("%d %s %s\nwant %s", status, replayed, again, first)
	}
	if status, _, text := add("otto", "k", other); status != 409 || !strings.Contains(text, "another body") {
		t.Errorf("%d %s", status, text)
	}
	if status, replayed, _ := add("anna", "k", body); status != 201 || replayed != "" {
		t.Error("keys of two people are one")
	}
	if status, _, _ := add("otto", strings.Repeat("k", 129), body); status != 400 {
		t.Errorf("a long key: %d", status)
	}
	if status, _, _ := add("otto", "ü", body); status != 400 {
		t.Errorf("a key that is not ASCII: %d", status)
	}
	if n := len(r.fake.List(enforcer.Filter{})); n != 2 {
		t.Errorf("%d decisions, want 2", n)
	}
}

func TestAuthentication(t *testing.T) {
	r := start(t, nil)
	status, header, body := r.ask("", "GET", "/api/v1/decisions", "")
	if status != 401 || header.Get("WWW-Authenticate") == "" || !strings.Contains(body, "api.token") {
		t.Errorf("%d %v %s", status, header, body)
	}
	for _, a := range []string{"Basic " + token("rita"), "Bearer", "Bearer ", token("rita")} {
		if status, _, _ := r.ask("", "GET", "/api/v1/switch", "", "Authorization", a); status != 401 {
			t.Errorf("%q: %d", a, status)
		}
	}
	if status, _, _ := r.ask("", "GET", "/api/v1/switch", "", "Authorization", "bearer  "+token("rita")); status != 200 {
		t.Errorf("spelling of the scheme: %d", status)
	}
	// A request without a token does not count; ten wrong ones shut the address out, the right token included.
	for i := range 10 {
		if status, _, _ := r.ask("nobody", "GET", "/api/v1/decisions", ""); status != 401 {
			t.Fatalf("wrong token %d: %d", i, status)
		}
	}
	for _, path := range []string{"/api/v1/decisions", "/api/v1/gateways", "/api/v1/switch", "/api/v1/decisions/x"} {
		if status, header, _ := r.ask("rita", "GET", path, ""); status != 429 || header.Get("Retry-After") != "6" {
			t.Errorf("%d %v", status, header)
		}
	}
	if status, _, _ := r.ask("", "GET", "/api/v1/healthz", ""); status != 200 {
		t.Error("health needs a token")
	}
	if strings.Contains(r.log.String(), token("nobody")) {
		t.Error("the log holds a token")
	}
}

func TestLocalToken(t *testing.T) {
	cfg := api.DefaultConfig()
	cfg.Listen, cfg.DataDir = "127.0.0.1:0", filepath.Join(t.TempDir(), "data")
	file := filepath.Join(cfg.DataDir, api.TokenFile)
	var texts []string
	for range 2 {
		s, err := api.New(cfg, &apitest.Decisions{Now: time.Now}, nil, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 || len(texts[0]) != 65 || texts[0] != texts[1] {
		t.Errorf("%v %v %d", err, st.Mode(), len(texts[0]))
	}
	if left, _ := filepath.Glob(filepath.Join(cfg.DataDir, "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.WriteFile(file, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := api.New(cfg, nil, nil, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("got %v", err)
	}
	cfg.DataDir = ""
	if _, err := api.New(cfg, nil, nil, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("got %v", err)
	}
}

func TestOff(t *testing.T) {
	s, err := api.New(api.Config{}, nil, nil, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil || s.Addr() != "" || s.Close() != nil {
		t.Errorf("%v %s", err, s.Addr())
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct{ yaml, want string }{
		{"listen: 127.0.0.1:9601\n", ""},
		{"listen: \"[::1]:9601\"\n", ""},
		{"listen: localhost:9601\n", ""},
		{"listen: \"\"\n", ""},
		{"listen: 0.0.0.0:9601\ntls: {cert_file: a, key_file: b}\n", ""},
		{"listen: 0.0.0.0:9601\n", "w.yaml:1: listen: \"0.0.0.0:9601\" can be reached from other machines"},
		{"listen: :9601\n", "tokens would cross the network in the clear"},
		{"listen: here\n", "is not host:port"},
		{"tls: {cert_file: a}\n", "w.yaml:1: tls.cert_file: cert_file and key_file belong together"},
		{"tokens:\n  - {name: alice, token: 0123456789abcdef, role: operate}\n", ""},
		{"tokens:\n  - {name: alice, token: short, role: operate}\n", "w.yaml:2: tokens[0].token: has 5 bytes, want at least 16"},
		{"tokens:\n  - {name: al ice, token: 0123456789abcdef, role: operate}\n", "is not a name"},
		{"tokens:\n  - {name: alice, token: 0123456789abcdef, role: admin}\n", "\"admin\" is not read, operate or approve"},
		{"tokens:\n  - {name: a, token: 0123456789abcdef, role: read}\n  - {name: a, token: 0123456789abcdeg, role: read}\n", "tokens[1].name: \"a\" is also the name"},
		{"tokens:\n  - {name: a, token: 0123456789abcdef, role: read}\n  - {name: b, token: 0123456789abcdef, role: read}\n", "tokens[1].token: is the same"},
	} {
		cfg := api.DefaultConfig()
		err := config.Decode("w.yaml", []byte(tc.yaml), &cfg)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.yaml, err, tc.want)
		}
	}
}
