package chhttp

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/warder/warder/internal/engine/chdb"
)

// serve runs the request's statement. An error means that nothing of the answer was sent.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	tag := rand.Text()
	c, done, err := s.connect(q, either(q.Get("database"), r.Header.Get("X-ClickHouse-Database")), tag)
	if err != nil {
		return err
	}
	defer done()
	var in input
	if isMultipart(r) {
		in, err = s.multipart(c, r, q)
	} else {
		in, err = s.input(r, q)
	}
	if err != nil {
		return err
	}
	st, err := parse(in.sql)
	if err != nil {
		return err
	}
	defer s.killOnCancel(r.Context(), tag)()
	if st.inline {
		stats, err := s.insert(c, st, in.data, parameters(q))
		if err == nil {
			summary(w.Header(), stats)
		}
		return err
	}
	return s.query(w, r, c, st, in.data)
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// parameters collects the values of {name:Type} places.
func parameters(q url.Values) map[string]string {
	out := make(map[string]string)
	for k, v := range q {
		if name, ok := strings.CutPrefix(k, "param_"); ok {
			out[name] = v[0]
		}
	}
	return out
}

// insert runs INSERT ... FORMAT. The data goes through a file because the engine would end inline data at the first blank
// line, which binary formats may hold.
func (s *Server) insert(c *chdb.Conn, st statement, more io.Reader, params map[string]string) (chdb.Stats, error) {
	f, name, err := newInfile(s.cfg.Scratch)
	if err != nil {
		return chdb.Stats{}, err
	}
	defer dropInfile(f)
	var data io.Reader = bytes.NewReader(st.sql[st.data:])
	if more != nil {
		data = io.MultiReader(data, more)
	}
	if _, err = io.Copy(f, data); err != nil {
		return chdb.Stats{}, err
	}
	sql := fmt.Appendf(nil, "%s FROM INFILE %s %s FORMAT %s", st.sql[:st.settings], quote(name), st.sql[st.settings:st.head], st.format)
	_, stats, err := c.Query(sql, "Null", params)
	return stats, err
}

// query runs any other statement and sends its output.
func (s *Server) query(w http.ResponseWriter, r *http.Request, c *chdb.Conn, st statement, more io.Reader) error {
	q := r.URL.Query()
	sql, err := withData(st.sql, more)
	if err != nil {
		return err
	}
	format := either(q.Get("default_format"), either(r.Header.Get("X-ClickHouse-Format"), "TabSeparated"))
	out := either(st.format, format)
	w.Header().Set("X-ClickHouse-Format", out)
	w.Header().Set("Content-Type", contentType(out))
	revision := 0
	if out == "Native" {
		revision, _ = strconv.Atoi(q.Get("client_protocol_version")) // 0 when it is not a number
	}
	enc := newEncoder(w, r)
	if st.reads && out == "Native" && q.Get("wait_end_of_query") != "1" {
		return s.stream(w, r, c, sql, format, revision, enc)
	}
	b, stats, err := c.Query(sql, format, parameters(q))
	if err != nil {
		return err
	}
	if revision > 0 {
		if b, err = addRevision(make([]byte, 0, len(b)+64), b, revision); err != nil {
			return err
		}
	}
	summary(w.Header(), stats)
	if enc.write(b) == nil { // a failure means that the client is gone: there is nobody to tell
		_ = enc.close()
	}
	return nil
}

// withData appends what came beside the statement to it, which is what INSERT ... VALUES wants.
func withData(sql []byte, more io.Reader) ([]byte, error) {
	if more == nil {
		return sql, nil
	}
	b, err := readStatement(more)
	if err != nil || len(b) == 0 {
		return sql, err
	}
	sql = append(append(sql[:len(sql):len(sql)], '\n'), b...)
	if _, err = parse(sql); err != nil {
		return nil, err
	}
	return sql, nil
}

// stream sends a result while it is made. An error behind the first chunk is reported in the body.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, c *chdb.Conn, sql []byte, format string, revision int, enc *encoder) error {
	tag := rand.Text()[:16]
	w.Header().Set("X-ClickHouse-Exception-Tag", tag)
	sent := false
	var buf []byte
	err := c.Stream(sql, format, parameters(r.URL.Query()), func(chunk []byte) error {
		if err := r.Context().Err(); err != nil {
			return err
		}
		if revision > 0 {
			var err error
			if buf, err = addRevision(buf[:0], chunk, revision); err != nil {
				return err
			}
			chunk = buf
		}
		sent = true
		if err := enc.write(chunk); err != nil {
			return err
		}
		return enc.flush()
	})
	if err != nil && !sent {
		return err
	}
	if err != nil {
		failLate(enc.w, tag, err)
	}
	_ = enc.close() // a failure means that the client is gone
	return nil
}
