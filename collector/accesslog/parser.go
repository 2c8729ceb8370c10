// Package accesslog reads the access logs of gateways and web servers: one parser for each format, and a tap that follows a
// file, or standard input, and emits an event for each line.
//
// What stands in a log was chosen by whoever sent the requests. Parsers never panic, do bounded work, and take a garbled
// request for what it is: an event with what can be known. Only a line that is no access record at all is refused, with a
// reason.
package accesslog

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/warder/warder/internal/event"
)

// MaxLine is the longest line that is read, in bytes without the line end.
const MaxLine = 64 << 10

// Reason classes why a line was refused; it is the label of a metric.
type Reason string

// The reasons.
const (
	Empty     Reason = "empty"
	TooLong   Reason = "too_long"
	NotAccess Reason = "not_access" // an error log's line, a debug message, a failed TLS handshake
	BadFormat Reason = "format"
	BadTime   Reason = "time"
)

// Refusal tells why a line is no access record in the parser's format.
type Refusal struct {
	Reason Reason
	Msg    string
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Msg }

func refuse(r Reason, format string, args ...any) error {
	return &Refusal{r, fmt.Sprintf(format, args...)}
}

// Option changes how a parser works.
type Option func(*Parser)

// WithTrustedProxies names the proxies whose X-Forwarded-For is believed, in formats that have one: the client is the last
// address of the list, counted from the right, that is not a trusted proxy. Without them the client is the nearest address.
func WithTrustedProxies(prefixes ...netip.Prefix) Option {
	return func(p *Parser) { p.trusted = slices.Clone(prefixes) }
}

// WithKeys adds to or replaces the meaning of keys of JSON formats: JSON path ("request.headers.User-Agent.0") → field. See
// [Fields]. The field "" makes a key be ignored.
func WithKeys(keys map[string]string) Option {
	return func(p *Parser) { p.extraKeys = keys }
}

// Parser reads lines of one format. It keeps caches, so it belongs to one goroutine at a time; make one for each.
type Parser struct {
	format    string
	parse     func(p *Parser, line string, e *event.Event) error
	trusted   []netip.Prefix
	extraKeys map[string]string
	keys      map[string]field
	clock     clock
	subs      []*Parser // of "auto"
	last      int       // index into subs of the one that read the last line
	strict    bool      // refuse lines that a less specific format describes better; for Detect
	path      []byte    // scratch of the JSON scanner
}

// formats lists what NewParser knows, the most specific first: Detect prefers an earlier one.
func formats() []struct {
	name  string
	parse func(p *Parser, line string, e *event.Event) error
} {
	return []struct {
		name  string
		parse func(p *Parser, line string, e *event.Event) error
	}{
		{"traefik_json", (*Parser).parseJSON},
		{"caddy", (*Parser).parseJSON},
		{"envoy_json", (*Parser).parseJSON},
		{"json", (*Parser).parseJSON},
		{"envoy", (*Parser).parseEnvoy},
		{"nginx_proxy_manager", (*Parser).parseNPM},
		{"aws_alb", (*Parser).parseALB},
		{"haproxy", (*Parser).parseHAProxy},
		{"traefik_clf", (*Parser).parseTraefikCLF},
		{"combined", (*Parser).parseCombined},
		{"common", (*Parser).parseCLF},
		{Auto, (*Parser).parseAuto},
	}
}

// Auto is the format that looks at each line by itself: for files of mixed formats.
const Auto = "auto"

// Formats lists the names that NewParser takes.
func Formats() []string {
	var out []string
	for _, f := range formats() {
		out = append(out, f.name)
	}
	return out
}

// NewParser returns a parser of the format; see [Formats].
func NewParser(format string, opts ...Option) (*Parser, error) {
	for _, f := range formats() {
		if f.name == format {
			return newParser(f.name, f.parse, opts)
		}
	}
	return nil, fmt.Errorf("unknown access-log format %.40q: want one of %s", format, strings.Join(Formats(), ", "))
}

func newParser(name string, parse func(*Parser, string, *event.Event) error, opts []Option) (*Parser, error) {
	p := &Parser{format: name, parse: parse}
	for _, o := range opts {
		o(p)
	}
	var err error
	if p.keys, err = jsonKeys(name, p.extraKeys); err != nil {
		return nil, err
	}
	if name != Auto {
		return p, nil
	}
	for _, f := range formats() {
		if f.name == Auto {
			continue
		}
		sub, err := newParser(f.name, f.parse, opts)
		if err != nil {
			return nil, err
		}
		p.subs = append(p.subs, sub)
	}
	return p, nil
}

