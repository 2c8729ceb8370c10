package accesslog

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warder/warder/internal/event"
)

// field is the meaning of a key in a JSON log.
type field uint8

const (
	ignored field = iota
	fTime
	fAddress   // the client
	fPeer      // the other end of the connection
	fForwarded // an X-Forwarded-For list
	fPort
	fMethod
	fURI
	fPath
	fQuery
	fHost
	fProtocol
	fScheme
	fStatus
	fSize
	fRequestSize
	fSeconds
	fMillis
	fNanos
	fAgent
	fReferer
	fUser
	fLine
	fRequestID
	fName
	fContentType
	fTLS
	fSNI
	fModel
	fPromptTokens
	fCompletionTokens
	fDecision // the id of the decision that Warder answered with
	fAction   // what it did
)

func fieldNames() map[string]field {
	return map[string]field{
		"": ignored, "time": fTime, "address": fAddress, "peer": fPeer, "forwarded": fForwarded, "port": fPort, "method": fMethod,
		"uri": fURI, "path": fPath, "query": fQuery, "host": fHost, "protocol": fProtocol, "scheme": fScheme, "status": fStatus,
		"size": fSize, "request_size": fRequestSize, "duration_s": fSeconds, "duration_ms": fMillis, "duration_ns": fNanos,
		"user_agent": fAgent, "referer": fReferer, "user": fUser, "request": fLine, "request_id": fRequestID, "name": fName,
		"content_type": fContentType, "tls_version": fTLS, "sni": fSNI, "llm_model": fModel, "llm_prompt_tokens": fPromptTokens,
		"llm_completion_tokens": fCompletionTokens, "warder_decision": fDecision, "warder_action": fAction,
	}
}

// Fields lists the fields that [WithKeys] takes.
func Fields() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(fieldNames())), func(s string) bool { return s == "" })
}

// jsonKeys returns the keys of a JSON format with the user's on top; nil for other formats.
func jsonKeys(format string, extra map[string]string) (map[string]field, error) {
	var keys map[string]field
	switch format {
	case "traefik_json":
		keys = traefikKeys()
	case "caddy":
		keys = caddyKeys()
	case "envoy_json":
		keys = envoyKeys()
	case "json":
		keys = genericKeys()
	default:
		return nil, nil
	}
	maps.Copy(keys, warderKeys())
	names := fieldNames()
	for k, v := range extra {
		f, ok := names[v]
		if !ok {
			return nil, fmt.Errorf("key %.60q: unknown field %.40q: want one of %s", k, v, strings.Join(Fields(), ", "))
		}
		keys[k] = f
	}
	return keys, nil
}

// warderKeys says under which names logs have what Warder answered through a gateway: the response headers of refusal.HeaderDecision
// and HeaderAction as NGINX (the gateway's own answer, an upstream's, a variable of auth_request_set), Caddy, Traefik and Envoy name
// them, and the plain names that docs/collector.md proposes.
func warderKeys() map[string]field {
	keys := map[string]field{}
	for _, prefix := range []string{"warder_", "x_warder_", "sent_http_x_warder_", "upstream_http_x_warder_"} {
		keys[prefix+"decision"], keys[prefix+"action"] = fDecision, fAction
	}
	for _, prefix := range []string{"x-warder-", "X-Warder-", "downstream_X-Warder-", "origin_X-Warder-"} {
		for word, f := range map[string]field{"Decision": fDecision, "Action": fAction} {
			keys[prefix+word], keys[prefix+strings.ToLower(word)] = f, f
		}
	}
	keys["resp_headers.X-Warder-Decision.0"], keys["resp_headers.X-Warder-Action.0"] = fDecision, fAction
	return keys
}

// traefikKeys follows Traefik's pkg/middlewares/accesslog. ClientHost is X-Forwarded-For where Traefik trusts the peer.
func traefikKeys() map[string]field {
	return map[string]field{
		"StartUTC": fTime, "ClientHost": fForwarded, "ClientAddr": fPeer, "ClientUsername": fUser, "RequestMethod": fMethod,
		"RequestPath": fURI, "RequestHost": fHost, "RequestProtocol": fProtocol, "RequestScheme": fScheme,
		"RequestContentSize": fRequestSize, "DownstreamStatus": fStatus, "DownstreamContentSize": fSize, "Duration": fNanos,
		"ServiceName": fName, "TLSVersion": fTLS, "downstream_Content-Type": fContentType, "request_User-Agent": fAgent,
		"request_Referer": fReferer, "request_X-Request-Id": fRequestID,
	}
}

// caddyKeys follows Caddy's http.log.access. client_ip is after Caddy's own trusted proxies.
func caddyKeys() map[string]field {
	return map[string]field{
		"ts": fTime, "request.client_ip": fAddress, "request.remote_ip": fPeer, "request.remote_port": fPort,
		"request.proto": fProtocol, "request.method": fMethod, "request.host": fHost, "request.uri": fURI,
		"request.headers.User-Agent.0": fAgent, "request.headers.Referer.0": fReferer, "request.headers.X-Request-Id.0": fRequestID,
		"request.tls.server_name": fSNI, "bytes_read": fRequestSize, "user_id": fUser, "duration": fSeconds, "size": fSize,
		"status": fStatus, "resp_headers.Content-Type.0": fContentType,
	}
}

