package crowdsec

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"time"
)

// Bounds of what bouncers send.
const (
	maxLogin   = 64 << 10
	maxMetrics = 1 << 20
	writeTime  = time.Minute // for a bouncer to take an answer
	flushAt    = 64 << 10    // bytes
)

// The outcomes of a request.
const (
	outcomeOK        = "ok"
	outcomeForbidden = "forbidden"
	outcomeBad       = "bad_request"
	outcomeLost      = "lost" // the bouncer went away before it had the answer
)

// Handler answers the calls of bouncers.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "up"})
	})
	mux.HandleFunc("POST /v1/watchers/login", s.login)
	mux.HandleFunc("GET /v1/decisions", s.known("decisions", s.list))
	mux.HandleFunc("GET /v1/decisions/stream", s.known("stream", s.stream))
	mux.HandleFunc("GET /v1/heartbeat", s.known("heartbeat", func(w http.ResponseWriter, _ *http.Request, _ string) string {
		w.WriteHeader(http.StatusOK)
		return outcomeOK
	}))
	mux.HandleFunc("POST /v1/usage-metrics", s.known("usage-metrics", usage))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fail(w, http.StatusNotFound, "page or method not found") })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // what pacer left on the connection
		mux.ServeHTTP(w, r)
	})
}

// known lets only bouncers through to h, which returns the outcome.
func (s *Server) known(call string, h func(w http.ResponseWriter, r *http.Request, bouncer string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		outcome := outcomeForbidden
		if name, ok := s.guard.who(r, time.Now()); ok {
			outcome = h(w, r, name)
		} else {
			fail(w, http.StatusForbidden, "access forbidden")
		}
		s.requests.WithLabelValues(call, outcome).Inc()
	}
}

// stream answers what changed since the bouncer asked the last time, or everything.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, bouncer string) string {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return outcomeOK
	}
	query := r.URL.Query()
	f, startup := streamQuery(query)
	query.Del("startup")
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	who := reader{bouncer, host, r.UserAgent(), query.Encode()}
	var from uint64
	if !startup {
		from = s.cursors.get(who)
	}
	now := time.Now()
	fresh, gone, next := s.state.since(from, f, now)
	if startup {
		gone = nil // it has nothing yet
	}
	if err := writeStream(paced(w), fresh, gone, now); err != nil {
		return outcomeLost // the cursor stays: the bouncer gets it again
	}
	s.cursors.set(who, next, now)
	return outcomeOK
}

// list answers what is in force for an address, a range or a value.
func (s *Server) list(w http.ResponseWriter, r *http.Request, _ string) string {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return outcomeOK
	}
	f, keys, err := listQuery(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return outcomeBad
	}
	now := time.Now()
	var all []*entry
	if keys == nil {
		all, _, _ = s.state.since(0, f, now)
	} else {
		for _, e := range s.state.named(keys, now) {
			if f.takes(e) {
				all = append(all, e)
			}
		}
	}
	if writeList(paced(w), all, now) != nil {
		return outcomeLost
	}
	return outcomeOK
}

// login gives a token to those who log in with a name and a password, here the bouncer's name and key.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name string `json:"machine_id"`
		Key  string `json:"password"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxLogin)).Decode(&in); err != nil {
		fail(w, http.StatusBadRequest, "the body is not a login: want machine_id and password")
		s.requests.WithLabelValues("login", outcomeBad).Inc()
		return
	}
	token, ends, ok := s.guard.login(in.Name, in.Key, time.Now())
	if !ok {
		reply(w, http.StatusUnauthorized, map[string]any{"code": http.StatusUnauthorized, "message": "incorrect Username or Password"})
		s.requests.WithLabelValues("login", outcomeForbidden).Inc()
		return
	}
	reply(w, http.StatusOK, map[string]any{"code": http.StatusOK, "expire": ends.UTC().Format(time.RFC3339), "token": token})
	s.requests.WithLabelValues("login", outcomeOK).Inc()
}

// usage takes a bouncer's own figures, compressed or not, and throws them away.
func usage(w http.ResponseWriter, r *http.Request, _ string) string {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxMetrics)); err != nil {
		fail(w, http.StatusRequestEntityTooLarge, "the metrics are too large")
		return outcomeBad
	}
	w.WriteHeader(http.StatusCreated)
	return outcomeOK
}

func reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // texts and numbers: it cannot fail
		b = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client may be gone
}

func fail(w http.ResponseWriter, status int, message string) {
	reply(w, status, map[string]string{"message": message})
}

// paced returns a writer that gives up on a bouncer which takes nothing for a minute.
func paced(w http.ResponseWriter) *bufio.Writer {
	return bufio.NewWriterSize(pacer{w, http.NewResponseController(w)}, flushAt)
}

type pacer struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func (p pacer) Write(b []byte) (int, error) {
	_ = p.c.SetWriteDeadline(time.Now().Add(writeTime)) // without support for it there is no deadline
	return p.w.Write(b)
}
