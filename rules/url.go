package rules

import (
	"net/netip"
	"strconv"
	"strings"
)

// Bounds of what url and queryParam look at, in bytes.
const (
	maxURL   = 16 << 10
	maxQuery = 16 << 10
)

// urlParts is what url() returns. A part that is not there is empty, or 0.
type urlParts struct {
	Scheme   string `cel:"scheme"` // in lower case
	User     string `cel:"user"`   // what stands before "@", as sent
	Host     string `cel:"host"`   // in lower case, without the brackets of an IPv6 address
	Port     int64  `cel:"port"`   // as written; the scheme's own is not filled in
	Path     string `cel:"path"`   // as sent
	Query    string `cel:"query"`  // as sent, without "?"
	Fragment string `cel:"fragment"`
}

// parseURL takes an address apart as RFC 3986, appendix B does, which accepts any text. What is wrong in a part leaves that part
// empty: it is never an error.
func parseURL(s string) urlParts {
	s = strings.TrimSpace(s[:min(len(s), maxURL)])
	var u urlParts
	s, u.Fragment, _ = strings.Cut(s, "#")
	s, u.Query, _ = strings.Cut(s, "?")
	if i := strings.IndexByte(s, ':'); i > 0 && isScheme(s[:i]) {
		u.Scheme, s = lowerASCII(s[:i]), s[i+1:]
	}
	if rest, ok := strings.CutPrefix(s, "//"); ok {
		end := strings.IndexByte(rest, '/')
		if end < 0 {
			end = len(rest)
		}
		u.authority(rest[:end])
		s = rest[end:]
	}
	u.Path = s
	return u
}

func isScheme(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (i == 0 || !isDigit(s[i]) && strings.IndexByte("+-.", s[i]) < 0) {
			return false
		}
	}
	return true
}

// authority reads user@host:port.
func (u *urlParts) authority(s string) {
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		u.User, s = s[:at], s[at+1:]
	}
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return
		}
		host, port = s[1:end], strings.TrimPrefix(s[end+1:], ":")
		if _, err := netip.ParseAddr(host); err != nil {
			host = ""
		}
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i+1:]
	}
	u.Host = lowerASCII(host)
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		u.Port = int64(n)
	}
}

// QueryParam returns the first parameter of the name in a query (with or without its "?"), with URL encoding and "+" undone once;
// empty when there is none. Names are compared after decoding, case counts. It looks at the first 16 KiB.
//
//	QueryParam("a=1&next=%2Fhome", "next") == "/home"
func QueryParam(query, name string) string {
	query = strings.TrimPrefix(query[:min(len(query), maxQuery)], "?")
	for part := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(part, "=")
		if k == name || strings.ContainsAny(k, "%+") && unescape(k) == name {
			return unescape(v)
		}
	}
	return ""
}

// unescape undoes URL encoding once; what is not well-formed stays. The result is UTF-8.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			c = ' '
		} else if c == '%' && i+2 < len(s) {
			if v, ok := hexes(s[i+1 : i+3]); ok {
				c = byte(v)
				i += 2
			}
		}
		b = append(b, c)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