// Format returns the name of the parser's format.
func (p *Parser) Format() string { return p.format }

// Parse reads one line, with or without its line end, into a zeroed event; it does not keep the line. A syslog header (RFC 3164
// or 5424) or a container runtime's prefix in front of the record is skipped. The error is a *[Refusal]; e is then undefined.
//
// auth.outcome is "failure" for the status codes 401 and 407 and "success" when the log names a user and the code is another
// one. 403 is no failure: it is as often an answer to someone who is known, or to a path that nobody may have.
func (p *Parser) Parse(line []byte, e *event.Event) error {
	if len(line) > MaxLine {
		return refuse(TooLong, "line has %d bytes, limit is %d", len(line), MaxLine)
	}
	s := stripPrefix(strings.TrimRight(string(line), "\r\n"))
	if strings.TrimSpace(s) == "" {
		return refuse(Empty, "line is empty")
	}
	if err := p.parse(p, s, e); err != nil {
		return err
	}
	if y := e.Time.Year(); y < 1970 || y > 2261 { // what an event can say; see event.Bound
		return refuse(BadTime, "time is in the year %d, which is nobody's clock: want 1970 to 2261", y)
	}
	finish(e)
	return nil
}

// finish fills what follows from the rest.
func finish(e *event.Event) {
	if e.Principal.ID != "" && e.Principal.Type == "" {
		e.Principal.Type = "basic"
	}
	switch {
	case e.Refused(): // Warder's answer says nothing about the credentials
	case e.Response.Code == 401 || e.Response.Code == 407:
		e.Auth.Outcome = "failure"
	case e.Principal.ID != "":
		e.Auth.Outcome = "success"
	}
	e.Request.Size = max(e.Request.Size, 0)
	e.Request.Duration = max(e.Request.Duration, 0)
	e.Response.Size = max(e.Response.Size, 0)
}

// parseAuto gives the line to the parser that read the one before, then to the others. JSON formats are told apart by their keys.
func (p *Parser) parseAuto(line string, e *event.Event) error {
	if last := p.subs[p.last]; line[0] != '{' && last.parse(last, line, e) == nil {
		return nil
	}
	refusal := refuse(BadFormat, "line is in no known access-log format")
	for i, sub := range p.subs {
		if !sub.plausible(line) {
			continue
		}
		*e = event.Event{}
		err := sub.parse(sub, line, e)
		if err == nil {
			p.last = i
			return nil
		}
		if r := new(Refusal); errors.As(err, &r) && (r.Reason == NotAccess || r.Reason == BadTime) && line[0] != '{' {
			refusal = err
		} else if line[0] == '{' {
			refusal = err // the last one is the general JSON format's
		}
	}
	return refusal
}

// plausible is a cheap test of the line's first bytes.
func (p *Parser) plausible(line string) bool {
	switch p.format {
	case "traefik_json", "caddy", "envoy_json":
		return line[0] == '{' && p.sure(line)
	case "json":
		return line[0] == '{'
	case "envoy":
		return line[0] == '[' && len(line) > 5 && line[5] == '-'
	case "nginx_proxy_manager":
		return line[0] == '['
	}
	return line[0] != '{'
}

// sure tells JSON formats apart by a key that only they have.
func (p *Parser) sure(line string) bool {
	switch p.format {
	case "traefik_json":
		return strings.Contains(line, `"ClientHost"`) || strings.Contains(line, `"RequestMethod"`)
	case "caddy":
		return strings.Contains(line, `"request":{`) || strings.Contains(line, `"request": {`)
	case "envoy_json":
		return strings.Contains(line, `"response_flags"`) || strings.Contains(line, `"upstream_cluster"`)
	}
	return false
}

// Detect names the format that reads most lines of the sample; [Auto] when no single one reads all that it reads. It returns
// an error when no line can be read.
func Detect(sample [][]byte) (string, error) {
	best, bestCount := "", 0
	for _, f := range formats() {
		p, err := newParser(f.name, f.parse, nil)
		if err != nil {
			return "", err
		}
		p.strict = true
		n := 0
		for _, line := range sample {
			var e event.Event
			if len(line) > 0 && line[0] == '{' && f.name != Auto && f.name != "json" && !p.sure(string(line)) {
				continue
			}
			if p.Parse(line, &e) == nil {
				n++
			}
		}
		if n > bestCount {
			best, bestCount = f.name, n
		}
	}
	if best == "" {
		return "", errors.New("no line of the sample is in a known access-log format: name the format")
	}
	return best, nil
}

// clock caches the last second that was parsed: lines of one second follow each other.
type clock struct {
	text string
	time time.Time
}
