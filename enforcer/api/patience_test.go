package api

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
)

// ponderous needs longer for each piece of an answer than a client has to take one.
type ponderous struct{ History }

const ponders = 2 * answerTimeout

func (ponderous) Accessed(history.Access)                    {}
func (ponderous) Note(context.Context, history.Access) error { return nil }

func ponder(ctx context.Context) error {
	select {
	case <-time.After(ponders):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (ponderous) Search(ctx context.Context, _ history.Search, fn func(*event.Event) error) (history.Summary, error) {
	for seq := uint64(1); seq <= 2; seq++ {
		if err := ponder(ctx); err != nil {
			return history.Summary{}, err
		}
		if err := fn(&event.Event{ID: event.NewID("a", seq), Tap: "a", Seq: seq}); err != nil {
			return history.Summary{}, err
		}
	}
	return history.Summary{Found: 2}, ponder(ctx)
}

func (ponderous) Top(ctx context.Context, _ history.Top) ([]history.Count, error) {
	return []history.Count{{Value: "/login"}}, ponder(ctx)
}

func (ponderous) Erase(ctx context.Context, _ history.EntityID, _ bool) (*history.Erasure, error) {
	return &history.Erasure{Tables: []history.ErasedTable{{Table: "events"}}}, ponder(ctx)
}

// The time that a client has to take a piece of an answer does not count while the piece is being found.
func TestLongAnswers(t *testing.T) {
	for name, c := range map[string]struct{ request, want string }{
		"stream":  {"GET /api/v1/events HTTP/1.1\r\n\r\n", `{"summary":{"found":2`},
		"list":    {"GET /api/v1/top?field=api.route HTTP/1.1\r\n\r\n", `"/login"`},
		"erasure": {"POST /api/v1/privacy/erase HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 36\r\n\r\n" + `{"kind":"principal","value":"alice"}`, `"events"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				head, rest, _ := strings.Cut(c.request, "\r\n")
				body := askOnce(t, head+"\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer 0123456789abcdef\r\n"+rest)
				if !strings.Contains(body, c.want) {
					t.Errorf("the answer ends early, after %q", body)
				}
			})
		})
	}
}

// askOnce sends one request over a connection in memory, whose deadlines are those of the test's clock, and returns the answer's body.
func askOnce(t *testing.T, request string) string {
	t.Helper()
	cfg := Config{Listen: "127.0.0.1:0", Tokens: []Token{{Name: "anna", Token: config.NewSecret("0123456789abcdef"), Role: Approve}}}
	s, err := New(cfg, nil, nil, func() (History, error) { return ponderous{}, nil }, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	near, far := net.Pipe()
	ln := &one{conn: make(chan net.Conn, 1)}
	ln.conn <- far
	s.ln = ln
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	go func() { _, _ = io.WriteString(near, request) }()
	var body []byte
	resp, err := http.ReadResponse(bufio.NewReader(near), nil)
	if err != nil {
		t.Errorf("there is no answer: %v", err)
	} else {
		body, _ = io.ReadAll(resp.Body) // what came is looked at
	}
	near.Close()
	cancel()
	<-done
	return string(body)
}

// one is a listener that has one connection.
type one struct{ conn chan net.Conn }

func (l *one) Accept() (net.Conn, error) {
	if c, ok := <-l.conn; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l *one) Close() error   { close(l.conn); return nil }
func (l *one) Addr() net.Addr { return &net.TCPAddr{} }
