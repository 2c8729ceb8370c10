package api

import (
	"context"
	"crypto/tls"
	_ "embed" // openapi.yaml
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/net/netutil"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

//go:embed openapi.yaml
var openAPI []byte

// Limits of the listener.
const (
	maxConnections = 256
	answerTimeout  = 30 * time.Second // to read a request's body, and to send an answer or a piece of a stream
)

// Decisions is what the API drives: *enforcer.Enforcer. It must be safe for concurrent use.
type Decisions interface {
	List(f enforcer.Filter) []*decision.Decision
	Get(id string) (*decision.Decision, error)
	Add(ctx context.Context, by string, r enforcer.Request) (*decision.Decision, error)
	Extend(ctx context.Context, by, id string, ttl time.Duration) (*decision.Decision, error)
	Revoke(ctx context.Context, by, id, note string) (*decision.Decision, error)
	Approve(ctx context.Context, by, id, note string) (*decision.Decision, error)
	Throw(ctx context.Context, by string, m decision.Mode, note string) (decision.Switch, error)
	Switch() decision.Switch
	// Explain takes a decision's id, or the value of an entity such as 203.0.113.9.
	Explain(what string) (*enforcer.Explanation, error)
	Gateways() []enforcer.GatewayStatus
}

// AuditReader hands over the lines of the audit ledger but the first after ones, in order, one JSON object each without a newline, until
// the present end of the ledger or until fn fails.
type AuditReader func(ctx context.Context, after uint64, fn func(line []byte) error) error

// Server is the API.
type Server struct {
	decisions Decisions
	audit     AuditReader
	history   HistorySource
	log       *slog.Logger
	guard     *guard
	replays   *replays
	openJSON  []byte
	requests  *prometheus.CounterVec
	refused   *prometheus.CounterVec

	ln  net.Listener // nil when the API is off
	srv *http.Server
}

// New binds the listener, and makes the machine's own token when no token is configured. audit may be nil: this process has no
// ledger; past may be nil: this process has no history. With an empty Listen nothing is served, and Run only waits. Errors in cfg are config.FieldErrors.
func New(cfg Config, decisions Decisions, audit AuditReader, past HistorySource, log *slog.Logger, reg prometheus.Registerer) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Listen == "" {
		return &Server{}, nil
	}
	if len(cfg.Tokens) == 0 {
		t, err := localToken(cfg.DataDir)
		if err != nil {
			return nil, err
		}
		cfg.Tokens = []Token{t}
	}
	doc, err := yaml.YAMLToJSON(openAPI)
	if err != nil {
		return nil, fmt.Errorf("api description: %w", err)
	}
	f := promauto.With(reg)
	s := &Server{decisions: decisions, audit: audit, history: past, log: log, guard: newGuard(cfg.Tokens, time.Now), replays: newReplays(time.Now), openJSON: doc,
		requests: f.NewCounterVec(prometheus.CounterOpts{Name: "warder_api_requests_total",
			Help: "Requests to the enforcer's API, by route and status."}, []string{"route", "code"}),
		refused: f.NewCounterVec(prometheus.CounterOpts{Name: "warder_api_refused_total",
			Help: "Requests to the enforcer's API from nobody who may, by reason."}, []string{"reason"}),
	}
	if s.ln, err = listen(cfg); err != nil {
		return nil, err
	}
	s.srv = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	return s, nil
}

func listen(cfg Config) (net.Listener, error) {
	var pair tls.Certificate
	var err error
	if cfg.TLS.CertFile != "" {
		if pair, err = tls.LoadX509KeyPair(cfg.TLS.CertFile, cfg.TLS.KeyFile); err != nil {
			return nil, config.Errorf("tls.cert_file", "%v", err)
		}
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("enforcer's api: %w; choose another address under api.listen", err)
	}
	ln = netutil.LimitListener(ln, maxConnections)
	if cfg.TLS.CertFile != "" {
		ln = tls.NewListener(ln, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}})
	}
	return ln, nil
}

// Addr is where the API listens, "" when it is off.
func (s *Server) Addr() string {
	if s.ln == nil {
		return ""
	}
	return s.ln.Addr().String()
}

