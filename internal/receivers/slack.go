package receivers

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Slack stands in for Slack: incoming webhooks and chat.postMessage. It refuses what Slack refuses: more than 50 blocks, too long
// texts, repeated block ids.
type Slack struct {
	*journal
	*server
}

// NewSlack starts it.
func NewSlack() (*Slack, error) {
	s := &Slack{journal: newJournal()}
	var err error
	s.server, err = serve(s.handle)
	return s, err
}

// WebhookURL returns an incoming webhook.
func (s *Slack) WebhookURL() string { return s.url + "/services/T0DEMO/B0DEMO/local" }

// APIURL returns the base of the Web API.
func (s *Slack) APIURL() string { return s.url + "/api/" }

func (s *Slack) handle(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		return
	}
	api := strings.HasPrefix(r.URL.Path, "/api/")
	if f := s.current(either(s.closed, r.Context().Done())); f != Healthy {
		s.refuse(w, r, api, f)
		return
	}
	raw := body
	if api {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			s.problem("form: %v", err)
		}
		raw = []byte(`{"text":` + quoted(form.Get("text")) + `,"attachments":` + or(form.Get("attachments"), "[]") + `}`)
	}
	m := Message{Header: r.Header, Body: raw}
	if why := m.readSlack(); why != "" {
		s.problem("%s", why)
		s.refuse(w, r, api, Permanent)
		return
	}
	s.add(m)
	if api {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true,"channel":"C0DEMO","ts":"1700000000.000100"}`)
		return
	}
	_, _ = io.WriteString(w, "ok")
}

func (s *Slack) refuse(w http.ResponseWriter, r *http.Request, api bool, f Fault) {
	if api && f == Permanent { // the API refuses with status 200
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":false,"error":"invalid_blocks"}`)
		return
	}
	fail(w, r, f)
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// slackBlock is what is checked of a block.
type slackBlock struct {
	Type     string          `json:"type"`
	BlockID  string          `json:"block_id"`
	Text     *slackText      `json:"text"`
	Fields   []slackText     `json:"fields"`
	Elements json.RawMessage `json:"elements"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// readSlack checks the message against Slack's limits and finds the alerts: the block ids.
func (m *Message) readSlack() (problem string) {
	var got struct {
		Text        string `json:"text"`
		Attachments []struct {
			Blocks []slackBlock `json:"blocks"`
		} `json:"attachments"`
	}
	if err := json.Unmarshal(m.Body, &got); err != nil {
		return "not JSON: " + err.Error()
	}
	if got.Text == "" || len(got.Attachments) == 0 {
		return "no_text"
	}
	blocks := 0
	seen := make(map[string]bool)
	for _, a := range got.Attachments {
		for _, b := range a.Blocks {
			blocks++
			if why := b.check(); why != "" {
				return why
			}
			if b.BlockID == "" {
				continue
			}
			if seen[b.BlockID] {
				return "invalid_blocks: block_id is repeated"
			}
			seen[b.BlockID] = true
			m.Alerts = append(m.Alerts, b.BlockID)
		}
	}
	if blocks > 50 {
		return "invalid_blocks: more than 50"
	}
	return ""
}

func (b *slackBlock) check() string {
	switch {
	case len(b.BlockID) > 255:
		return "invalid_blocks: block_id is too long"
	case b.Text != nil && (b.Text.Text == "" || utf8.RuneCountInString(b.Text.Text) > 3000):
		return "invalid_blocks: text has no or too many characters"
	case b.Type == "section" && b.Text == nil && len(b.Fields) == 0:
		return "invalid_blocks: a section without text"
	case len(b.Fields) > 10:
		return "invalid_blocks: more than 10 fields"
	}
	for _, f := range b.Fields {
		if f.Text == "" || utf8.RuneCountInString(f.Text) > 2000 {
			return "invalid_blocks: a field has no or too many characters"
		}
	}
	return ""
}
