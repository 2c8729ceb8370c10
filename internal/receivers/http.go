package receivers

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// server is an HTTP server on loopback.
type server struct {
	url    string
	http   *http.Server
	wg     sync.WaitGroup
	closed chan struct{}
	once   sync.Once
}

func serve(handler func(http.ResponseWriter, *http.Request)) (*server, error) {
	l, err := listen()
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + l.Addr().String(), closed: make(chan struct{})}
	s.http = &http.Server{Handler: http.HandlerFunc(handler), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return context.Background() }}
	s.wg.Go(func() { _ = s.http.Serve(l) })
	return s, nil
}

// Close stops the server and waits for it.
func (s *server) Close() error {
	s.once.Do(func() { close(s.closed) })
	err := s.http.Close()
	s.wg.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// fail answers with the fault's status; 429 with Retry-After stands for Temporary. The request is echoed, so that a sender which
// quotes answers shows whether it hides its secrets.
func fail(w http.ResponseWriter, r *http.Request, f Fault) {
	status := http.StatusBadRequest
	if f == Temporary {
		w.Header().Set("Retry-After", "1")
		status = http.StatusTooManyRequests
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "refused "+r.URL.String()+" "+r.Header.Get("Authorization"))
}

// Webhook is an endpoint that verifies Standard Webhooks signatures.
type Webhook struct {
	*journal
	*server
	verify *standardwebhooks.Webhook // nil: signatures are not checked
}

// NewWebhook starts an endpoint. secret is the signing secret, "whsec_" and base64; "" does not check.
func NewWebhook(secret string) (*Webhook, error) {
	w := &Webhook{journal: newJournal()}
	var err error
	if secret != "" {
		if w.verify, err = standardwebhooks.NewWebhook(secret); err != nil {
			return nil, err
		}
	}
	w.server, err = serve(w.handle)
	return w, err
}

// URL returns where to post to.
func (w *Webhook) URL() string { return w.url + "/hooks/warder" }

func (w *Webhook) handle(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxMessage))
	if err != nil {
		return
	}
	if f := w.current(either(w.closed, r.Context().Done())); f != Healthy {
		fail(rw, r, f)
		return
	}
	if w.verify != nil {
		if err := w.verify.Verify(body, r.Header); err != nil {
			w.problem("signature: %v", err)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
	}
	var got struct {
		Type   string `json:"type"`
		Alerts []struct {
			ID string `json:"id"`
		} `json:"alerts"`
	}
	if err := json.Unmarshal(body, &got); err != nil || got.Type != "warder.alerts" {
		w.problem("body of type %q: %v", got.Type, err)
		rw.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	m := Message{Header: r.Header, Body: body}
	for _, a := range got.Alerts {
		m.Alerts = append(m.Alerts, a.ID)
	}
	w.add(m)
	rw.WriteHeader(http.StatusNoContent)
}

// either returns a channel that is closed when a or b is. Its goroutine ends with them; a handler's context always ends.
func either(a, b <-chan struct{}) <-chan struct{} {
	out := make(chan struct{})
	go func() {
		defer close(out)
		select {
		case <-a:
		case <-b:
		}
	}()
	return out
}
