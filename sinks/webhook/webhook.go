// Package webhook posts alerts as JSON, signed as Standard Webhooks says (https://www.standardwebhooks.com), to an HTTP endpoint.
package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/outbound"
	"github.com/warder/warder/sinks"
)

// BodyType is the "type" of a request's body.
const BodyType = "warder.alerts"

// Body is what is posted.
type Body struct {
	Type   string         `json:"type"`
	Alerts []*alert.Alert `json:"alerts"`
}

// maxSaid is how much of an answer's body is read for an error, in bytes.
const maxSaid = 4 << 10

// Config of one webhook.
type Config struct {
	sinks.Common `yaml:",inline"`
	// URL is a secret because such URLs often hold a token.
	URL config.Secret `yaml:"url"`
	// Secret signs the requests: "whsec_" and base64, or any text of at least 16 bytes. Without it requests are not signed.
	Secret config.Secret `yaml:"secret"`
	// Headers are added to each request.
	Headers map[string]config.Secret `yaml:"headers"`
	TLS     outbound.TLS             `yaml:"tls"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config { return Config{Common: sinks.DefaultCommon()} }

// UnmarshalYAML decodes over the defaults, so that an entry of a list has them too.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// Validate reports what is wrong as config.FieldErrors.
func (c *Config) Validate() error {
	errs := []error{c.Check(), config.In("tls", c.TLS.Validate())}
	if u, err := url.Parse(c.URL.Reveal()); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		errs = append(errs, config.Errorf("url", "is not a URL: want https://host/path"))
	}
	if c.Events {
		errs = append(errs, config.Errorf("events", "a webhook takes alerts only; send events with a syslog sink"))
	}
	if c.Secret.IsSet() {
		if _, err := signer(c.Secret.Reveal()); err != nil {
			errs = append(errs, config.Errorf("secret", "%v", err))
		}
	}
	for name, value := range c.Headers {
		if !token(name) || strings.ContainsAny(value.Reveal(), "\r\n\x00") {
			errs = append(errs, config.Errorf("headers", "%.60q is not a header's name, or its value has a line break", name))
		}
		if reserved(name) {
			errs = append(errs, config.Errorf("headers", "%s is set by the webhook itself: remove it", http.CanonicalHeaderKey(name)))
		}
	}
	return errors.Join(errs...)
}

func reserved(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Content-Type", "Content-Length", "Host", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature":
		return true
	}
	return false
}

// token tells whether s is a token of RFC 9110.
func token(s string) bool {
	for _, r := range s {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) {
			return false
		}
	}
	return s != ""
}

// signer returns the signer for a secret in one of its two forms.
func signer(secret string) (*standardwebhooks.Webhook, error) {
	key := []byte(secret)
	if b64, ok := strings.CutPrefix(secret, "whsec_"); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(b64); err != nil {
			return nil, errors.New("what follows whsec_ is not base64")
		}
	}
	if len(key) < 16 {
		return nil, fmt.Errorf("has %d bytes, want at least 16: make one with \"openssl rand -base64 32\" and put whsec_ in front", len(key))
	}
	return standardwebhooks.NewWebhookRaw(key)
}

// Sink posts to one endpoint.
type Sink struct {
	url     string
	host    string
	headers http.Header
	sign    *standardwebhooks.Webhook // nil: not signed
	client  *http.Client
	timeout time.Duration
	secrets []string // never to be shown
}

var _ sinks.Sink = (*Sink)(nil)

// New makes the sink. It does not dial.
func New(cfg Config, _ *slog.Logger, _ prometheus.Registerer) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("webhook %s: %w", cfg.Name, err)
	}
	tc, err := cfg.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("webhook %s: %w", cfg.Name, err)
	}
	u, err := url.Parse(cfg.URL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("webhook %s: url cannot be parsed", cfg.Name)
	}
	s := &Sink{
		url:     u.String(),
		host:    u.Host,
		headers: make(http.Header),
		client:  outbound.NewHTTPClient(tc),
		timeout: cfg.Timeout.Std(),
		secrets: append(outbound.SecretsOf(u.String()), cfg.Secret.Reveal()),
	}
	for name, value := range cfg.Headers {
		s.headers.Set(name, value.Reveal())
		s.secrets = append(s.secrets, value.Reveal())
	}
	if cfg.Secret.IsSet() {
		if s.sign, err = signer(cfg.Secret.Reveal()); err != nil {
			return nil, fmt.Errorf("webhook %s: secret: %w", cfg.Name, err)
		}
	}
	return s, nil
}

// ID returns the webhook-id of a request with these alerts: the alert's id when it is one, otherwise a hash of the ids. The same
// alerts in another order have the same id.
func ID(alerts []*alert.Alert) string {
	if len(alerts) == 1 {
		return alerts[0].ID
	}
	h := sha256.New()
	for _, id := range sinks.IDs(alerts) {
		h.Write([]byte(id + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Send posts all alerts in one request. 2xx is success; 408, 425, 429, 5xx and a failed connection may be retried; everything else,
// redirects included, is refused for good.
func (s *Sink) Send(ctx context.Context, alerts []*alert.Alert) (retry bool, err error) {
	if len(alerts) == 0 {
		return false, nil
	}
	body, err := json.Marshal(Body{Type: BodyType, Alerts: alerts})
	if err != nil {
		return false, fmt.Errorf("webhook: encode: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := s.request(ctx, ID(alerts), body)
	if err != nil {
		return false, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return true, fmt.Errorf("webhook: post to %s: %w", s.host, outbound.WithoutURL(err))
	}
	defer resp.Body.Close()
	return s.judge(resp)
}

func (s *Sink) request(ctx context.Context, id string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", outbound.WithoutURL(err))
	}
	req.Header = s.headers.Clone()
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "warder")
	}
	now := time.Now()
	req.Header.Set("Content-Type", "application/json")
	id = headerSafe(id)
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	if s.sign == nil {
		return req, nil
	}
	sig, err := s.sign.Sign(id, now, body)
	if err != nil {
		return nil, fmt.Errorf("webhook: sign: %w", err)
	}
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, sig)
	return req, nil
}

// headerSafe keeps an id that fits into a header and hashes any other.
func headerSafe(id string) string {
	if len(id) <= 64 && token(id) {
		return id
	}
	h := sha256.Sum256([]byte(id))
	return hex.EncodeToString(h[:16])
}

// judge reads the answer. The body of a refusal is quoted, bounded and without secrets, because it tells what to repair.
func (s *Sink) judge(resp *http.Response) (retry bool, err error) {
	said, readErr := io.ReadAll(io.LimitReader(resp.Body, maxSaid))
	if resp.StatusCode/100 == 2 {
		return false, nil
	}
	if readErr != nil {
		said = nil
	}
	err = fmt.Errorf("webhook: %s answered %d %s", s.host, resp.StatusCode, http.StatusText(resp.StatusCode))
	if text := outbound.Snippet(string(said), s.secrets...); text != "" {
		err = fmt.Errorf("%w: %q", err, text)
	}
	if resp.StatusCode/100 == 3 {
		err = fmt.Errorf("%w (redirects are not followed: set url to the final address)", err)
	}
	if after := outbound.RetryAfter(resp.Header, time.Now()); after > 0 && outbound.Retriable(resp.StatusCode) {
		err = &sinks.RetryAfterError{After: after, Err: err}
	}
	return outbound.Retriable(resp.StatusCode), err
}
