package accesslog

import (
	"strings"
	"time"

	"github.com/warder/warder/internal/event"
)

// The common and combined formats of Apache and NGINX, and what others made of them:
//
//	[vhost[:port]] host ident user [time] "request" status size ["referer" "user agent" [more]]
//
// Sources: httpd's mod_log_config (common, combined, vhost_combined), nginx's ngx_http_log_module (combined, and the "main"
// format of its packages, which ends in "$http_x_forwarded_for"), Traefik's CLF, which adds
// `requests "router" "server URL" 12ms`.

func (p *Parser) parseCLF(line string, e *event.Event) error {
	_, _, err := p.clf(line, e)
	return err
}

func (p *Parser) parseCombined(line string, e *event.Event) error {
	_, full, err := p.clf(line, e)
	if err == nil && p.strict && !full {
		return refuse(BadFormat, "referer and user agent are missing")
	}
	return err
}

func (p *Parser) parseTraefikCLF(line string, e *event.Event) error {
	rest, _, err := p.clf(line, e)
	if err != nil {
		return err
	}
	_, rest = cutField(strings.TrimPrefix(rest, " ")) // the count of requests
	router, rest, ok1 := nextQuoted(rest)
	_, rest, ok2 := nextQuoted(rest)
	took, ok3 := strings.CutSuffix(strings.TrimSpace(rest), "ms")
	if ok1 && ok2 && ok3 {
		e.API.Name = dash(router)
		e.Request.Duration = seconds(took, time.Millisecond)
	} else if p.strict {
		return refuse(BadFormat, "router, server and duration are missing")
	}
	return nil
}

// clf reads the record and returns what stands behind the user agent; full tells that there was one.
func (p *Parser) clf(line string, e *event.Event) (rest string, full bool, err error) {
	start, end := clfTime(line)
	if start < 0 {
		if isErrorLog(line) {
			return "", false, refuse(NotAccess, "line is of an error log, not of an access log")
		}
		return "", false, refuse(BadFormat, `no [day/month/year:hour:minute:second zone] followed by a quoted request`)
	}
	var ok bool
	if e.Time, ok = p.clock.clf(line[start:end]); !ok {
		return "", false, refuse(BadTime, "time %.40q cannot be read", line[start:end])
	}
	p.clfHead(line[:start-2], e)
	request, rest := cutQuoted(line[end+3:])
	requestLine(request, &e.Request)
	rest = strings.TrimPrefix(rest, " ")
	code, rest := cutField(rest)
	size, rest := cutField(rest)
	if !isNumber(code) || !isNumber(size) {
		return "", false, refuse(BadFormat, "want status and size behind the request, got %.20q and %.20q", code, size)
	}
	e.Response.Code, e.Response.Size = statusCode(code), number(size)
	referer, rest, ok := nextQuoted(rest)
	if !ok {
		return rest, false, nil
	}
	e.Request.Referer = dash(referer)
	agent, rest, ok := nextQuoted(rest)
	e.Request.UserAgent = dash(agent)
	if xff, more, found := nextQuoted(rest); found && e.Source.Address.IsValid() && len(p.trusted) > 0 {
		p.forwarded(&e.Source, e.Source.Address, xff)
		rest = more
	}
	return rest, ok, nil
}

// clfTime finds the time: " [" with a date behind it and `] "` at its end. A user name may hold brackets, but no bare quote.
func clfTime(line string) (start, end int) {
	for at := 0; ; {
		i := strings.Index(line[at:], " [")
		if i < 0 {
			return -1, -1
		}
		start = at + i + 2
		if looksLikeCLFTime(line[start:]) {
			j := strings.IndexByte(line[start:], ']')
			if j > 0 && strings.HasPrefix(line[start+j:], `] "`) {
				return start, start + j
			}
		}
		at = start
	}
}

// clfHead reads "[vhost] host ident user". Servers that look names up log a name in place of the address; it is kept in
// ext["source.host"], the address is unknown then. With X-Forwarded-For in place of the address there may be several.
func (p *Parser) clfHead(head string, e *event.Event) {
	first, rest := cutField(head)
	a, port, ok := address(first)
	switch {
	case ok:
		e.Source.Address, e.Source.Port = a, port
	case strings.HasSuffix(first, ","):
		for strings.HasSuffix(first, ",") && rest != "" {
			var next string
			next, rest = cutField(rest)
			first += next
		}
		p.forwarded(&e.Source, e.Source.Address, first)
	default:
		second, more := cutField(rest)
		if a, port, ok = address(second); ok {
			e.Request.Host = dash(first)
			e.Source.Address, e.Source.Port = a, port
			rest = more
		} else if first != "-" && first != "" {
			e.Ext = map[string]string{"source.host": first}
		}
	}
	if _, user := cutField(rest); user != "" {
		e.Principal.ID = strings.Trim(dash(unescape(user)), `"`)
	}
}

// nextQuoted reads ` "field"`.
func nextQuoted(s string) (field, rest string, ok bool) {
	t := strings.TrimLeft(s, " ")
	if t == "" || t[0] != '"' {
		return "", s, false
	}
	field, rest = cutQuoted(t[1:])
	return field, rest, true
}

func isNumber(s string) bool {
	if s == "-" {
		return true
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// isErrorLog knows the error logs of Apache ("[Thu Oct 13 12:24:49.880562 2022] [") and NGINX ("2021/12/01 13:53:33 [").
func isErrorLog(s string) bool {
	if len(s) > 22 && s[4] == '/' && s[7] == '/' && s[13] == ':' && s[16] == ':' && s[20] == '[' {
		return true
	}
	i := strings.Index(s, "] [")
	return len(s) > 26 && s[0] == '[' && s[4] == ' ' && s[8] == ' ' && s[14] == ':' && i > 20 && i < 40
}
