package sigma

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// yaml writes the rule as a YAML document, without the line that parts documents.
func (o *output) yaml() string {
	w := &writer{}
	for _, n := range o.notes {
		w.line("# %s", n)
	}
	w.scalar("id", o.id)
	w.scalar("title", o.title)
	w.block("", "description", o.description)
	w.scalar("severity", o.severity)
	w.list("tags", o.tags)
	w.scalar("author", o.author)
	w.scalar("license", o.license)
	w.scalar("source_id", o.sourceID)
	w.list("references", o.references)
	w.list("falsepositives", o.falsePositives)
	w.block("", "filter", o.filter)
	if len(o.groupBy) > 0 {
		w.line("group_by: [%s]", strings.Join(o.groupBy, ", "))
	}
	if o.window > 0 {
		w.line("window: {size: %s, type: sliding}", span(o.window))
		w.aggregates(o.aggregates)
		w.block("", "condition", o.condition)
	}
	if len(o.sequence) > 0 {
		w.sequence(o)
	}
	w.line("suppress: %s", span(o.suppress))
	w.line("mode: shadow")
	return w.String()
}

type writer struct{ strings.Builder }

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// scalar writes "key: value", nothing when the value is empty.
func (w *writer) scalar(key, value string) {
	if value != "" {
		w.line("%s: %s", key, yamlText(value))
	}
}

func (w *writer) list(key string, values []string) {
	if len(values) > 0 {
		w.line("%s:", key)
	}
	for _, v := range values {
		w.line("  - %s", yamlText(v))
	}
}

// block writes a text of several lines as it is.
func (w *writer) block(indent, key, text string) {
	if text == "" {
		return
	}
	if !strings.Contains(text, "\n") && plainYAML(text) && len(text) < 90 {
		w.line("%s%s: %s", indent, key, yamlText(text))
		return
	}
	w.line("%s%s: |", indent, key)
	for _, l := range strings.Split(text, "\n") {
		if l == "" {
			w.line("")
		} else {
			w.line("%s  %s", indent, l)
		}
	}
}

func (w *writer) aggregates(list []aggregate) {
	w.line("aggregates:")
	for _, a := range list {
		if a.call != "" {
			w.line("  %s: %s", a.name, yamlText(a.call))
			continue
		}
		w.line("  %s:", a.name)
		w.line("    func: %s", a.fn)
		w.block("    ", "of", a.of)
		w.block("    ", "where", a.where)
	}
}

func (w *writer) sequence(o *output) {
	w.line("sequence:")
	w.line("  span: %s", span(o.span))
	w.line("  steps:")
	for _, s := range o.sequence {
		w.line("    - name: %s", s.name)
		w.block("      ", "filter", s.filter)
		if s.count > 1 {
			w.line("      count: %d", s.count)
		}
	}
}

// yamlText writes a scalar, quoted unless it is plainly a text.
func yamlText(s string) string {
	if plainYAML(s) {
		return s
	}
	var b strings.Builder
	enc := json.NewEncoder(&b) // JSON is YAML
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return `""` // cannot be: a string has a JSON form
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// plainYAML tells whether the text means itself without quotes.
func plainYAML(s string) bool {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	const more = first + "0123456789 .,_-/()=!&;+~%?'*<>"
	switch strings.ToLower(s) {
	case "", "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return false
	}
	return strings.IndexByte(first, s[0]) >= 0 && strings.Trim(s, more) == "" && strings.TrimSpace(s) == s || strings.HasPrefix(s, "https://") &&
		strings.Trim(s[8:], first+"0123456789._-/~") == ""
}

// span writes a duration as rules have it: 90s, 10m, 1h.
func span(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
