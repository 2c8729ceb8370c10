package rules

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/warder/warder/internal/event"
)

// maxHeaderValues bounds request.header_values, in bytes: as much as decode() looks at.
const maxHeaderValues = 16 << 10

// headerValues joins the values of the kept request headers in the order of their names, parted by U+001F, which no header can carry
// and which is no white space for patterns. Left out are headers that rules see in a field of their own, and values in which there is
// nothing to look for: what the redaction put there, and the plain values of the headers that every request has. So most requests
// have none, and cost nothing. What is above the bound is cut.
func headerValues(e *event.Event) string {
	var buf [event.MaxHeaders]string
	names, size := buf[:0], 0
	for name, v := range e.Request.Headers {
		if worthReading(name, v) {
			names = append(names, name)
			size += len(v) + 1
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return cutText(e.Request.Headers[names[0]], maxHeaderValues)
	}
	slices.Sort(names)
	var b strings.Builder
	b.Grow(min(size, maxHeaderValues))
	for i, name := range names {
		if i > 0 {
			b.WriteByte('\x1f')
		}
		v := e.Request.Headers[name]
		if room := maxHeaderValues - b.Len() - 1; len(v) > room {
			b.WriteString(cutText(v, room))
			break
		}
		b.WriteString(v)
	}
	return b.String()
}

func worthReading(name, value string) bool {
	switch name {
	case "user-agent", "referer", "host": // request.useragent, request.referer, request.host
		return false
	case "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection", "content-encoding",
		"content-length", "content-type", "dnt", "forwarded", "if-none-match", "keep-alive", "origin", "pragma", "priority", "range",
		"te", "traceparent", "tracestate", "transfer-encoding", "upgrade", "upgrade-insecure-requests", "via", "x-forwarded-for",
		"x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-request-id", "x-requested-with":
		return !plainHeader(value)
	}
	if strings.HasPrefix(name, "sec-") {
		return !plainHeader(value)
	}
	return value != "" && value != "<redacted>" && value != "Bearer <redacted>" && value != "Basic <redacted>"
}

// plainHeader tells that a value is no more than words, numbers and addresses in a list: text/html;q=0.9, */*, gzip, br, 2001:db8::1,
// https://shop.example. A space stands only behind a comma or semicolon, and there is no path: no slash at a word's beginning, no "..".
func plainHeader(v string) bool {
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '*', c == '+', c == '=', c == ':', c == '_', c == ',', c == ';', c == '-', c == '"', c == '?':
		case c == ' ':
			if i == 0 || v[i-1] != ',' && v[i-1] != ';' {
				return false
			}
		case c == '.':
			if i > 0 && v[i-1] == '.' {
				return false
			}
		case c == '/':
			if i == 0 || strings.IndexByte(" ,;=/\"", v[i-1]) >= 0 && !strings.HasSuffix(v[:i], ":/") {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// cutText cuts s to at most limit bytes, at the beginning of a rune.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	limit = max(limit, 0)
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
