package realtest

import (
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

// Reply is what a client got.
type Reply struct {
	gatewaytest.Answer
	Decision string // the header X-Warder-Decision
	Body     string
}

// Ask sends q. The client's address stands in X-Forwarded-For.
func (c *Client) Ask(ctx context.Context, q gatewaytest.Request) (gatewaytest.Answer, error) {
	r, err := c.send(ctx, http.MethodGet, q, "")
	return r.Answer, err
}

// Post is Ask with a body.
func (c *Client) Post(ctx context.Context, q gatewaytest.Request, body string) (Reply, error) {
	return c.send(ctx, http.MethodPost, q, body)
}

func (c *Client) send(ctx context.Context, method string, q gatewaytest.Request, body string) (Reply, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.url+q.Path, strings.NewReader(body))
	if err != nil {
		return Reply{}, err
	}
	r.Header.Set("X-Forwarded-For", q.Address.String())
	r.Header.Set("User-Agent", q.UserAgent)
	if q.Principal != "" {
		r.Header.Set(HeaderPrincipal, q.Principal)
	}
	res, err := c.http.Do(r)
	if err != nil {
		return Reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return Reply{gatewaytest.Answer{Status: res.StatusCode, RetryAfter: res.Header.Get("Retry-After")}, res.Header.Get("X-Warder-Decision"), string(b)}, err
}
