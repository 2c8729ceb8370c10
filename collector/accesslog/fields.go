package accesslog

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/warder/warder/internal/event"
)

// cutQuoted reads a quoted field at the start of s, which begins behind the opening quote. A backslash escapes the next byte.
// Without a closing quote the field goes to the end of the line: a client can make a server cut a line short.
func cutQuoted(s string) (field, rest string) {
	i := strings.IndexByte(s, '"')
	if i < 0 {
		return unescape(s), ""
	}
	if strings.IndexByte(s[:i], '\\') < 0 { // the usual case
		return s[:i], s[i+1:]
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return unescape(s[:i]), s[i+1:]
		}
	}
	return unescape(s), ""
}

// unescape undoes the escapes that Apache (\xHH, \", \\, \n, …) and NGINX (\xHH) write. What is no escape stays.
func unescape(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	b = append(b, s[:i]...)
	for ; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, c)
		case 'n':
			b = append(b, '\n')
		case 't':
			b = append(b, '\t')
		case 'r':
			b = append(b, '\r')
		case 'b':
			b = append(b, '\b')
		case 'v':
			b = append(b, '\v')
		case 'f':
			b = append(b, '\f')
		case 'x':
			if v, ok := hexByte(s[i+1:]); ok {
				b = append(b, v)
				i += 2
				continue
			}
			b = append(b, '\\', c)
		default:
			b = append(b, '\\', c)
		}
	}
	return string(b)
}

func hexByte(s string) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	hi, ok1 := hexDigit(s[0])
	lo, ok2 := hexDigit(s[1])
	return hi<<4 | lo, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// cutField cuts the next word.
func cutField(s string) (word, rest string) {
	i := strings.IndexByte(s, ' ')
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

// dash makes "-" the empty text.
func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// number reads a decimal number; what is none ("-") is 0.
func number(s string) int64 {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// statusCode reads a status; what is none is 0.
func statusCode(s string) int {
	if v := number(s); v >= 0 && v <= 999 {
		return int(v)
	}
	return 0
}

// seconds reads a duration in units of unit, with a fraction or without.
func seconds(s string, unit time.Duration) time.Duration {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v > 0) {
		return 0
	}
	const limit = float64(30 * 24 * time.Hour)
	return time.Duration(min(v*float64(unit), limit))
}

// requestLine fills the request from "METHOD target HTTP/x". A line that is none (bytes of a TLS handshake, "-", a missing
// protocol) leaves empty what cannot be known; a garbled one is kept whole as the path, so that rules can look at it. Servers
// take any number of spaces between the parts and behind them (NGINX does; RFC 9112, section 3, allows it): so does this, or
// "GET  /login HTTP/1.1 " would be answered as /login and be seen as something else.
func requestLine(line string, r *event.RequestInfo) {
	line = strings.TrimRight(line, " ")
	if line == "" || line == "-" {
		return
	}
	i := strings.IndexByte(line, ' ')
	if i <= 0 || !isToken(line[:i]) {
		r.Path = line
		return
	}
	r.Method = line[:i]
	t := strings.TrimLeft(line[i+1:], " ")
	if j := strings.LastIndexByte(t, ' '); j >= 0 && isProtocol(t[j+1:]) {
		r.Protocol = t[j+1:]
		t = strings.TrimRight(t[:j], " ")
	} else if j < 0 && isProtocol(t) {
		r.Protocol, t = t, ""
	}
	requestTarget(t, r)
}

// requestTarget reads a path with query, or an absolute URL, which a proxy gets. The host of the latter is used unless there
// is one already.
func requestTarget(t string, r *event.RequestInfo) {
	if len(t) > 0 && t[0] != '/' {
		if i := strings.Index(t, "://"); i > 0 && i <= 8 && isToken(t[:i]) {
			r.Scheme = strings.ToLower(t[:i])
			t = t[i+3:]
			end := strings.IndexAny(t, "/?#")
			if end < 0 {
				end = len(t)
			}
			if r.Host == "" {
				host := t[:end]
				r.Host = host[strings.LastIndexByte(host, '@')+1:]
			}
			if t = t[end:]; t == "" || t[0] != '/' {
				t = "/" + t
			}
		} else if r.Method == "CONNECT" && r.Host == "" {
			r.Host = t
		}
	}
	// A fragment does not belong into a request, but a client can send one: Apache and NGINX drop it and answer what stands in
	// front. It must not hide the path, so it goes to the query.
	if i := strings.IndexAny(t, "?#"); i >= 0 {
		t, r.Query = t[:i], strings.TrimPrefix(t[i:], "?")
	}
	r.Path = t
}

func isProtocol(s string) bool { return strings.HasPrefix(s, "HTTP/") && len(s) <= 10 }

// isToken tells whether s can be a method: RFC 9110's token, at most 32 bytes.
func isToken(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			continue
		}
		if strings.IndexByte("!#$%&'*+.^`|~", c) < 0 {
			return false
		}
	}
	return true
}

