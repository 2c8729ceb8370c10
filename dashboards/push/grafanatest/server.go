// Package grafanatest is a server that answers like Grafana's HTTP API: statuses, bodies and fields are those of its source and
// documentation, for version 9.3 and for newer ones. Like the real one it assigns ids and versions, rewrites what it is given, hides
// secrets and takes dashboards that make no sense.
package grafanatest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Token is the service account token that the server knows.
const Token = "glsa_0123456789abcdefABCDEF0123456789_0a1b2c3d"

// object is a JSON object.
type object = map[string]any

// Server is one Grafana. Its exported fields may be set until the first request; the methods may be called at any time.
type Server struct {
	*httptest.Server
	Version string            // 10.4.2 at first; "" hides it
	Plugins map[string]string // version by id
	Denied  string            // permission that the token lacks: folders:create
	Rewrite bool              // bring dashboards to a schema of its own, as Grafana 12 does

	mu         sync.Mutex
	log        []string
	faults     []*fault
	lastID     float64
	folders    map[string]object
	sources    map[string]object
	boards     map[string]board
	rules      map[string]object
	order      []string // uids of rules
	intervals  map[string]float64
	contacts   []object
	routes     []object
	templates  map[string]object
	provenance string // of what is changed through the API
}

type fault struct {
	prefix string
	status int
	times  int
}

// New starts a server that ends with the test, and knows the ClickHouse plugin.
func New(t testing.TB) *Server {
	s := Unstarted()
	s.Server = httptest.NewServer(s.Handler())
	t.Cleanup(s.Close)
	return s
}

// NewTLS is New with a certificate that nobody vouches for.
func NewTLS(t testing.TB) *Server {
	s := Unstarted()
	s.Server = httptest.NewTLSServer(s.Handler())
	t.Cleanup(s.Close)
	return s
}

// Unstarted returns a server whose Handler is to be served.
func Unstarted() *Server {
	return &Server{Version: "10.4.2", Plugins: map[string]string{"grafana-clickhouse-datasource": "4.0.8"}, folders: map[string]object{},
		sources: map[string]object{}, boards: map[string]board{}, rules: map[string]object{}, intervals: map[string]float64{}, templates: map[string]object{},
		provenance: "api"}
}

// Handler serves the API.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/health", s.health)
	mux.HandleFunc("GET /api/plugins/{id}/settings", s.plugin)
	s.content(mux)
	s.alerting(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusNotFound, object{"message": "Not found"})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.log = append(s.log, r.Method+" "+r.URL.Path)
		if s.fails(w, r) || r.URL.Path != "/api/health" && !s.admits(w, r) {
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// Fail makes the next requests that begin with the prefix, such as "POST /api/folders", fail with the status.
func (s *Server) Fail(prefix string, status, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &fault{prefix, status, times})
}

func (s *Server) fails(w http.ResponseWriter, r *http.Request) bool {
	for _, f := range s.faults {
		if f.times > 0 && strings.HasPrefix(r.Method+" "+r.URL.Path, f.prefix) {
			f.times--
			reply(w, f.status, object{"message": "database is locked"})
			return true
		}
	}
	return false
}

// Requests returns what was asked since the last call, as "METHOD path".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.log
	s.log = nil
	return out
}

// Writes returns the requests of Requests that are no reads.
func (s *Server) Writes() []string {
	return slices.DeleteFunc(s.Requests(), func(r string) bool { return strings.HasPrefix(r, "GET ") })
}

// admits checks the token and what it may do.
func (s *Server) admits(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Authorization") != "Bearer "+Token {
		reply(w, http.StatusUnauthorized, object{"message": "Invalid API key"})
		return false
	}
	if s.Denied != "" && s.Denied == needs(r) {
		reply(w, http.StatusForbidden, object{"accessErrorId": "ACE4815162342", "title": "Access denied",
			"message": "You'll need additional permissions to perform this action. Permissions needed: " + s.Denied})
		return false
	}
	return true
}

func needs(r *http.Request) string {
	verb := map[string]string{http.MethodGet: "read", http.MethodPost: "create"}[r.Method]
	if verb == "" {
		verb = "write"
	}
	for prefix, what := range map[string]string{"/api/folders": "folders", "/api/datasources": "datasources", "/api/dashboards": "dashboards", "/api/plugins": "plugins"} {
		if strings.HasPrefix(r.URL.Path, prefix) {
			return what + ":" + verb
		}
	}
	if verb == "create" {
		verb = "write"
	}
	return "alert.provisioning:" + verb
}

// old tells whether this is Grafana 9.
func (s *Server) old() bool { return strings.HasPrefix(s.Version, "9.") }

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	out := object{"database": "ok"}
	if s.Version != "" {
		out["version"], out["commit"] = s.Version, "89d05e6fc0"
	}
	reply(w, http.StatusOK, out)
}

func (s *Server) plugin(w http.ResponseWriter, r *http.Request) {
	version, ok := s.Plugins[r.PathValue("id")]
	if !ok {
		reply(w, http.StatusNotFound, object{"message": "Plugin not found, no installed plugin with that id"})
		return
	}
	reply(w, http.StatusOK, object{"id": r.PathValue("id"), "type": "datasource", "info": object{"version": version}})
}

func (s *Server) nextID() float64 {
	s.lastID++
	return s.lastID
}

// reply sends JSON; nil is an empty body, as some of Grafana's 404 are.
func reply(w http.ResponseWriter, status int, v any) {
	if v == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that went away
}

// read decodes a request; on false it has been answered.
func read(w http.ResponseWriter, r *http.Request) (object, bool) {
	var out object
	b, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		reply(w, http.StatusBadRequest, object{"message": "bad request data"})
		return nil, false
	}
	return out, true
}

// text returns a field as text.
func text(o object, field string) string {
	if v, ok := o[field]; ok && v != nil {
		return fmt.Sprint(v)
	}
	return ""
}
