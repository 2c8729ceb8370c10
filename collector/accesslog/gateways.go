package accesslog

import (
	"net/url"
	"strings"
	"time"

	"github.com/warder/warder/internal/event"
)

// parseEnvoy reads Envoy's default text format, also Istio's and Envoy Gateway's variants of it:
//
//	[start] "METHOD path protocol" code flags … received sent duration upstream_time "xff" "agent" "request id" "authority" "upstream" …
func (p *Parser) parseEnvoy(line string, e *event.Event) error {
	i := strings.Index(line, `] "`)
	if i < 20 || i > 40 || line[0] != '[' {
		return refuse(BadFormat, `no [start time] followed by a quoted request at the start of the line`)
	}
	var ok bool
	if e.Time, ok = p.clock.rfc3339(line[1:i]); !ok {
		return refuse(BadTime, "time %.40q cannot be read", line[1:i])
	}
	request, rest := cutQuoted(line[i+3:])
	if request != "- - -" { // a connection without a request
		requestLine(request, &e.Request)
	}
	code, rest := cutField(strings.TrimPrefix(rest, " "))
	if !isNumber(code) {
		return refuse(BadFormat, "want a status behind the request, got %.20q", code)
	}
	e.Response.Code = statusCode(code)
	_, rest = cutField(rest) // response flags
	rest = skipToNumber(rest)
	var nums [3]string
	for i := range nums {
		if nums[i], rest = cutField(rest); !isNumber(nums[i]) {
			return refuse(BadFormat, "want bytes received, bytes sent and duration behind the flags, got %.20q", nums[i])
		}
	}
	e.Request.Size, e.Response.Size = number(nums[0]), number(nums[1])
	e.Request.Duration = seconds(nums[2], time.Millisecond)
	_, rest = cutField(rest) // the upstream's time
	var q [5]string
	for i := range q {
		q[i], rest, _ = nextQuoted(rest)
	}
	p.forwarded(&e.Source, e.Source.Address, dash(q[0]))
	e.Request.UserAgent, e.Request.ID, e.Request.Host = dash(q[1]), dash(q[2]), dash(q[3])
	return nil
}

// skipToNumber skips the words and quoted fields that variants of Envoy's format put in front of the byte counts.
func skipToNumber(s string) string {
	for range 8 {
		if s == "" || s[0] >= '0' && s[0] <= '9' {
			return s
		}
		if s[0] == '"' {
			_, s = cutQuoted(s[1:])
			s = strings.TrimPrefix(s, " ")
			continue
		}
		_, s = cutField(s)
	}
	return s
}

// parseNPM reads the formats "proxy" and "standard" of NGINX Proxy Manager:
//
//	[time] [cache upstream_status] status - METHOD scheme host "uri" [Client a] [Length n] [Gzip r] [[Sent-to s]] "agent" "referer"
func (p *Parser) parseNPM(line string, e *event.Event) error {
	if isErrorLog(line) {
		return refuse(NotAccess, "line is of an error log, not of an access log")
	}
	end := strings.IndexByte(line, ']')
	if line[0] != '[' || end < 0 || !looksLikeCLFTime(line[1:]) {
		return refuse(BadFormat, "no [day/month/year:hour:minute:second zone] at the start of the line")
	}
	var ok bool
	if e.Time, ok = p.clock.clf(line[1:end]); !ok {
		return refuse(BadTime, "time %.40q cannot be read", line[1:end])
	}
	head, rest, ok := strings.Cut(line[end+1:], ` "`)
	w := strings.Fields(head)
	if n := len(w); !ok || n < 5 || n > 7 || w[n-4] != "-" || !isNumber(w[n-5]) {
		return refuse(BadFormat, `want "status - METHOD scheme host" in front of the quoted path`)
	}
	w = w[len(w)-5:]
	e.Response.Code = statusCode(w[0])
	e.Request.Method, e.Request.Scheme, e.Request.Host = dash(w[2]), dash(w[3]), dash(w[4])
	uri, rest := cutQuoted(rest)
	requestTarget(uri, &e.Request)
	for {
		t := strings.TrimPrefix(rest, " ")
		end := strings.IndexByte(t, ']')
		if t == "" || t[0] != '[' || end < 0 {
			break
		}
		name, value, _ := strings.Cut(t[1:end], " ")
		switch name {
		case "Client":
			e.Source.Address, _, _ = address(value)
		case "Length":
			e.Response.Size = number(value)
		case "Sent-to":
			e.API.Name = value
		}
		rest = t[end+1:]
	}
	agent, rest, _ := nextQuoted(rest)
	referer, _, _ := nextQuoted(rest)
	e.Request.UserAgent, e.Request.Referer = dash(agent), dash(referer)
	return nil
}

