package syslog

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/sinks/describe"
)

// cefVersion is the device version in the CEF header: the version of this mapping, so that a parser can tell when it changes.
const cefVersion = "1"

// cef builds "CEF:0|vendor|product|version|id|name|severity|extension". The keys and their lengths are those of the ArcSight
// "Implementing CEF" guide, revision 25.
type cef struct {
	b    strings.Builder
	text int // the longest text, in bytes
	some bool
}

func newCEF(text int, id, name string, severity int) *cef {
	c := &cef{text: text}
	c.b.WriteString("CEF:0|Warder|Warder|" + cefVersion + "|")
	c.b.WriteString(cefHeader(clean(id, min(text, 1023))) + "|" + cefHeader(clean(name, min(text, 512))) + "|" + strconv.Itoa(severity) + "|")
	return c
}

// put writes a key whose value has at most limit bytes before escaping; nothing for an empty value.
func (c *cef) put(key, value string, limit int) {
	value = clip(cefText(value), min(limit, c.text))
	if value == "" {
		return
	}
	if c.some {
		c.b.WriteByte(' ')
	}
	c.some = true
	c.b.WriteString(key + "=" + cefExtension(value))
}

func (c *cef) int(key string, v int64) { c.put(key, strconv.FormatInt(v, 10), 20) }

// custom writes a custom string with its label: cs1 and cs1Label.
func (c *cef) custom(key, label, value string, limit int) {
	if value == "" {
		return
	}
	c.put(key, value, limit)
	c.put(key+"Label", label, 1023)
}

// source writes an address: src takes IPv4 only, IPv6 goes to c6a2.
func (c *cef) source(address string) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return
	}
	if a = a.Unmap(); a.Is4() {
		c.put("src", a.String(), 45)
		return
	}
	c.custom("c6a2", "Source IPv6 Address", a.WithZone("").String(), 45)
}

// cefHeader escapes a header field: backslash and pipe.
func cefHeader(s string) string { return escape(s, `\|`) }

// cefExtension escapes an extension's value: backslash, equals sign and line breaks.
func cefExtension(s string) string { return escape(s, `\=`) }

// cefText is clean for extensions, which can carry line breaks.
func cefText(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return r
		}
		return line(r)
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// cefSeverity: 0-3 low, 4-6 medium, 7-8 high, 9-10 very high.
func cefSeverity(s alert.Severity) int {
	switch s {
	case alert.Critical:
		return 10
	case alert.High:
		return 8
	case alert.Medium:
		return 6
	case alert.Low:
		return 3
	}
	return 1
}

func cefAlert(a *alert.Alert, text int) string {
	name := a.Title
	if name == "" {
		name = a.Rule
	}
	c := newCEF(text, a.Rule, name, cefSeverity(a.Severity))
	c.int("rt", a.Time.UnixMilli())
	c.int("start", a.Window.Start.UnixMilli())
	c.int("end", a.Window.End.UnixMilli())
	c.int("cnt", a.EventCount)
	c.put("externalId", a.ID, 40)
	c.put("cat", strings.Join(a.Tags, ","), 1023)
	address, principal := a.Group["source.address"], a.Group["principal.id"]
	if s := a.Sample; s != nil {
		address, principal = first(address, s.Address), first(principal, s.Principal)
		c.put("requestMethod", s.Method, 1023)
		c.put("request", target(s.Path, s.Query), 1023)
		c.put("dhost", s.Host, 1023)
		c.put("requestClientApplication", s.UserAgent, 1023)
	}
	c.source(address)
	c.put("suser", principal, 1023)
	c.put("act", string(a.Mode), 63)
	c.put("msg", describe.Sentence(a), 1023)
	c.custom("cs1", "group", pairs(a.Group), 4000)
	c.custom("cs2", "values", measured(a), 4000)
	c.custom("cs3", "events", strings.Join(a.Events[max(0, len(a.Events)-10):], ","), 4000)
	return c.b.String()
}

func cefEvent(e *event.Event, text int) string {
	severity := 0
	if e.Auth.Outcome == "failure" || e.Refused() {
		severity = 3
	}
	c := newCEF(text, "http-request", "HTTP request", severity)
	c.int("rt", e.Time.UnixMilli())
	c.put("externalId", e.ID.String(), 40)
	if e.Source.Address.IsValid() {
		c.source(e.Source.Address.String())
	}
	if e.Source.Port > 0 {
		c.int("spt", int64(e.Source.Port))
	}
	c.put("suser", e.Principal.ID, 1023)
	c.put("app", e.Request.Protocol, 31)
	c.put("requestMethod", e.Request.Method, 1023)
	c.put("request", target(e.Request.Path, e.Request.Query), 1023)
	c.put("dhost", e.Request.Host, 1023)
	c.put("requestClientApplication", e.Request.UserAgent, 1023)
	c.int("in", e.Request.Size)
	c.int("out", e.Response.Size)
	c.put("outcome", strconv.Itoa(e.Response.Code), 63)
	c.put("act", e.Enforced.Action, 63)
	c.put("reason", e.Auth.Reason, 1023)
	c.int("cn1", e.Request.Duration.Microseconds())
	c.put("cn1Label", "duration in microseconds", 1023)
	c.custom("cs1", "route", e.API.Route, 4000)
	c.custom("cs2", "authentication", e.Auth.Outcome, 4000)
	c.custom("cs3", "decision", e.Enforced.By, 4000)
	c.custom("cs4", "tap", e.Tap, 4000)
	return c.b.String()
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func target(path, query string) string {
	if query != "" {
		return path + "?" + query
	}
	return path
}

// maxPairs bounds what is listed of a map.
const maxPairs = 8

// pairs writes a map as "name=value, name=value" in the order of the names.
func pairs(m map[string]string) string {
	var out []string
	for _, k := range pairList(m) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ", ")
}

// measured writes the aggregates, numbers and texts.
func measured(a *alert.Alert) string {
	text := make(map[string]string, len(a.Values)+len(a.Texts))
	for k, v := range a.Values {
		text[k] = describe.Number(v)
	}
	for k, v := range a.Texts {
		text[k] = v
	}
	return pairs(text)
}
