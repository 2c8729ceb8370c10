package gateway

import (
	"bufio"
	"net"
	"net/http"
	"strconv"
	"time"
)

// response passes the answer on to the client and emits the exchange's event at the last moment at which the client cannot yet
// have all of it:
//
//   - no body (HEAD, 204, 304, Content-Length: 0): before the header goes out;
//   - Content-Length known: before the write that completes it;
//   - otherwise: when the handler returns, as net/http writes the last chunk, END_STREAM or FIN after that;
//   - an upgrade (101): before the hijacked connection is handed over.
type response struct {
	http.ResponseWriter
	x      *exchange
	code   int // 0 until the header is written
	size   int64
	length int64 // -1: unknown
	head   bool
	http2  bool
	failed bool // a write to the client failed
	set    time.Time
}

// Unwrap lets http.ResponseController reach deadlines.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(code int) {
	if code >= 100 && code < 200 && code != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(code)
		return
	}
	if w.code != 0 {
		return
	}
	w.code = code
	if n, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		w.length = n
	}
	if w.head || w.length == 0 || code == http.StatusNoContent || code == http.StatusNotModified {
		w.x.done()
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	before := w.size
	if !w.head {
		w.size += int64(len(p))
	}
	if w.length >= 0 && w.size >= w.length {
		w.x.done()
	}
	w.deadline()
	n, err := w.ResponseWriter.Write(p)
	if w.http2 {
		w.clearDeadline()
	}
	if err != nil {
		w.failed = true
		if !w.head {
			w.size = before + int64(n)
		}
	}
	return n, err
}

// FlushError is what http.ResponseController looks for.
func (w *response) FlushError() error {
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.deadline()
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if w.http2 {
		w.clearDeadline()
	}
	return err
}

// Hijack hands the connection over for an upgrade. The 101 is written to it afterwards.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.code = http.StatusSwitchingProtocols
		w.x.done()
	}
	return conn, rw, err
}

// deadline gives the client timeouts.write to take what is written next. It is moved only when it has aged, except on HTTP/2,
// where it is per stream and would also fire while nothing is written.
func (w *response) deadline() {
	limit := w.x.g.cfg.Timeouts.Write.Std()
	now := time.Now()
	if !w.http2 && now.Sub(w.set) < limit/8 {
		return
	}
	w.set = now
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(now.Add(limit))
}

func (w *response) clearDeadline() {
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Time{})
}

// renewDeadline covers what net/http writes after the handler.
func (w *response) renewDeadline() {
	if !w.http2 && w.code != http.StatusSwitchingProtocols {
		w.deadline()
	}
}
