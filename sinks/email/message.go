package email

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	htmltemplate "html/template"
	"net/mail"
	"strings"
	texttemplate "text/template"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/sinks"
	"github.com/warder/warder/sinks/describe"
)

//go:embed alert.html.tmpl alert.txt.tmpl
var templates embed.FS

// page is what the templates show. Everything in it is bounded and printable already; html/template escapes it.
type page struct {
	Subject string
	Top     string // highest severity, upper case
	Colour  htmltemplate.CSS
	More    int // alerts beyond the first
	Cards   []card
}

type card struct {
	ID, Severity, Title, Rule, Entity, Finding, When, Response, Text, Gaps string
	Colour                                                                 htmltemplate.CSS
	Group, Values, Request                                                 []describe.Field
	Evidence                                                               []string
	MoreEvidence                                                           int64
	Tags                                                                   string
}

func newPage(alerts []*alert.Alert) page {
	top := describe.Highest(alerts)
	p := page{Subject: subject(alerts), Top: strings.ToUpper(string(top)), Colour: colour(top), More: len(alerts) - 1}
	for _, a := range alerts {
		c := card{
			ID: describe.Printable(a.ID, 100), Severity: strings.ToUpper(string(a.Severity)), Colour: colour(a.Severity),
			Title: describe.Title(a), Rule: describe.Printable(a.Rule, 100), Entity: describe.Entity(a), Finding: describe.Finding(a),
			When: describe.When(a), Response: describe.Response(a), Text: describe.Text(a), Gaps: describe.Gaps(a),
			Group: describe.Group(a), Values: describe.Values(a), Request: describe.Request(a),
			Tags: describe.Printable(strings.Join(a.Tags, ", "), 300),
		}
		c.Evidence, c.MoreEvidence = describe.Evidence(a)
		p.Cards = append(p.Cards, c)
	}
	return p
}

// colour is one of describe's constants, never input.
func colour(s alert.Severity) htmltemplate.CSS { return htmltemplate.CSS(describe.Colour(s)) }

// subject returns "[HIGH] title: entity (+2 more)" for the first of the most severe alerts, in one line of at most 200 runes.
func subject(alerts []*alert.Alert) string {
	lead := alerts[0]
	for _, a := range alerts {
		if a.Severity.Rank() > lead.Severity.Rank() {
			lead = a
		}
	}
	s := fmt.Sprintf("[%s] %s: %s", strings.ToUpper(string(lead.Severity)), describe.Title(lead), describe.Entity(lead))
	s = describe.Printable(s, 180)
	if n := len(alerts) - 1; n > 0 {
		s += fmt.Sprintf(" (+%d more)", n)
	}
	return s
}

func renderHTML(alerts []*alert.Alert) (string, error) {
	t, err := htmltemplate.ParseFS(templates, "alert.html.tmpl")
	if err != nil {
		return "", fmt.Errorf("parse template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, newPage(alerts)); err != nil {
		return "", fmt.Errorf("render: %w", err)
	}
	return b.String(), nil
}

func renderText(alerts []*alert.Alert) (string, error) {
	t, err := texttemplate.ParseFS(templates, "alert.txt.tmpl")
	if err != nil {
		return "", fmt.Errorf("parse template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, newPage(alerts)); err != nil {
		return "", fmt.Errorf("render: %w", err)
	}
	return b.String(), nil
}

// messageID is the same for the same alerts, so that a mail server can drop a repeat.
func messageID(alerts []*alert.Alert, from string) string {
	h := sha256.New()
	for _, id := range sinks.IDs(alerts) {
		h.Write([]byte(id + "\n"))
	}
	domain := "localhost"
	if a, err := mail.ParseAddress(from); err == nil {
		domain = a.Address[strings.LastIndexByte(a.Address, '@')+1:]
	}
	return "warder." + hex.EncodeToString(h.Sum(nil)[:16]) + "@" + domain
}

func (s *Sink) message(alerts []*alert.Alert, now time.Time) (*gomail.Msg, error) {
	m := gomail.NewMsg()
	if err := m.From(s.cfg.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if err := m.To(s.cfg.To...); err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	text, err := renderText(alerts)
	if err != nil {
		return nil, err
	}
	html, err := renderHTML(alerts)
	if err != nil {
		return nil, err
	}
	m.Subject(subject(alerts))
	m.SetDateWithValue(now)
	m.SetMessageIDWithValue(messageID(alerts, s.cfg.From))
	m.SetUserAgent("Warder")
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	m.SetGenHeader("X-Auto-Response-Suppress", "All")
	ids := sinks.IDs(alerts)
	for i := range ids {
		ids[i] = describe.Printable(ids[i], 64)
	}
	m.SetGenHeader("X-Warder-Alert", ids...)
	if describe.Highest(alerts).Rank() >= alert.High.Rank() {
		m.SetImportance(gomail.ImportanceHigh)
	}
	m.SetBodyString(gomail.TypeTextPlain, text)
	m.AddAlternativeString(gomail.TypeTextHTML, html)
	return m, nil
}