// envoyKeys follows Envoy Gateway's default JSON and Istio's.
func envoyKeys() map[string]field {
	return map[string]field{
		"start_time": fTime, "timestamp": fTime, "downstream_remote_address": fPeer, "x-forwarded-for": fForwarded,
		"x_forwarded_for": fForwarded, "method": fMethod, "x-envoy-origin-path": fURI, "path": fURI, ":path": fURI,
		":authority": fHost, "authority": fHost, "protocol": fProtocol, "response_code": fStatus, "bytes_received": fRequestSize,
		"bytes_sent": fSize, "duration": fMillis, "user-agent": fAgent, "user_agent": fAgent, "x-request-id": fRequestID,
		"request_id": fRequestID, "requested_server_name": fSNI, "route_name": fName, "referer": fReferer,
	}
}

// genericKeys covers NGINX's variables under their own names, as `log_format x escape=json` is mostly written, and common names.
func genericKeys() map[string]field {
	return map[string]field{
		"time_iso8601": fTime, "time_local": fTime, "msec": fTime, "time": fTime, "timestamp": fTime, "@timestamp": fTime, "ts": fTime,
		"date": fTime, "start_time": fTime, "remote_addr": fPeer, "client_ip": fPeer, "clientip": fPeer, "client": fPeer, "ip": fPeer,
		"remote_ip": fPeer, "source_ip": fPeer, "src_ip": fPeer, "remote_port": fPort, "http_x_forwarded_for": fForwarded,
		"x_forwarded_for": fForwarded, "x-forwarded-for": fForwarded, "remote_user": fUser, "user": fUser, "request": fLine,
		"request_method": fMethod, "method": fMethod, "verb": fMethod, "request_uri": fURI, "url": fURI, "uri": fPath, "path": fPath,
		"args": fQuery, "query_string": fQuery, "query": fQuery, "http_host": fHost, "host": fHost, "server_name": fHost,
		"scheme": fScheme, "server_protocol": fProtocol, "protocol": fProtocol, "status": fStatus, "status_code": fStatus,
		"response_code": fStatus, "response": fStatus, "code": fStatus, "body_bytes_sent": fSize, "bytes_sent": fSize, "bytes": fSize,
		"size": fSize, "response_size": fSize, "request_length": fRequestSize, "request_time": fSeconds, "duration_ms": fMillis,
		"latency_ms": fMillis, "http_user_agent": fAgent, "user_agent": fAgent, "useragent": fAgent, "agent": fAgent,
		"http_referer": fReferer, "referer": fReferer, "referrer": fReferer, "request_id": fRequestID, "http_x_request_id": fRequestID,
		"ssl_protocol": fTLS, "ssl_server_name": fSNI, "sent_http_content_type": fContentType,
	}
}

// record collects what has to be seen whole before it can be interpreted.
type record struct {
	e                                 *event.Event
	line, uri, path, query, forwarded string
	peer                              netip.Addr
	timed, request                    bool
}

// parseJSON reads one JSON object.
func (p *Parser) parseJSON(line string, e *event.Event) error {
	if line[0] != '{' {
		return refuse(NotAccess, "line is no JSON object")
	}
	r := record{e: e}
	s := scanner{s: line, path: p.path[:0], visit: func(path []byte, value string, isString bool) { p.set(&r, path, value, isString) }}
	err := s.object(0)
	p.path = s.path[:0]
	switch {
	case err != nil:
		return refuse(BadFormat, "JSON: %s", err)
	case !r.request:
		return refuse(NotAccess, "JSON object has neither method, path nor status of a request")
	case !r.timed:
		return refuse(BadTime, "JSON object has no time that can be read")
	}
	p.resolve(&r)
	enforced(e)
	return nil
}

// enforced drops what is no word of Warder's: an action it does not know, one without its decision, or a refusal that was none. Nobody
// else's header must take requests out of detection. NGINX writes several upstreams' values in one, with commas.
func enforced(e *event.Event) {
	f := &e.Enforced
	f.By, _, _ = strings.Cut(f.By, ",")
	f.Action, _, _ = strings.Cut(f.Action, ",")
	refusal := e.Response.Code == 401 || e.Response.Code == 403 || e.Response.Code == 429
	if f.By == "" || !slices.Contains(event.Actions(), f.Action) || e.Refused() && !refusal {
		*f = event.Enforced{}
	}
}

