// Package adminapi is the JSON client for gateways that are configured over an HTTP admin API.
package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/outbound"
)

// Config says where the admin API is.
type Config struct {
	// URL is the base: http://127.0.0.1:9180.
	URL string `yaml:"url"`
	// Key authenticates; the gateway says in which header.
	Key config.Secret `yaml:"key"`
	TLS outbound.TLS  `yaml:"tls"`
}

// Validate tells, as config.FieldErrors, what is wrong.
func (c *Config) Validate() error {
	errs := []error{config.In("tls", c.TLS.Validate())}
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" {
		errs = append(errs, config.Errorf("url", "is not the base URL of an admin API: write for example http://127.0.0.1:9180, and the key under \"key\""))
	}
	if strings.ContainsAny(c.Key.Reveal(), "\r\n\x00") {
		errs = append(errs, config.Errorf("key", "has a line break"))
	}
	return errors.Join(errs...)
}

// Client speaks to one admin API. Safe for concurrent use.
type Client struct {
	base, header, key string
	http              *http.Client
}

// New returns a client that sends the key in the header. It does not dial.
func New(cfg Config, header string) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t, err := cfg.TLS.Config()
	if err != nil {
		return nil, err
	}
	return &Client{base: strings.TrimRight(cfg.URL, "/"), header: header, key: cfg.Key.Reveal(), http: outbound.NewHTTPClient(t)}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// StatusError is an answer other than 2xx.
type StatusError struct {
	Status int
	Said   string // one line, bounded
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("the admin API answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Said != "" {
		s += fmt.Sprintf(": %q", e.Said)
	}
	if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden {
		s += " (is \"key\" right, and may this machine use the admin API?)"
	}
	return s
}

// NotFound tells whether the error is a 404.
func NotFound(err error) bool {
	var s *StatusError
	return errors.As(err, &s) && s.Status == http.StatusNotFound
}

// Do sends in as JSON, unless it is nil, and reads the answer into out, unless that is nil. Answers are bounded to
// outbound.MaxAnswer bytes. Errors hold neither URL nor key.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return outbound.WithoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "warder")
	if c.key != "" {
		req.Header.Set(c.header, c.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("admin API: %w", outbound.WithoutURL(err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("admin API: %w", outbound.WithoutURL(err))
	}
	if resp.StatusCode/100 != 2 {
		return &StatusError{Status: resp.StatusCode, Said: outbound.Snippet(string(b), c.key)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("admin API: the answer is not the JSON that is expected: %w", err)
	}
	return nil
}
