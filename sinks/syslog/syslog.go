// Package syslog sends alerts and access events to a SIEM: RFC 5424 messages over UDP, TCP or TLS that hold CEF or OCSF JSON.
package syslog

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/sinks"
)

// Sink sends to one receiver over one connection, which it opens when it is needed and again when it broke.
type Sink struct {
	cfg       Config
	hostname  string
	limit     int
	truncated prometheus.Counter
	conn      *conn
}

var (
	_ sinks.Sink      = (*Sink)(nil)
	_ sinks.EventSink = (*Sink)(nil)
)

// New makes the sink. It does not dial. reg may be nil.
func New(cfg Config, _ *slog.Logger, reg prometheus.Registerer) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("syslog %s: %w", cfg.Name, err)
	}
	s := &Sink{cfg: cfg, hostname: cfg.Hostname, limit: cfg.limit(), conn: &conn{transport: cfg.Transport, address: cfg.Address}}
	if cfg.Transport == TLS {
		tc, err := cfg.TLS.Config()
		if err != nil {
			return nil, fmt.Errorf("syslog %s: %w", cfg.Name, err)
		}
		s.conn.tls = withServerName(tc, cfg.Address)
	}
	if s.hostname == "" {
		if name, err := os.Hostname(); err == nil && hostForm.MatchString(name) {
			s.hostname = name
		}
	}
	s.truncated = prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_sinks_syslog_truncated_total",
		Help: "Syslog messages whose texts were shortened to fit max_message.", ConstLabels: prometheus.Labels{"sink": cfg.Name}})
	if reg != nil {
		if err := reg.Register(s.truncated); err != nil {
			return nil, fmt.Errorf("syslog %s: register metrics: %w", cfg.Name, err)
		}
	}
	return s, nil
}

func withServerName(tc *tls.Config, address string) *tls.Config {
	if tc.ServerName == "" {
		tc.ServerName = address[:strings.LastIndexByte(address, ':')]
		tc.ServerName = strings.Trim(tc.ServerName, "[]")
	}
	return tc
}

// Send sends a message for each alert. Every failure may be retried: a receiver has no way to refuse a message. Over TCP and TLS
// success means that the connection was open and the kernel took the messages; syslog has no acknowledgement.
func (s *Sink) Send(ctx context.Context, alerts []*alert.Alert) (retry bool, err error) {
	return s.send(ctx, len(alerts), func(i, text int) message { return s.alertMessage(alerts[i], text) })
}

// SendEvents sends a message for each event, as Send does.
func (s *Sink) SendEvents(ctx context.Context, events []*event.Event) (retry bool, err error) {
	return s.send(ctx, len(events), func(i, text int) message { return s.eventMessage(events[i], text) })
}

// Close closes the connection.
func (s *Sink) Close() error { return s.conn.Close() }

// send makes n messages; render makes message i with no text in it longer than the given number of bytes.
func (s *Sink) send(ctx context.Context, n int, render func(i, text int) message) (bool, error) {
	if n == 0 {
		return false, nil
	}
	frames := make([][]byte, n)
	for i := range frames {
		frame, cut := fit(s.limit, func(text int) []byte { return render(i, text).append(nil) })
		if cut {
			s.truncated.Inc()
		}
		frames[i] = frame
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout.Std())
	defer cancel()
	if err := s.conn.write(ctx, frames); err != nil {
		return true, fmt.Errorf("syslog: %w", err)
	}
	return false, nil
}

// fullText is the longest text in a message that need not be shortened; no text in an event is longer.
const fullText = event.MaxText

// fit renders with ever shorter texts until the message fits, and tells whether it had to. A last resort cuts the message.
func fit(limit int, render func(text int) []byte) (frame []byte, cut bool) {
	for text := fullText; ; text /= 2 {
		frame = render(text)
		if len(frame) <= limit {
			return frame, text < fullText
		}
		if text <= 8 {
			return []byte(clip(string(frame), limit)), true
		}
	}
}

func (s *Sink) alertMessage(a *alert.Alert, text int) message {
	m := s.header(alertPriority(a.Severity), a.Time, "alert")
	m.data = []param{{"id", clean(a.ID, 64)}, {"rule", clean(a.Rule, min(text, 256))}, {"severity", string(a.Severity)}}
	if s.cfg.Format == OCSF {
		m.text = ocsfAlert(a, text)
	} else {
		m.text = cefAlert(a, text)
	}
	return m
}

func (s *Sink) eventMessage(e *event.Event, text int) message {
	m := s.header(severityInfo, e.Time, "event")
	m.data = []param{{"id", e.ID.String()}, {"tap", clean(e.Tap, min(text, 256))}}
	if s.cfg.Format == OCSF {
		m.text = ocsfEvent(e, text)
	} else {
		m.text = cefEvent(e, text)
	}
	return m
}

func (s *Sink) header(severity int, t time.Time, id string) message {
	return message{
		priority: facility(s.cfg.Facility)*8 + severity, time: t, hostname: s.hostname, id: id,
		dataName: fmt.Sprintf("warder@%d", s.cfg.EnterpriseID),
	}
}
