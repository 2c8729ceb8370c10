package realtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/warder/warder/enforcer/gatewaytest"
)

// HeaderPrincipal is where the test's clients say who they are. The gateways under test believe it.
const HeaderPrincipal = "X-Test-Principal"

// Client asks one gateway over HTTP. Its methods are safe for concurrent use.
type Client struct {
	url  string
	http *http.Client
}

// NewClient returns a client of the gateway at the address. Its connections end with the test.
func NewClient(t testing.TB, address string) *Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &Client{"http://" + address, &http.Client{Transport: tr}}
}

// Ask sends q. The client's address stands in X-Forwarded-For.
func (c *Client) Ask(ctx context.Context, q gatewaytest.Request) (gatewaytest.Answer, error) {
	a, _, err := c.Send(ctx, q, "")
	return a, err
}

// Send is Ask by POST with a body, and returns the answer's.
func (c *Client) Send(ctx context.Context, q gatewaytest.Request, body string) (gatewaytest.Answer, string, error) {
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url+q.Path, strings.NewReader(body))
	if err != nil {
		return gatewaytest.Answer{}, "", err
	}
	r.Header.Set("X-Forwarded-For", q.Address.String())
	r.Header.Set("User-Agent", q.UserAgent)
	if q.Principal != "" {
		r.Header.Set(HeaderPrincipal, q.Principal)
	}
	res, err := c.http.Do(r)
	if err != nil {
		return gatewaytest.Answer{}, "", err
	}
	defer res.Body.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, res.Body)
	return gatewaytest.Answer{Status: res.StatusCode, RetryAfter: res.Header.Get("Retry-After")}, b.String(), err
}
