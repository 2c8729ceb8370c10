package app

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/sinks"
	"github.com/warder/warder/sinks/email"
	"github.com/warder/warder/sinks/slack"
	"github.com/warder/warder/sinks/syslog"
	"github.com/warder/warder/sinks/webhook"
)

// newReceivers constructs the configured sinks. A new kind of sink is one package, one field of Sinks and one block here.
func newReceivers(cfg Sinks, log *slog.Logger, reg prometheus.Registerer) ([]sinks.Receiver, error) {
	var out []sinks.Receiver
	fail := func(kind string, i int, err error) error {
		return config.In(fmt.Sprintf("sinks.%s[%d]", kind, i), err)
	}
	for i, c := range cfg.Webhook {
		s, err := webhook.New(c, log, reg)
		if err != nil {
			return nil, fail("webhook", i, err)
		}
		out = append(out, sinks.Receiver{Common: c.Common, Kind: "webhook", Sink: s})
	}
	for i, c := range cfg.Slack {
		s, err := slack.New(c, log, reg)
		if err != nil {
			return nil, fail("slack", i, err)
		}
		out = append(out, sinks.Receiver{Common: c.Common, Kind: "slack", Sink: s})
	}
	for i, c := range cfg.Email {
		s, err := email.New(c, log, reg)
		if err != nil {
			return nil, fail("email", i, err)
		}
		out = append(out, sinks.Receiver{Common: c.Common, Kind: "email", Sink: s})
	}
	for i, c := range cfg.Syslog {
		s, err := syslog.New(c, log, reg)
		if err != nil {
			return nil, fail("syslog", i, err)
		}
		out = append(out, sinks.Receiver{Common: c.Common, Kind: "syslog", Sink: s, EventSink: s})
	}
	return out, nil
}
