package push

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/outbound"
)

const (
	attempts   = 4                // of a request
	perRequest = 30 * time.Second // of one attempt
)

// wire carries every request to Grafana: it binds it to a context and a deadline, adds the token, repeats what may succeed later, and turns
// each answer that is no success into an [Answer], which Grafana's library would make a text of.
type wire struct {
	ctx   context.Context
	next  http.RoundTripper
	token config.Secret
	wait  time.Duration
	host  string
}

// RoundTrip implements http.RoundTripper. It returns successes only: the body of one is read whole.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	for attempt, wait := 1, w.wait; ; attempt, wait = attempt+1, wait*2 {
		resp, err := w.once(r)
		answer, ok := err.(*Answer)
		if !ok || attempt == attempts || !repeatable(r.Method, answer.Status) {
			return resp, err
		}
		select {
		case <-w.ctx.Done():
			return nil, w.ctx.Err()
		case <-time.After(wait):
		}
	}
}

// repeatable tells whether a request may be sent again. A POST that an overloaded proxy passed on may have made something: it is only
// repeated when it surely was not carried out.
func repeatable(method string, status int) bool {
	if method == http.MethodPost {
		return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
	}
	return outbound.Retriable(status)
}

func (w *wire) once(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(w.ctx, perRequest)
	defer cancel()
	req := r.Clone(ctx)
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		req.Body = body
	}
	req.Header.Set("Authorization", "Bearer "+w.token.Reveal())
	req.Header.Set("Accept", "application/json")
	resp, err := w.next.RoundTrip(req)
	if err != nil {
		return nil, w.unreachable(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s broke off: %w", w.host, err)
	}
	if err := w.judge(req, resp, body); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// judge returns nil for a success that speaks JSON.
func (w *wire) judge(req *http.Request, resp *http.Response, body []byte) error {
	if resp.StatusCode/100 == 3 {
		to := "elsewhere"
		if u, err := resp.Location(); err == nil {
			to = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
		}
		return fmt.Errorf("%s redirects to %s, and the token is not sent on: give Grafana's own address with its path in --url "+
			"(a login page means that a proxy is in front of it)", w.host, console.Clean(to, 200))
	}
	isJSON := strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") && json.Valid(body)
	if resp.StatusCode/100 == 2 {
		if isJSON || len(body) == 0 {
			return nil
		}
		return w.notGrafana(req)
	}
	a := &Answer{Method: req.Method, Path: req.URL.Path, Status: resp.StatusCode}
	if isJSON {
		var said struct {
			Message string `json:"message"`
			Title   string `json:"title"`
			Reason  string `json:"status"`
		}
		_ = json.Unmarshal(body, &said) // another form of JSON has no message
		a.Message = outbound.Snippet(cmp.Or(said.Message, said.Title), w.token.Reveal())
		a.Reason = said.Reason
	}
	return a
}

func (w *wire) notGrafana(req *http.Request) error {
	return fmt.Errorf("%s did not answer like a Grafana to %s; --url is Grafana's address with the path that it is served under, "+
		"for example https://example.com/grafana", w.host, console.Clean(req.URL.Path, 200))
}

// get reads what the library has no call or no field for.
func (s *session) get(path string, query url.Values, out any) error {
	u := s.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(s.wire.ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	resp, err := s.wire.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(out)
}
