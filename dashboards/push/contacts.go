package push

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	gapi "github.com/grafana/grafana-api-golang-client"

	"github.com/warder/warder/internal/console"
)

const (
	templateName = "warder"
	redacted     = "[REDACTED]" // what Grafana answers in place of a secret
)

// messageTemplate words what people are sent: what is wrong, where it shows and what to do. It has no $, like the annotations.
const messageTemplate = `{{ define "warder.title" }}{{ if eq .Status "firing" }}[{{ len .Alerts.Firing }} firing]{{ else }}[resolved]{{ end }} Warder: {{ .CommonLabels.alertname }}{{ end }}
{{ define "warder.message" }}{{ range .Alerts }}{{ .Status }}: {{ .Annotations.summary }}
{{ .Annotations.description }}
Severity: {{ .Labels.severity }}, since {{ .StartsAt.Format "2006-01-02 15:04:05 MST" }}
Dashboard: {{ .Annotations.dashboard }}
Rule: {{ .GeneratorURL }}
Silence: {{ .SilenceURL }}

{{ end }}{{ end }}`

const (
	titleCall   = `{{ template "warder.title" . }}`
	messageCall = `{{ template "warder.message" . }}`
)

// integrations are the receivers of the contact point.
func (c Contacts) integrations() []gapi.ContactPoint {
	var out []gapi.ContactPoint
	add := func(kind string, settings map[string]any) {
		out = append(out, gapi.ContactPoint{UID: "warder-" + kind, Name: name, Type: kind, Settings: settings})
	}
	if len(c.Emails) > 0 {
		add("email", map[string]any{"addresses": strings.Join(c.Emails, ";"), "subject": titleCall, "message": messageCall})
	}
	if c.Webhook.IsSet() {
		add("webhook", map[string]any{"url": c.Webhook.Reveal(), "httpMethod": "POST"})
	}
	if c.Slack.IsSet() {
		add("slack", map[string]any{"url": c.Slack.Reveal(), "title": titleCall, "text": messageCall})
	}
	return out
}

func (p *planner) contacts() error {
	if !p.want.Contacts.any() {
		return nil
	}
	if err := p.template(); err != nil {
		return err
	}
	all, err := p.ContactPointsByName(name)
	if err != nil {
		return err
	}
	for _, want := range p.want.Contacts.integrations() {
		old, ok := gapi.ContactPoint{}, false
		for _, c := range all {
			if c.Name == name && c.Type == want.Type { // Grafana 9 answers all contact points, whatever the name
				old, ok = c, true
				break
			}
		}
		if err := p.contact(want, old, ok); err != nil {
			return err
		}
	}
	return p.policies()
}

// policies looks whether anything leads to the contact point. Warder does not write policies: the API replaces the whole tree.
func (p *planner) policies() error {
	var tree policy
	err := p.get("/api/v1/provisioning/policies", nil, &tree)
	if err != nil && !has(err, http.StatusForbidden, http.StatusNotFound) {
		return err
	}
	if !tree.leads() {
		p.note("alerts reach the contact point %s when a notification policy leads there: Alerting, Notification policies, "+
			"new policy with the matcher %s = %s", name, sourceLabel, sourceValue)
	}
	return nil
}

// policy is what of a notification policy is looked at; the library's type does not know the matchers of newer versions.
type policy struct {
	Receiver string   `json:"receiver"`
	Routes   []policy `json:"routes"`
}

func (p policy) leads() bool {
	return p.Receiver == name || slices.ContainsFunc(p.Routes, policy.leads)
}

func (p *planner) contact(want, old gapi.ContactPoint, exists bool) error {
	const link = "/alerting/notifications"
	title := name + " (" + want.Type + ")"
	if !exists {
		p.add("contact point", title, link, Create, nil, func(s *session) error {
			_, err := s.NewContactPoint(&want)
			return err
		})
		return nil
	}
	fields := p.contactFields(want, old)
	if old.Provenance != "" && old.Provenance != "api" && len(fields) > 0 {
		return fmt.Errorf("contact point %s comes from a file of Grafana's provisioning (provenance %s), which the API may not change: update the file",
			title, console.Clean(old.Provenance, 20))
	}
	p.add("contact point", title, link, Update, fields, func(s *session) error {
		changed := old
		changed.Settings = maps.Clone(old.Settings)
		if changed.Settings == nil {
			changed.Settings = map[string]any{}
		}
		maps.Copy(changed.Settings, want.Settings)
		return s.UpdateContactPoint(&changed)
	})
	return nil
}

// contactFields compares settings. An address may carry a key, and is never shown; one that Grafana hides cannot be compared.
func (p *planner) contactFields(want, old gapi.ContactPoint) []Difference {
	settings := maps.Clone(want.Settings)
	url, ok := settings["url"]
	delete(settings, "url")
	fields := differences(map[string]any{"settings": settings}, map[string]any{"settings": old.Settings})
	if had := old.Settings["url"]; ok && had != url && (had != redacted || p.want.Resend) {
		fields = append(fields, Difference{Path: "settings.url", Old: hidden, New: hidden})
	}
	return fields
}

func (p *planner) template() error {
	old, err := p.MessageTemplate(templateName)
	action, have := Update, ""
	switch {
	case has(err, http.StatusNotFound):
		action = Create
	case err != nil:
		return err
	default:
		have = strings.TrimSpace(old.Template)
	}
	fields := differences(map[string]any{"template": messageTemplate}, map[string]any{"template": have})
	p.add("message template", templateName, "", action, fields, func(s *session) error {
		return s.SetMessageTemplate(templateName, messageTemplate)
	})
	return nil
}
