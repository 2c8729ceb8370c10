// Package chhttp serves ClickHouse's HTTP interface from an engine in the same process: enough of it for clickhouse-go, curl
// and Grafana's data source to work unchanged: typed parameters, settings, sessions, external tables, every compression,
// exceptions with their codes, cancellation.
//
// What libchdb does differently from a server is made up for here: Native blocks are brought to the client's revision, a
// client that goes away has its statement killed, and statements that name files are refused.
package chhttp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/engine/chdb"
)

// Config is who may ask and how much. Every field is needed; there are no defaults.
type Config struct {
	User     string
	Password config.Secret
	// Concurrent is how many statements run at once; more wait.
	Concurrent int
	// MaxBody bounds the data of one insert after decompression, in bytes.
	MaxBody int64
	// Scratch is a folder for temporary files, used where there are no files in memory.
	Scratch string
}

// maxStatement bounds a statement's text, in bytes; inline data that comes with it in the body counts.
const maxStatement = 64 << 20

// Server is an http.Handler. It is safe for concurrent use.
type Server struct {
	cfg      Config
	open     func() (*chdb.Conn, error)
	version  string
	slots    chan struct{}
	sessions *sessions
	running  sync.WaitGroup
}

// New returns a Server over the engine; open makes a further connection to it.
func New(cfg Config, open func() (*chdb.Conn, error)) (*Server, error) {
	c, err := open()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	version, _, err := c.Query([]byte("SELECT version()"), "TSVRaw", nil)
	if err != nil {
		return nil, fmt.Errorf("ask the engine's version: %w", err)
	}
	return &Server{
		cfg:      cfg,
		open:     open,
		version:  strings.TrimSpace(string(version)),
		slots:    make(chan struct{}, cfg.Concurrent),
		sessions: newSessions(),
	}, nil
}

// Version returns the engine's version, "26.5.1.1".
func (s *Server) Version() string { return s.version }

// Close ends all sessions and waits for cancellations under way. No request may be running or come after it.
func (s *Server) Close() {
	s.running.Wait()
	s.sessions.close()
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	h := w.Header()
	h.Set("X-ClickHouse-Server-Display-Name", "warder")
	h.Set("X-ClickHouse-Timezone", "UTC")
	h.Set("X-Content-Type-Options", "nosniff")
	if isPing(r, q.Has("query")) {
		_, _ = io.WriteString(w, "Ok.\n")
		return
	}
	id := q.Get("query_id")
	if id == "" {
		id = rand.Text()
	}
	h.Set("X-ClickHouse-Query-Id", id)
	if user, ok := s.authenticate(r); !ok {
		s.fail(w, exception(516, "AUTHENTICATION_FAILED", fmt.Sprintf("%.64q: Authentication failed: password is incorrect, or there is no user with such name.", user)))
		return
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-r.Context().Done():
		return
	}
	if err := s.serve(w, r); err != nil {
		s.fail(w, err)
	}
}

// isPing tells whether the request only asks whether somebody is there, which needs no password in ClickHouse.
func isPing(r *http.Request, hasQuery bool) bool {
	switch r.URL.Path {
	case "/ping", "/replicas_status":
		return true
	case "/":
		return r.Method == http.MethodGet && !hasQuery
	}
	return false
}

// authenticate checks the credentials in any of the three places where ClickHouse takes them, and returns the user's name. The
// comparison takes the same time whatever is wrong.
func (s *Server) authenticate(r *http.Request) (string, bool) {
	user, password, ok := r.BasicAuth()
	if !ok {
		user, password = r.Header.Get("X-ClickHouse-User"), r.Header.Get("X-ClickHouse-Key")
		if user == "" {
			q := r.URL.Query()
			user, password = q.Get("user"), q.Get("password")
		}
	}
	gotUser, wantUser := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(s.cfg.User))
	got, want := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(s.cfg.Password.Reveal()))
	same := subtle.ConstantTimeCompare(gotUser[:], wantUser[:]) & subtle.ConstantTimeCompare(got[:], want[:])
	return user, same == 1
}

// killOnCancel has the statement that carries the tag killed when the client goes away. The returned function ends the watch and
// waits for a kill under way.
func (s *Server) killOnCancel(ctx context.Context, tag string) (stop func()) {
	s.running.Add(1)
	done := make(chan struct{})
	halt := context.AfterFunc(ctx, func() {
		defer close(done)
		c, err := s.open()
		if err != nil {
			return // the engine is going away, and the statement with it
		}
		defer c.Close()
		_ = c.Exec("KILL QUERY WHERE Settings['log_comment'] = " + quote(tag) + " ASYNC")
	})
	return func() {
		if !halt() {
			<-done
		}
		s.running.Done()
	}
}

// summary tells the client what the statement read and wrote, as ClickHouse does in a header.
func summary(h http.Header, st chdb.Stats) {
	number := func(v uint64) string { return strconv.FormatUint(v, 10) }
	text, _ := json.Marshal(map[string]string{ // strings always encode
		"read_rows":    number(st.StorageRows),
		"read_bytes":   number(st.StorageBytes),
		"written_rows": number(st.WrittenRows),
		"result_rows":  number(st.ResultRows),
		"elapsed_ns":   number(uint64(st.Seconds * 1e9)),
	})
	h.Set("X-ClickHouse-Summary", string(text))
}