// Close gives the address free when Run was never called; after Run it does nothing.
func (s *Server) Close() error {
	if s.ln == nil {
		return nil
	}
	if err := s.ln.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Run serves until ctx ends, and gives requests under way two seconds. It returns nil then.
func (s *Server) Run(ctx context.Context) error {
	if s.srv == nil {
		<-ctx.Done()
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- s.srv.Serve(s.ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("enforcer's api: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if s.srv.Shutdown(stop) != nil {
		s.srv.Close()
	}
	<-done
	return nil
}

// answer is what a handler returns: a value to write as JSON.
type answer struct {
	status int
	body   any
	header http.Header
}

func ok(body any) *answer { return &answer{status: http.StatusOK, body: body} }

// route is one method of one path.
type route struct {
	method, path string
	needs        Role // "": anybody
	// do answers, or returns what is wrong. Handlers that write the answer themselves return neither.
	do func(w http.ResponseWriter, r *http.Request, who person) (*answer, *problem)
}

func (s *Server) routes() []route {
	const v1, get, post = "/api/v1", http.MethodGet, http.MethodPost
	return append(s.historyRoutes(), []route{
		{get, v1 + "/decisions", Read, s.list},
		{post, v1 + "/decisions", Operate, s.add},
		{get, v1 + "/decisions/{id}", Read, s.get},
		{post, v1 + "/decisions/{id}/extend", Operate, s.extend},
		{post, v1 + "/decisions/{id}/revoke", Operate, s.revoke},
		{post, v1 + "/decisions/{id}/approve", Approve, s.approve},
		{get, v1 + "/decisions/{id}/explain", Read, s.explain},
		{get, v1 + "/explain", Read, s.explainEntity},
		{get, v1 + "/switch", Read, s.showSwitch},
		{http.MethodPut, v1 + "/switch", Operate, s.throw},
		{get, v1 + "/gateways", Read, s.gateways},
		{get, v1 + "/audit", Read, s.readAudit},
		{get, v1 + "/openapi.yaml", "", s.describe("application/yaml", openAPI)},
		{get, v1 + "/openapi.json", "", s.describe("application/json", s.openJSON)},
		{get, v1 + "/healthz", "", s.health},
	}...)
}

// handler serves the routes, and answers what is none of them with a problem, too.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	methods := map[string]string{}
	for _, rt := range s.routes() {
		mux.Handle(rt.method+" "+rt.path, s.serve(rt))
		if methods[rt.path] != "" {
			methods[rt.path] += ", "
		}
		methods[rt.path] += rt.method
	}
	for path, allowed := range methods {
		mux.Handle(path, s.serve(route{path: path, do: func(w http.ResponseWriter, r *http.Request, _ person) (*answer, *problem) {
			w.Header().Set("Allow", allowed)
			return nil, newProblem(http.StatusMethodNotAllowed, "method", "%s takes %s, not %.20q", path, allowed, r.Method)
		}}))
	}
	mux.Handle("/", s.serve(route{path: "none", do: func(http.ResponseWriter, *http.Request, person) (*answer, *problem) {
		return nil, newProblem(http.StatusNotFound, "no_such_path", "there is nothing here; /api/v1/openapi.yaml describes the API")
	}}))
	return mux
}

// serve wraps a route: deadlines, who asks, the answer, the count.
func (s *Server) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		moreTime(c)
		// Where no body is read, the deadline of reading would only end a long answer.
		if r.ContentLength != 0 {
			_ = c.SetReadDeadline(time.Now().Add(answerTimeout)) // a recorder in a test has none
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		var a *answer
		who, p := s.admit(r, rt)
		if p == nil {
			a, p = rt.do(w, r, who)
		}
		code := http.StatusOK
		moreTime(c) // finding the answer took time of its own
		switch {
		case p != nil:
			code = p.Status
			p.write(w)
		case a != nil:
			code = a.status
			a.write(w)
		}
		s.requests.WithLabelValues(rt.path, strconv.Itoa(code)).Inc()
	})
}

// moreTime gives the client time to take what is written next.
func moreTime(c *http.ResponseController) {
	_ = c.SetWriteDeadline(time.Now().Add(answerTimeout)) // a recorder in a test has none
}

// admit tells who asks, and whether they may.
func (s *Server) admit(r *http.Request, rt route) (person, *problem) {
	if rt.needs == "" {
		return person{}, nil
	}
	who, p := s.guard.identify(r)
	if p == nil && !who.role.allows(rt.needs) {
		p = forbidden(who, rt.needs, rt.method+" "+rt.path)
	}
	if p != nil {
		s.refused.WithLabelValues(p.Code).Inc()
		s.log.Warn("api request refused", "reason", p.Code, "route", rt.path, "who", who.name, "from", r.RemoteAddr)
	}
	return who, p
}

func (a *answer) write(w http.ResponseWriter) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // the client may be gone
}
