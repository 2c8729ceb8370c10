// Package push brings a Grafana server to the state that Warder wants: a folder, the ClickHouse data source, the dashboards, alert rules
// and contact points. It looks first and writes only what differs, so that a second run writes nothing.
package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	gapi "github.com/grafana/grafana-api-golang-client"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/outbound"
	"github.com/warder/warder/internal/tlsconf"
)

// Config says which Grafana, and who asks.
type Config struct {
	URL   string        // of Grafana, with the path that it is served under: https://grafana.example.com/grafana
	Token config.Secret // of a service account
	TLS   tlsconf.Client
	// Wait is the pause before the first repetition of a request that was answered with 429 or 5xx; each further one doubles it.
	Wait time.Duration
}

// DefaultConfig returns a configuration without an address.
func DefaultConfig() Config { return Config{Wait: 500 * time.Millisecond} }

// Validate tells, as config.FieldErrors, what is missing or wrong.
func (c Config) Validate() error {
	var errs []error
	if _, err := c.base(); err != nil {
		errs = append(errs, err)
	}
	switch t := c.Token.Reveal(); {
	case t == "":
		errs = append(errs, config.Errorf("token", "is missing: make a service account in Grafana (Administration, Service accounts) and a token for it"))
	case strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r > '~' }):
		errs = append(errs, config.Errorf("token", "is not a token: it has spaces or characters beyond ASCII in it"))
	}
	if c.Wait <= 0 {
		errs = append(errs, config.Errorf("wait", "%v is not above zero", c.Wait))
	}
	return errors.Join(append(errs, config.In("tls", c.TLS.Validate()))...)
}

func (c Config) base() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, config.Errorf("url", "%.80q is not the address of a Grafana, such as https://grafana.example.com", c.URL)
	}
	if u.User != nil {
		return nil, config.Errorf("url", "has a user or password in it: use a service account's token instead")
	}
	return u, nil
}

// Client talks to one Grafana. It is safe for concurrent use; two pushes at once would find each other's changes, though.
type Client struct {
	base  *url.URL
	token config.Secret
	http  *http.Client
	wait  time.Duration
}

// New returns a Client. Nothing is sent yet.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	// The API library writes every request's body to the log when this is set: data source passwords and webhook addresses.
	if os.Getenv("GF_LOG") != "" {
		return nil, errors.New("GF_LOG is set in the environment: Grafana's API library would write passwords to the log; unset it")
	}
	base, err := cfg.base()
	if err != nil {
		return nil, err
	}
	t, err := cfg.TLS.Config()
	if err != nil {
		return nil, config.In("tls", err)
	}
	return &Client{base: base, token: cfg.Token, http: outbound.NewHTTPClient(t), wait: cfg.Wait}, nil
}

// session is the API for as long as one context lasts: the library's calls take none.
type session struct {
	*gapi.Client
	wire *wire
	base *url.URL
}

func (c *Client) session(ctx context.Context) (*session, error) {
	w := &wire{ctx: ctx, next: c.http.Transport, token: c.token, wait: c.wait, host: c.base.Host}
	api, err := gapi.New(c.base.String(), gapi.Config{Client: &http.Client{Transport: w, CheckRedirect: c.http.CheckRedirect}})
	if err != nil {
		return nil, fmt.Errorf("grafana's API library: %w", err)
	}
	return &session{api, w, c.base}, nil
}

// Page returns the address of a page, a path in Grafana, for a person's browser.
func (c *Client) Page(path string) string { return c.base.JoinPath(path).String() }
