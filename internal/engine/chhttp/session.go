package chhttp

import (
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/warder/warder/internal/engine/chdb"
)

// Bounds of sessions, which hold an engine connection between requests.
const (
	maxSessions     = 64
	defaultIdleTime = time.Minute // ClickHouse's default_session_timeout
	maxIdleTime     = time.Hour   // ClickHouse's max_session_timeout
)

// errSessions answers a client that opens one session too many.
var errSessions = exception(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many sessions are open in the embedded engine.")

// sessions are the named sessions. Whoever finds one that was idle for too long closes it: there is no goroutine for that.
type sessions struct {
	mu sync.Mutex
	m  map[string]*session
}

type session struct {
	conn  *chdb.Conn
	users int // requests that hold it now
	until time.Time
}

func newSessions() *sessions { return &sessions{m: make(map[string]*session)} }

// acquire returns the session's connection, opened when it is new, and a function that gives it back.
func (s *sessions) acquire(id string, idle time.Duration, open func() (*chdb.Conn, error)) (*chdb.Conn, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for k, v := range s.m {
		if v.users == 0 && now.After(v.until) {
			v.conn.Close()
			delete(s.m, k)
		}
	}
	one := s.m[id]
	if one == nil {
		if len(s.m) >= maxSessions {
			return nil, nil, errSessions
		}
		c, err := open()
		if err != nil {
			return nil, nil, err
		}
		one = &session{conn: c}
		s.m[id] = one
	}
	one.users++
	return one.conn, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		one.users--
		one.until = time.Now().Add(idle)
	}, nil
}

func (s *sessions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.m {
		v.conn.Close()
		delete(s.m, k)
	}
}

// connect returns a connection for the request, with its database and settings applied and tagged for cancellation, and a
// function that gives it back. Without session_id the connection is the request's own, so that nothing leaks to the next.
func (s *Server) connect(q url.Values, database, tag string) (*chdb.Conn, func(), error) {
	c, done, err := s.bare(q)
	if err != nil {
		return nil, nil, err
	}
	if err = prepare(c, q, database, tag); err != nil {
		done()
		return nil, nil, err
	}
	return c, done, nil
}

func (s *Server) bare(q url.Values) (*chdb.Conn, func(), error) {
	if id := q.Get("session_id"); id != "" {
		idle := defaultIdleTime
		if n, err := strconv.Atoi(q.Get("session_timeout")); err == nil && n > 0 {
			idle = min(time.Duration(n)*time.Second, maxIdleTime)
		}
		return s.sessions.acquire(id, idle, s.open)
	}
	c, err := s.open()
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}

func prepare(c *chdb.Conn, q url.Values, database, tag string) error {
	if database != "" && database != "default" {
		if err := c.Exec("USE " + quoteName(database)); err != nil {
			return err
		}
	}
	set := []string{"log_comment=" + quote(tag)}
	for k, v := range q {
		if isSetting(k) {
			set = append(set, quoteName(k)+"="+quote(v[0]))
		}
	}
	return c.Exec("SET " + strings.Join(set, ", "))
}

// isSetting tells whether a URL parameter is a setting, which is what every parameter is that has no other meaning.
func isSetting(name string) bool {
	switch name {
	case "query", "database", "default_format", "user", "password", "quota_key", "query_id", "compress", "decompress", "session_id",
		"session_timeout", "session_check", "client_protocol_version", "wait_end_of_query", "buffer_size", "stacktrace", "role",
		"close_session", "log_comment":
		return false
	}
	return !strings.HasPrefix(name, "param_") && !strings.HasSuffix(name, "_format") && !strings.HasSuffix(name, "_structure")
}