// parseALB reads the access log of AWS's application load balancer: words and quoted fields in a fixed order, described in
// "Access logs for your Application Load Balancer". The time in it is when the response was made; the event's is when the
// request came.
func (p *Parser) parseALB(line string, e *event.Event) error {
	kind, rest := cutField(line)
	switch kind {
	case "http", "https", "h2", "grpcs", "ws", "wss":
	default:
		return refuse(BadFormat, "want a connection type (http, https, h2, …) at the start of the line, got %.20q", kind)
	}
	var w [11]string
	for i := range w {
		w[i], rest = cutField(rest)
	}
	t, ok := p.clock.rfc3339(w[0])
	if !ok {
		return refuse(BadTime, "time %.40q cannot be read", w[0])
	}
	if !isNumber(w[7]) || !isNumber(w[9]) || !isNumber(w[10]) {
		return refuse(BadFormat, "want a status and byte counts, got %.20q", w[7])
	}
	e.Source.Address, e.Source.Port, _ = address(w[2])
	e.Request.Duration = seconds(w[4], time.Second) + seconds(w[5], time.Second) + seconds(w[6], time.Second)
	e.Time = t.Add(-e.Request.Duration)
	e.Response.Code = statusCode(w[7])
	e.Request.Size, e.Response.Size = number(w[9]), number(w[10])
	request, rest, ok := nextQuoted(rest)
	if !ok {
		return refuse(BadFormat, "the quoted request is missing")
	}
	if !strings.HasPrefix(request, "- ") { // else it could not be parsed
		requestLine(request, &e.Request)
	}
	agent, rest, _ := nextQuoted(rest)
	e.Request.UserAgent = dash(agent)
	_, rest = cutField(strings.TrimPrefix(rest, " ")) // cipher
	version, rest := cutField(rest)
	e.TLS.Version = strings.TrimPrefix(dash(version), "TLSv")
	_, rest = cutField(rest) // target group
	trace, rest, _ := nextQuoted(rest)
	sni, _, _ := nextQuoted(rest)
	e.Request.ID, e.TLS.SNI = dash(trace), dash(sni)
	return nil
}

// parseHAProxy reads HAProxy's HTTP log ("option httplog"):
//
//	client:port [time] frontend backend/server TR/Tw/Tc/Tr/Ta status bytes cc cs state conns queues [{request}] [{response}] "request"
//
// Its time has no zone; it is taken as UTC.
func (p *Parser) parseHAProxy(line string, e *event.Event) error {
	client, rest := cutField(line)
	var ok bool
	if e.Source.Address, e.Source.Port, ok = address(client); !ok || e.Source.Port == 0 {
		return refuse(BadFormat, "want client:port at the start of the line, got %.40q", client)
	}
	end := strings.IndexByte(rest, ']')
	if rest == "" || rest[0] != '[' || end < 0 {
		return refuse(BadFormat, "want [time] behind the client")
	}
	if e.Time, ok = p.clock.clf(rest[1:end]); !ok {
		return refuse(BadTime, "time %.40q cannot be read", rest[1:end])
	}
	rest = strings.TrimPrefix(rest[end+1:], " ")
	var w [10]string
	for i := range w {
		w[i], rest = cutField(rest)
		if i < 2 && strings.HasSuffix(w[i], ":") {
			return refuse(NotAccess, "connection without a request: %.60q", rest)
		}
	}
	timers := strings.Split(w[2], "/")
	if len(timers) < 5 || !isNumber(strings.TrimPrefix(w[3], "-")) {
		return refuse(BadFormat, "want five timers and a status, got %.20q and %.20q", w[2], w[3])
	}
	e.API.Name, _, _ = strings.Cut(w[1], "/")
	e.Request.Duration = seconds(strings.TrimPrefix(timers[len(timers)-1], "+"), time.Millisecond)
	e.Response.Code = statusCode(w[3])
	e.Response.Size = number(strings.TrimPrefix(w[4], "+"))
	for strings.HasPrefix(rest, "{") { // captured headers
		i := strings.Index(rest, "} ")
		if i < 0 {
			break
		}
		rest = rest[i+2:]
	}
	request, _, ok := nextQuoted(rest)
	if !ok {
		return refuse(BadFormat, "the quoted request is missing")
	}
	if request != "<BADREQ>" {
		requestLine(request, &e.Request)
	}
	return nil
}

// queryOf splits a URI that a JSON log holds in one piece.
func queryOf(uri string, r *event.RequestInfo) {
	if u, err := url.Parse(uri); err == nil && u.Host != "" && u.Scheme != "" || strings.HasPrefix(uri, "/") || uri == "*" {
		requestTarget(uri, r)
		return
	}
	r.Path = uri
}
