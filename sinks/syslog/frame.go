package syslog

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/warder/warder/internal/alert"
)

// message is one RFC 5424 message.
type message struct {
	priority int
	time     time.Time
	hostname string // printable ASCII, "" for nil
	id       string // MSGID: printable ASCII
	dataName string
	data     []param
	text     string // one line of UTF-8
}

// param is a parameter of the structured data.
type param struct{ name, value string }

// The severities of RFC 5424 that are used.
const (
	severityCritical = 2
	severityError    = 3
	severityWarning  = 4
	severityNotice   = 5
	severityInfo     = 6
)

func alertPriority(s alert.Severity) int {
	switch s {
	case alert.Critical:
		return severityCritical
	case alert.High:
		return severityError
	case alert.Medium:
		return severityWarning
	case alert.Low:
		return severityNotice
	}
	return severityInfo
}

// append appends the message: <PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG. No byte order mark stands
// before MSG: many receivers take it for content.
func (m message) append(b []byte) []byte {
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(m.priority), 10)
	b = append(b, ">1 "...)
	if t := m.time.UTC(); t.Year() >= 1 && t.Year() <= 9999 && !t.IsZero() {
		b = t.AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	} else {
		b = append(b, '-')
	}
	b = append(b, ' ')
	if m.hostname == "" {
		b = append(b, '-')
	}
	b = append(b, m.hostname...)
	b = append(b, " warder - "...)
	b = append(b, m.id...)
	b = append(b, " ["...)
	b = append(b, m.dataName...)
	for _, p := range m.data {
		b = append(b, ' ')
		b = append(b, p.name...)
		b = append(b, `="`...)
		b = append(b, escapeParam(p.value)...)
		b = append(b, '"')
	}
	b = append(b, "] "...)
	return append(b, m.text...)
}

// escapeParam escapes a parameter's value: RFC 5424, section 6.3.3.
func escapeParam(s string) string { return escape(s, `\"]`) }

// escape puts a backslash before each of the special bytes, which are ASCII, and writes line breaks as \n and \r.
func escape(s, special string) string {
	n := 0
	for i := range len(s) {
		if s[i] == '\n' || s[i] == '\r' || strings.IndexByte(special, s[i]) >= 0 {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+n)
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case strings.IndexByte(special, c) >= 0:
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// clip cuts s to limit bytes at a rune border.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// clean makes a text fit for a message: one line of UTF-8 without control characters, at most limit bytes.
func clean(s string, limit int) string {
	return clip(strings.Map(line, strings.ToValidUTF8(s, "\uFFFD")), limit)
}

func line(r rune) rune {
	if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' {
		return ' '
	}
	return r
}
