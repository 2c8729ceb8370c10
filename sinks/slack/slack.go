// Package slack posts alerts to a Slack channel as Block Kit messages, through an incoming webhook or a bot token.
package slack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/slack-go/slack"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/outbound"
	"github.com/warder/warder/sinks"
)

// MaxAlerts is the most alerts in one message: each takes up to four of the 50 blocks that Slack allows.
const MaxAlerts = 10

// Config of one Slack destination: either WebhookURL, or Token with Channel.
type Config struct {
	sinks.Common `yaml:",inline"`
	// WebhookURL is an incoming webhook: https://hooks.slack.com/services/…
	WebhookURL config.Secret `yaml:"webhook_url"`
	// Token is a bot token with the scope chat:write; Channel is the id of a channel that the bot is in, or its name.
	Token   config.Secret `yaml:"token"`
	Channel string        `yaml:"channel"`
	// APIURL is the base of Slack's Web API; another one is for proxies and tests.
	APIURL string       `yaml:"api_url"`
	TLS    outbound.TLS `yaml:"tls"`
}

// DefaultConfig returns the defaults: a burst of one second makes one message of up to 10 alerts, none older than a day.
func DefaultConfig() Config {
	c := Config{Common: sinks.DefaultCommon(), APIURL: slack.APIURL}
	c.GroupWait = config.Duration(time.Second)
	c.MaxAlerts = MaxAlerts
	c.MaxAge = config.Duration(24 * time.Hour)
	return c
}

// UnmarshalYAML decodes over the defaults, so that an entry of a list has them too.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// Validate reports what is wrong as config.FieldErrors.
func (c *Config) Validate() error {
	errs := []error{c.Check(), config.In("tls", c.TLS.Validate())}
	bad := func(key, format string, args ...any) { errs = append(errs, config.Errorf(key, format, args...)) }
	switch {
	case c.WebhookURL.IsSet() && (c.Token.IsSet() || c.Channel != ""):
		bad("webhook_url", "stands beside token or channel: a webhook belongs to one channel already, set one or the other")
	case c.WebhookURL.IsSet() && !isURL(c.WebhookURL.Reveal()):
		bad("webhook_url", "is not a URL: want https://hooks.slack.com/services/…")
	case !c.WebhookURL.IsSet() && !c.Token.IsSet():
		bad("webhook_url", "is missing: set webhook_url, or token and channel")
	case c.Token.IsSet() && c.Channel == "":
		bad("channel", "is missing: a bot token needs the channel to post to")
	case c.Token.IsSet() && (!isURL(c.APIURL) || !strings.HasSuffix(c.APIURL, "/")):
		bad("api_url", "want a URL that ends in a slash, such as %s", slack.APIURL)
	}
	if c.MaxAlerts > MaxAlerts {
		bad("max_alerts", "want at most %d for Slack, have %d", MaxAlerts, c.MaxAlerts)
	}
	if c.Events {
		bad("events", "Slack takes alerts only; send events with a syslog sink")
	}
	return errors.Join(errs...)
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

// Sink posts to one channel.
type Sink struct {
	client  *http.Client
	webhook string        // "" when the API is used
	api     *slack.Client // nil when a webhook is used
	channel string
	host    string // for errors
	timeout time.Duration
	secrets []string
}

var _ sinks.Sink = (*Sink)(nil)

// New makes the sink. It does not dial.
func New(cfg Config, _ *slog.Logger, _ prometheus.Registerer) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("slack %s: %w", cfg.Name, err)
	}
	tc, err := cfg.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("slack %s: %w", cfg.Name, err)
	}
	s := &Sink{client: outbound.NewHTTPClient(tc), webhook: cfg.WebhookURL.Reveal(), channel: cfg.Channel, timeout: cfg.Timeout.Std()}
	base := s.webhook
	if base == "" {
		base = cfg.APIURL
		s.api = slack.New(cfg.Token.Reveal(), slack.OptionAPIURL(cfg.APIURL), slack.OptionHTTPClient(s.client))
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("slack %s: the URL cannot be parsed", cfg.Name)
	}
	s.host = u.Host
	s.secrets = append(outbound.SecretsOf(s.webhook), cfg.Token.Reveal())
	return s, nil
}

// Send posts the alerts, MaxAlerts in a message. When a later message of one call fails, a retry repeats the earlier ones; the
// dispatcher never hands over more than one message's worth.
func (s *Sink) Send(ctx context.Context, alerts []*alert.Alert) (retry bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for part := range slices.Chunk(alerts, MaxAlerts) {
		if err := s.post(ctx, render(part)); err != nil {
			return s.judge(err)
		}
	}
	return false, nil
}

func (s *Sink) post(ctx context.Context, m message) error {
	off := false
	if s.api == nil {
		return slack.PostWebhookCustomHTTPContext(ctx, s.webhook, s.client, &slack.WebhookMessage{
			Text: m.text, Attachments: m.attachments, UnfurlLinks: &off, UnfurlMedia: &off})
	}
	_, _, err := s.api.PostMessageContext(ctx, s.channel, slack.MsgOptionText(m.text, false),
		slack.MsgOptionAttachments(m.attachments...), slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl())
	return err
}

// busy are the errors of Slack's API that pass by themselves.
// Source: https://docs.slack.dev/reference/methods/chat.postMessage/#errors
var busy = [...]string{"ratelimited", "rate_limited", "message_limit_exceeded", "fatal_error", "internal_error",
	"service_unavailable", "request_timeout", "team_added_to_org", "accesslimited"}

// judge tells whether a failed post may be repeated, and words the error without the URL and the token.
func (s *Sink) judge(err error) (retry bool, _ error) {
	var limited *slack.RateLimitedError
	if errors.As(err, &limited) {
		after := min(max(limited.RetryAfter, 0), outbound.MaxRetryAfter)
		return true, &sinks.RetryAfterError{After: after, Err: fmt.Errorf("slack: %s: too many messages", s.host)}
	}
	var status slack.StatusCodeError
	if errors.As(err, &status) {
		return outbound.Retriable(status.Code), fmt.Errorf("slack: %s answered %d %s", s.host, status.Code, http.StatusText(status.Code))
	}
	var refused slack.SlackErrorResponse
	if errors.As(err, &refused) {
		said := outbound.Snippet(refused.Err, s.secrets...)
		return slices.Contains(busy[:], refused.Err), fmt.Errorf("slack: %s refused the message: %s%s", s.host, said, hint(refused.Err))
	}
	return true, fmt.Errorf("slack: post to %s: %s", s.host, outbound.Snippet(outbound.WithoutURL(err).Error(), s.secrets...))
}

// hint says what to do about the refusals that people meet.
func hint(code string) string {
	switch code {
	case "not_in_channel", "channel_not_found":
		return " (invite the bot to the channel, or set channel to the channel's id)"
	case "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired":
		return " (the token is not valid: make a new one)"
	case "missing_scope":
		return " (give the bot the scope chat:write)"
	}
	return ""
}
