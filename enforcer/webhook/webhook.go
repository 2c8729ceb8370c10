// Package webhook posts decisions to an HTTP endpoint, signed as Standard Webhooks says (https://www.standardwebhooks.com), for gateways
// that Warder does not know. See docs/gateways/webhook.md for what a receiver must do.
package webhook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/warder/warder/enforcer/push"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/outbound"
)

// Kind names this kind of gateway.
const Kind = "webhook"

// PageSize is how many decisions and ends of decisions one request has at most.
const PageSize = 500

// Config of one receiver.
type Config struct {
	// Name tells the gateway from others in acknowledgements, logs and metrics.
	Name string      `yaml:"name"`
	Push push.Config `yaml:",inline"`
	// URL is a secret because such URLs often hold a token.
	URL config.Secret `yaml:"url"`
	// Secret signs the requests: "whsec_" and base64. It is mandatory: a forged request would block anybody.
	Secret config.Secret `yaml:"secret"`
	TLS    outbound.TLS  `yaml:"tls"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	c := Config{Name: "webhook", Push: push.DefaultConfig()}
	c.Push.Resync = config.Duration(5 * time.Minute) // a resync posts everything
	return c
}

// UnmarshalYAML decodes over the defaults, so that an entry of a list has them too.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// Validate tells, as config.FieldErrors, what is wrong.
func (c *Config) Validate() error {
	errs := []error{c.Push.Validate(), config.In("tls", c.TLS.Validate())}
	if c.Name == "" {
		errs = append(errs, config.Errorf("name", "is empty: give the gateway a name of its own"))
	}
	if u, err := url.Parse(c.URL.Reveal()); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		errs = append(errs, config.Errorf("url", "is not a URL: want https://host/path"))
	}
	if _, err := signer(c.Secret); err != nil {
		errs = append(errs, config.Errorf("secret", "must be whsec_ and the base64 of at least 16 bytes: make one with \"openssl rand -base64 32\""))
	}
	return errors.Join(errs...)
}

func signer(s config.Secret) (*standardwebhooks.Webhook, error) {
	if len(s.Reveal()) < len("whsec_")+22 || !strings.HasPrefix(s.Reveal(), "whsec_") {
		return nil, errors.New("too short")
	}
	return standardwebhooks.NewWebhook(s.Reveal())
}

// Body is what is posted. A receiver applies set and removes end; with full it removes, after the last page, what no page named.
type Body struct {
	Type string               `json:"type"` // "warder.decisions"
	Full string               `json:"full,omitempty"`
	Page int                  `json:"page"` // from 1
	Last bool                 `json:"last"`
	Set  []*decision.Decision `json:"set"`
	End  []string             `json:"end"` // keys of decisions: action|scope|value
}

// Gateway is one receiver. It is for one goroutine.
type Gateway struct {
	url    string
	sign   *standardwebhooks.Webhook
	client *http.Client
	held   map[string]*decision.Decision // nil: unknown
}

var _ push.Gateway = (*Gateway)(nil)

// New returns the gateway. It does not dial. It fails when the configuration is not valid.
func New(cfg Config, _ *slog.Logger, _ prometheus.Registerer) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("webhook %s: %w", cfg.Name, err)
	}
	t, err := cfg.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("webhook %s: %w", cfg.Name, err)
	}
	sign, err := signer(cfg.Secret)
	if err != nil {
		return nil, fmt.Errorf("webhook %s: secret: %w", cfg.Name, err)
	}
	return &Gateway{url: cfg.URL.Reveal(), sign: sign, client: outbound.NewHTTPClient(t)}, nil
}

// Close ends idle connections.
func (g *Gateway) Close() { g.client.CloseIdleConnections() }

// Supports takes every decision: the receiver knows what it can do.
func (g *Gateway) Supports(*decision.Decision) error { return nil }

// Sync posts what changed; everything, when it verifies or does not know what the receiver has. There is nothing to read back.
func (g *Gateway) Sync(ctx context.Context, want []*decision.Decision, verify bool) (int, error) {
	held, full := g.held, ""
	if verify || held == nil {
		held, full = nil, rand.Text()
	}
	g.held = nil // until all has succeeded
	next := make(map[string]*decision.Decision, len(want))
	var set []*decision.Decision
	for _, d := range want {
		k := string(d.Key())
		next[k] = d
		if held[k] != d { // decisions are immutable
			set = append(set, d)
		}
	}
	var end []string
	for k := range held {
		if next[k] == nil {
			end = append(end, k)
		}
	}
	if err := g.pages(ctx, full, set, end); err != nil {
		return 0, err
	}
	g.held = next
	return 0, nil
}

// pages posts all, in pages; without a full set and without a change nothing.
func (g *Gateway) pages(ctx context.Context, full string, set []*decision.Decision, end []string) error {
	for page := 1; ; page++ {
		b := Body{Type: "warder.decisions", Full: full, Page: page, Set: set[:min(len(set), PageSize)], End: end[:min(len(end), PageSize)]}
		set, end = set[len(b.Set):], end[len(b.End):]
		if full == "" && len(b.Set)+len(b.End) == 0 {
			return nil
		}
		b.Last = len(set)+len(end) == 0
		if err := g.post(ctx, b); err != nil || b.Last {
			return err
		}
	}
}

func (g *Gateway) post(ctx context.Context, b Body) error {
	text, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("webhook: encode: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url, strings.NewReader(string(text)))
	if err != nil {
		return fmt.Errorf("webhook: %w", outbound.WithoutURL(err))
	}
	id, now := "msg_"+rand.Text(), time.Now()
	sig, err := g.sign.Sign(id, now, text)
	if err != nil {
		return fmt.Errorf("webhook: sign: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "warder")
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, sig)
	resp, err := g.client.Do(req)
	if err != nil {
		return fmt.Errorf("webhook: %w", outbound.WithoutURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("webhook: the receiver answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return nil
}
