// Package apiclient is how programs talk to Warder's API: the token, TLS, bounds on what is read, and errors that say what to do.
// docs/api.md describes the API.
package apiclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/warder/warder/internal/console"
)

const (
	maxAnswer  = 64 << 20 // bytes of an answer that is read as a whole
	maxProblem = 64 << 10 // bytes of one that says what is wrong
	wait       = 30 * time.Second
)

// Problem is what the API answers when it does not do what it is asked, as RFC 9457 has it. Detail is safe to print.
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Error makes a Problem an error.
func (p *Problem) Error() string { return p.Detail }

// Client talks to one API. It is safe for concurrent use.
type Client struct {
	base   *url.URL
	token  string
	source string
	http   *http.Client
	stream *http.Client // without a limit on the whole answer's time
}

// New returns a client of the API below base, which has no path of the API's own. source says where the token is from, for errors. It
// follows no redirect and uses no proxy: the token goes nowhere else.
func New(base *url.URL, token, source string, tlsConfig *tls.Config) *Client {
	client := func(whole time.Duration) *http.Client {
		return &http.Client{Timeout: whole, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{TLSClientConfig: tlsConfig, Proxy: nil, DisableKeepAlives: true}}
	}
	return &Client{base: base, token: token, source: source, http: client(wait), stream: client(0)}
}

// Patient returns a client whose calls take as long as they take; only ctx bounds them.
func (c *Client) Patient() *Client {
	p := *c
	p.http = c.stream
	return &p
}

// Host is the API's host and port.
func (c *Client) Host() string { return c.base.Host }

// Call sends a request, with in as JSON if it is not nil, and reads the answer into out. path is below /api/v1, and escaped. What the API
// refuses is a [*Problem].
func (c *Client) Call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
	}
	resp, err := c.send(ctx, c.http, method, path, query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return c.Broken(ctx, err)
	}
	if len(b) > maxAnswer {
		return fmt.Errorf("the API's answer is larger than %d MiB; ask for fewer rows or a shorter span", maxAnswer>>20)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return c.Stranger()
	}
	return nil
}

// Open asks for a stream; the caller reads it and closes it. Nothing but ctx bounds how long it lasts.
func (c *Client) Open(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	resp, err := c.send(ctx, c.stream, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// send returns an answer that is a success.
func (c *Client) send(ctx context.Context, client *http.Client, method, path string, query url.Values, body []byte) (*http.Response, error) {
	u := c.base.JoinPath("/api/v1", path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if client == c.stream {
		req.Header.Set("Accept", "application/x-ndjson")
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, c.refused(resp)
	}
	return resp, nil
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return fmt.Errorf("the certificate of the API at %s is not trusted: %w; name its authority with --ca-file", c.base.Host, untrusted.Err)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("no answer from the enforcer's API at %s: %w; is warder running there with the enforcer role (`warder up`, `warder enforcer`), "+
		"and api.listen set to this address? --api names another one", c.base.Host, err)
}

// Broken is the error of an answer that ended too early.
func (c *Client) Broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the API's answer broke off: %w", err)
}

// Stranger is the error of an answer that is not one of the API's.
func (c *Client) Stranger() error {
	return fmt.Errorf("%s did not answer like the enforcer's API; is it one? --api names another address", c.base.Host)
}

// refused words an answer that is no success.
func (c *Client) refused(resp *http.Response) error {
	var p Problem
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil || json.Unmarshal(b, &p) != nil || p.Detail == "" {
		return fmt.Errorf("%s answered %s, which the enforcer's API does not; --api names another address", c.base.Host, resp.Status)
	}
	p.Status, p.Detail = resp.StatusCode, console.Clean(p.Detail, 2000)
	if resp.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("the API does not know the token that was sent, %s: %w", c.source, &p)
	}
	return &p
}