// resolve puts the parts together: a request line tells more than a URI, a URI more than a path.
func (p *Parser) resolve(r *record) {
	e := r.e
	e.Request.Protocol = strings.TrimRight(e.Request.Protocol, " ") // NGINX's $server_protocol has the spaces that a client sent
	switch {
	case r.line != "":
		method := e.Request.Method
		requestLine(r.line, &e.Request)
		if e.Request.Method == "" {
			e.Request.Method = method
		}
	case r.uri != "":
		queryOf(r.uri, &e.Request)
	default:
		queryOf(r.path, &e.Request)
	}
	if e.Request.Query == "" {
		e.Request.Query = strings.TrimPrefix(r.query, "?")
	}
	switch {
	case e.Source.Address.IsValid(): // settled by the gateway
		if r.peer.IsValid() && r.peer != e.Source.Address {
			e.Source.Peer = r.peer
		}
	case p.format == "traefik_json":
		p.forwarded(&e.Source, netip.Addr{}, r.forwarded)
		if !e.Source.Address.IsValid() {
			e.Source.Address = r.peer
		} else if r.peer != e.Source.Address {
			e.Source.Peer = r.peer
		}
	default:
		p.forwarded(&e.Source, r.peer, r.forwarded)
	}
	if e.Source.Peer.IsValid() {
		e.Source.Port = 0 // it was the peer's
	}
}

// set takes one value of the object.
func (p *Parser) set(r *record, path []byte, v string, isString bool) {
	f, ok := p.keys[string(path)]
	if !ok {
		p.header(r.e, path, v)
		return
	}
	if isString && v == "-" || !isString && v == "null" {
		return
	}
	e := r.e
	if t := f.text(e); t != nil {
		*t = v
		r.request = r.request || f == fMethod && v != ""
		return
	}
	switch f {
	case fTime:
		if t, ok := p.time(v); ok {
			e.Time, r.timed = t, true
		}
	case fAddress:
		e.Source.Address, _, _ = address(v)
	case fPeer:
		a, port, _ := address(v)
		r.peer = a
		if port != 0 {
			e.Source.Port = port
		}
	case fForwarded:
		r.forwarded = v
	case fPort:
		if n, err := strconv.ParseUint(v, 10, 16); err == nil {
			e.Source.Port = uint16(n)
		}
	case fLine:
		r.line, r.request = v, true
	case fURI:
		r.uri, r.request = v, true
	case fPath:
		r.path, r.request = v, true
	case fQuery:
		r.query = v
	case fStatus:
		e.Response.Code, r.request = statusCode(v), true
	case fTLS:
		e.TLS.Version = strings.TrimPrefix(v, "TLSv")
	default:
		f.setNumber(e, v)
	}
}

func (f field) text(e *event.Event) *string {
	switch f {
	case fMethod:
		return &e.Request.Method
	case fHost:
		return &e.Request.Host
	case fProtocol:
		return &e.Request.Protocol
	case fScheme:
		return &e.Request.Scheme
	case fAgent:
		return &e.Request.UserAgent
	case fReferer:
		return &e.Request.Referer
	case fUser:
		return &e.Principal.ID
	case fRequestID:
		return &e.Request.ID
	case fName:
		return &e.API.Name
	case fContentType:
		return &e.Response.ContentType
	case fSNI:
		return &e.TLS.SNI
	case fModel:
		return &e.LLM.Model
	case fDecision:
		return &e.Enforced.By
	case fAction:
		return &e.Enforced.Action
	}
	return nil
}

func (f field) setNumber(e *event.Event, v string) {
	switch f {
	case fSize:
		e.Response.Size = number(v)
	case fRequestSize:
		e.Request.Size = number(v)
	case fSeconds:
		e.Request.Duration = seconds(v, time.Second)
	case fMillis:
		e.Request.Duration = seconds(v, time.Millisecond)
	case fNanos:
		e.Request.Duration = seconds(v, 1)
	case fPromptTokens:
		e.LLM.PromptTokens = number(v)
	case fCompletionTokens:
		e.LLM.CompletionTokens = number(v)
	}
}

// header keeps request headers of the formats that log them.
func (p *Parser) header(e *event.Event, path []byte, v string) {
	var name string
	switch p.format {
	case "traefik_json":
		n, ok := strings.CutPrefix(string(path), "request_")
		if !ok {
			return
		}
		name = n
	case "caddy":
		n, ok := strings.CutPrefix(string(path), "request.headers.")
		n, first := strings.CutSuffix(n, ".0")
		if !ok || !first {
			return
		}
		name = n
	default:
		return
	}
	if len(e.Request.Headers) >= event.MaxHeaders {
		e.Truncated = true
		return
	}
	if e.Request.Headers == nil {
		e.Request.Headers = map[string]string{}
	}
	e.Request.Headers[strings.ToLower(name)] = v
}

// time reads RFC 3339, the common log format's time, and seconds, milli-, micro- or nanoseconds since 1970, told apart by size.
func (p *Parser) time(v string) (time.Time, bool) {
	if len(v) > 4 && v[4] == '-' {
		return p.clock.rfc3339(v)
	}
	if looksLikeCLFTime(v) {
		return p.clock.clf(v)
	}
	whole, frac, _ := strings.Cut(v, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}, false
	}
	switch {
	case n > 1e17:
		return time.Unix(0, n).UTC(), true
	case n > 1e14:
		return time.UnixMicro(n).UTC(), true
	case n > 1e11:
		return time.UnixMilli(n).UTC(), true
	}
	ns, _ := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
	return time.Unix(n, max(ns, 0)).UTC(), true
}
