package slack

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/sinks/describe"
)

// Slack's limits, a little below what it allows: https://docs.slack.dev/reference/block-kit/blocks/section-block
const (
	maxText  = 2900 // characters of a section's text, of 3000
	maxField = 1900 // of a field's text, of 2000
	maxID    = 250  // of a block_id, of 255
)

// message is what both ways of posting need.
type message struct {
	text        string
	attachments []slack.Attachment
}

// render makes one message: a headline, then for each alert its blocks beside a bar in the severity's colour. The alert's id is
// the block_id of its first block, so that a message can be led back to its alerts.
func render(alerts []*alert.Alert) message {
	m := message{text: headline(alerts)}
	seen := make(map[string]bool, len(alerts))
	for _, a := range alerts {
		if seen[a.ID] { // a block_id is unique in a message
			continue
		}
		seen[a.ID] = true
		m.attachments = append(m.attachments, slack.Attachment{
			Color:    describe.Colour(a.Severity),
			Fallback: clip(summary(a), maxText),
			Blocks:   slack.Blocks{BlockSet: blocks(a)},
		})
	}
	return m
}

func headline(alerts []*alert.Alert) string {
	if len(alerts) == 1 {
		return clip(emoji(alerts[0].Severity)+" "+summary(alerts[0]), maxText)
	}
	top := describe.Highest(alerts)
	return fmt.Sprintf("%s %d alerts, the highest is %s", emoji(top), len(alerts), top)
}

// summary is one escaped line.
func summary(a *alert.Alert) string {
	return fmt.Sprintf("*[%s] %s*: %s", strings.ToUpper(string(a.Severity)), escape(describe.Title(a)), code(describe.Entity(a), 600))
}

func blocks(a *alert.Alert) []slack.Block {
	text := "*" + escape(describe.Title(a)) + "*\n" + escape(describe.Sentence(a))
	if d := describe.Text(a); d != "" {
		text += "\n" + escape(describe.Printable(d, 500))
	}
	out := []slack.Block{
		slack.NewSectionBlock(mrkdwn(clip(text, maxText)), nil, nil, slack.SectionBlockOptionBlockID(blockID(a.ID))),
		slack.NewSectionBlock(nil, fields(a), nil),
	}
	if lines := describe.Request(a); len(lines) > 0 {
		var b strings.Builder
		for _, l := range lines {
			fmt.Fprintf(&b, "%-11s %s\n", l.Name, l.Value)
		}
		out = append(out, slack.NewSectionBlock(mrkdwn("```\n"+clip(quote(strings.TrimSpace(b.String())), maxText-10)+"\n```"), nil, nil))
	}
	return append(out, slack.NewContextBlock("", mrkdwn(clip(footnote(a), maxField))))
}

func fields(a *alert.Alert) []*slack.TextBlockObject {
	out := []*slack.TextBlockObject{
		field("Entity", code(describe.Entity(a), 600)),
		field("Rule", code(a.Rule, 200)),
		field("Severity", emoji(a.Severity)+" "+string(a.Severity)),
		field("Window", describe.When(a)),
	}
	if vs := describe.Values(a); len(vs) > 0 {
		parts := make([]string, 0, len(vs))
		for _, v := range vs {
			value := "*" + escape(v.Value) + "*"
			if _, text := a.Texts[v.Name]; text {
				value = code(v.Value, 200)
			}
			parts = append(parts, escape(v.Name)+" "+value)
		}
		out = append(out, field("Values", strings.Join(parts, ", ")))
	}
	return append(out, field("Response", escape(describe.Response(a))))
}

func field(name, text string) *slack.TextBlockObject {
	return mrkdwn(clip("*"+name+"*\n"+text, maxField))
}

func footnote(a *alert.Alert) string {
	text := "Alert " + code(a.ID, 100)
	ids, more := describe.Evidence(a)
	if len(ids) > 0 {
		text += fmt.Sprintf(" · %d events, the newest %s", int64(len(ids))+more, code(ids[0], 100))
	}
	if gaps := describe.Gaps(a); gaps != "" {
		text += " · :warning: " + gaps
	}
	return text
}

// mrkdwn returns a text object in which Slack makes no links of its own (verbatim).
func mrkdwn(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, text, false, true)
}

// escape replaces what starts markup in Slack: https://docs.slack.dev/messaging/formatting-message-text#escaping
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// quote escapes text that goes between backticks.
func quote(s string) string { return escape(strings.ReplaceAll(s, "`", "ˋ")) }

// code puts text between backticks, where Slack leaves emphasis and emoji alone.
func code(s string, limit int) string {
	s = strings.TrimSpace(describe.Printable(s, limit))
	if s == "" {
		return "-"
	}
	return "`" + quote(s) + "`"
}

// clip cuts escaped text to limit bytes (Slack counts characters, of which there are no more) without cutting an escape, and
// closes a code span that it cut.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit - len("…`")
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	s = s[:cut]
	if i := strings.LastIndexByte(s, '&'); i >= 0 && !strings.Contains(s[i:], ";") {
		s = s[:i]
	}
	s += "…"
	if strings.Count(s, "`")%2 == 1 {
		s += "`"
	}
	return s
}

// blockID makes an alert's id a block_id; ids from the detector are 32 hexadecimal digits and stay as they are.
func blockID(id string) string {
	id = strings.ToValidUTF8(id, "?")
	for len(id) > maxID {
		_, size := utf8.DecodeLastRuneInString(id)
		id = id[:len(id)-size]
	}
	return id
}

func emoji(s alert.Severity) string {
	switch s {
	case alert.Critical:
		return ":rotating_light:"
	case alert.High:
		return ":red_circle:"
	case alert.Medium:
		return ":large_orange_circle:"
	case alert.Low:
		return ":large_blue_circle:"
	}
	return ":white_circle:"
}