// address reads an IP address as logs write it: plain, in brackets, with a port.
func address(s string) (netip.Addr, uint16, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone(""), 0, true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), ap.Port(), true
	}
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		if a, err := netip.ParseAddr(s[1 : len(s)-1]); err == nil {
			return a.Unmap().WithZone(""), 0, true
		}
	}
	return netip.Addr{}, 0, false
}

const maxHops = 32

// forwarded settles source.address from a peer (which may be unknown) and an X-Forwarded-For list.
//
// A list is only as good as who wrote it: each proxy appends the address that it saw, everything left of that was sent by its
// client. So it is read from the right, and only past addresses that are trusted proxies. A peer that is not trusted is the
// client itself. When the peer is unknown, the log's own gateway wrote the last entry.
func (p *Parser) forwarded(src *event.Source, peer netip.Addr, list string) {
	cur := peer
	if peer.IsValid() && !p.trusts(peer) {
		src.Address = peer
		return
	}
	rest := list
	for range maxHops {
		if strings.TrimSpace(rest) == "" {
			break
		}
		entry := rest
		if i := strings.LastIndexByte(rest, ','); i >= 0 {
			rest, entry = rest[:i], rest[i+1:]
		} else {
			rest = ""
		}
		a, _, ok := address(strings.TrimSpace(entry))
		if !ok {
			break
		}
		cur = a
		if !p.trusts(a) {
			break
		}
	}
	src.Address = cur
	if peer.IsValid() && cur != peer {
		src.Peer = peer
	}
}

func (p *Parser) trusts(a netip.Addr) bool {
	for _, t := range p.trusted {
		if t.Contains(a) {
			return true
		}
	}
	return false
}

// clf reads "02/Jan/2006:15:04:05 -0700" and caches it.
func (c *clock) clf(s string) (time.Time, bool) {
	if s == c.text && s != "" {
		return c.time, true
	}
	t, ok := parseCLFTime(s)
	if ok {
		c.text, c.time = s, t
	}
	return t, ok
}

// parseCLFTime also takes a fraction of the second and a missing zone (UTC), as HAProxy writes it.
func parseCLFTime(s string) (time.Time, bool) {
	if len(s) < 20 || len(s) > 40 || s[2] != '/' || s[6] != '/' {
		return time.Time{}, false
	}
	for _, layout := range []string{"02/Jan/2006:15:04:05 -0700", "02/Jan/2006:15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// looksLikeCLFTime is the test for what stands behind "[".
func looksLikeCLFTime(s string) bool {
	return len(s) > 20 && s[2] == '/' && s[6] == '/' && s[11] == ':'
}

// rfc3339 reads a time with a zone; the last one is cached.
func (c *clock) rfc3339(s string) (time.Time, bool) {
	if s == c.text && s != "" {
		return c.time, true
	}
	if len(s) < 20 || len(s) > 40 {
		return time.Time{}, false
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999-0700", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			t = t.UTC()
			c.text, c.time = s, t
			return t, true
		}
	}
	return time.Time{}, false
}
