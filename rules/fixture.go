package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

// Bounds of a fixture.
const (
	maxFixtureEvents = 100_000
	maxFixtureLine   = 64 << 10
)

// fixtureTap is the tap that a fixture's events are numbered by.
const fixtureTap = "fixture"

// fixtureStart is the time of a fixture's first event when it has none of its own.
func fixtureStart() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// ReadFixture reads events in the form that rule tests are written in: one JSON object a line, with the field names of the
// rule language as keys; empty lines and lines that begin with # or // are left out.
//
//	{"time":"2026-01-01T00:00:00Z","request.method":"POST","request.path":"/login","source.address":"203.0.113.9","response.code":401}
//	{"repeat":25,"every":"1s","request.path":"/login","response.code":401,"principal.id":"user-{i}"}
//
// "time" is the event's time. Without it, an event comes "after" the one before (default 1s). With "repeat" there are that many
// events, "every" so often (default 1s), and {i} in any text is the number of the repetition, from 1. Each line stands for
// itself. {"kind":"heartbeat","after":"10m"} is no request: it only says that time has passed. Unknown keys, wrong types, more than 100,000 events and lines above 64 KiB are errors that name the line.
func ReadFixture(r io.Reader) ([]*event.Event, error) {
	f := &fixture{}
	b, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read fixture: %w", err)
	}
	if len(b) > MaxFile {
		return nil, fmt.Errorf("fixture has more than %d bytes", MaxFile)
	}
	n := 0
	for line := range bytes.Lines(b) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' || bytes.HasPrefix(line, []byte("//")) {
			continue
		}
		if err := f.add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return f.events, nil
}

// fixture collects events.
type fixture struct {
	events []*event.Event
	last   time.Time
	seq    uint64 // requests so far
}

// add reads one JSON object, which is one event or a repetition.
func (f *fixture) add(line []byte) error {
	if len(line) > maxFixtureLine {
		return fmt.Errorf("has %d bytes, limit is %d", len(line), maxFixtureLine)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(line, &raw); err != nil {
		return fmt.Errorf("want a JSON object: %w", err)
	}
	repeat, every, after, at, err := timing(raw)
	if err != nil {
		return err
	}
	if len(f.events)+repeat > maxFixtureEvents {
		return fmt.Errorf("more than %d events", maxFixtureEvents)
	}
	if at.IsZero() {
		if at = fixtureStart(); len(f.events) > 0 {
			at = f.last.Add(after)
		}
	}
	kind, err := recordKind(raw)
	if err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(raw))
	for i := range repeat {
		if kind == event.Request {
			f.seq++
		}
		e := &event.Event{Kind: kind, ID: event.NewID(fixtureTap, f.seq), Tap: fixtureTap, Seq: f.seq, Time: at}
		fields := places(e)
		for _, k := range keys {
			if err := setField(fields[k], k, raw[k], i+1); err != nil {
				return fmt.Errorf("%.60q: %w", k, err)
			}
		}
		e.Bound()
		f.events = append(f.events, e)
		f.last, at = at, at.Add(every)
	}
	return nil
}

// recordKind takes the key that tells heartbeats from requests out of the object.
func recordKind(raw map[string]json.RawMessage) (event.Kind, error) {
	v, ok := raw["kind"]
	if !ok {
		return event.Request, nil
	}
	delete(raw, "kind")
	switch text, _ := fixtureText(v, 0); text {
	case "request":
		return event.Request, nil
	case "heartbeat":
		if len(raw) > 0 {
			return 0, errors.New(`a heartbeat has only a time: "time", "after", "repeat" or "every"`)
		}
		return event.Heartbeat, nil
	}
	return 0, fmt.Errorf("%q: want \"request\" or \"heartbeat\"", "kind")
}

// timing takes the keys that place events in time out of the object.
func timing(raw map[string]json.RawMessage) (repeat int, every, after time.Duration, at time.Time, err error) {
	repeat, every, after = 1, time.Second, time.Second
	var errs []error
	take := func(key string, into any) {
		if v, ok := raw[key]; ok {
			delete(raw, key)
			if err := json.Unmarshal(v, into); err != nil {
				errs = append(errs, fmt.Errorf("%q: %w", key, err))
			}
		}
	}
	take("repeat", &repeat)
	take("every", (*span)(&every))
	take("after", (*span)(&after))
	take("time", &at)
	take("event.time", &at)
	if repeat < 1 || repeat > maxFixtureEvents {
		errs = append(errs, fmt.Errorf("%q: want 1 to %d", "repeat", maxFixtureEvents))
	}
	if at.Year() > 2200 || !at.IsZero() && at.Year() < 1970 {
		errs = append(errs, fmt.Errorf("%q: want a year from 1970 to 2200", "time"))
	}
	return repeat, every, after, at.UTC(), errors.Join(errs...)
}

// span is a duration in JSON: "1s".
type span time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (s *span) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return errors.New(`want a duration such as "1s"`)
	}
	d, err := config.ParseDuration(text)
	if err != nil {
		return err
	}
	if d.Std() > MaxRemember || d < 0 {
		return fmt.Errorf("want 0s to %s", MaxRemember)
	}
	*s = span(d)
	return nil
}

// setField sets the field that place points to; {i} in texts is i.
func setField(place any, key string, raw json.RawMessage, i int) error {
	switch p := place.(type) {
	case nil:
		return errors.New(unknownFixtureKey(key))
	case *time.Duration:
		return json.Unmarshal(raw, (*span)(p))
	case *netip.Addr:
		text, err := fixtureText(raw, i)
		if err != nil {
			return err
		}
		if *p, err = netip.ParseAddr(text); err != nil {
			return fmt.Errorf("%.60q is not an address", text)
		}
		return nil
	case *string:
		text, err := fixtureText(raw, i)
		*p = text
		return err
	case *[]string:
		if err := json.Unmarshal(raw, p); err != nil {
			return errors.New("want a list of texts")
		}
		for j := range *p {
			(*p)[j] = counted((*p)[j], i)
		}
		return nil
	case *map[string]string:
		if err := json.Unmarshal(raw, p); err != nil {
			return errors.New("want an object with texts")
		}
		for k, v := range *p {
			(*p)[k] = counted(v, i)
		}
		return nil
	default:
		return setNumber(p, raw)
	}
}

func setNumber(p any, raw json.RawMessage) error {
	var n int64
	if err := json.Unmarshal(raw, &n); err != nil {
		return errors.New("want a whole number")
	}
	limit := int64(math.MaxInt64)
	switch p := p.(type) {
	case *int64:
		*p = n
	case *int:
		*p, limit = int(n), math.MaxInt32
	case *uint16:
		*p, limit = uint16(n), math.MaxUint16
	case *uint32:
		*p, limit = uint32(n), math.MaxUint32
	}
	if n < 0 || n > limit {
		return fmt.Errorf("want 0 to %d", limit)
	}
	return nil
}

func fixtureText(raw json.RawMessage, i int) (string, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", errors.New("want a text in quotes")
	}
	return counted(text, i), nil
}

func counted(text string, i int) string {
	if !strings.Contains(text, "{i}") {
		return text
	}
	return strings.ReplaceAll(text, "{i}", strconv.Itoa(i))
}

func unknownFixtureKey(key string) string {
	env := &environment{names: []string{"time", "after", "repeat", "every", "kind"}}
	for _, f := range eventFields() {
		env.names = append(env.names, f.name)
	}
	return env.unknown(key, nil)
}

// places says where the event keeps each field.
func places(e *event.Event) map[string]any {
	return map[string]any{
		"event.tap":  &e.Tap,
		"request.id": &e.Request.ID, "request.method": &e.Request.Method, "request.scheme": &e.Request.Scheme,
		"request.protocol": &e.Request.Protocol, "request.host": &e.Request.Host, "request.path": &e.Request.Path,
		"request.query": &e.Request.Query, "request.useragent": &e.Request.UserAgent, "request.referer": &e.Request.Referer,
		"request.headers": &e.Request.Headers, "request.size": &e.Request.Size, "request.duration": &e.Request.Duration,
		"response.code": &e.Response.Code, "response.size": &e.Response.Size, "response.content_type": &e.Response.ContentType,
		"source.address": &e.Source.Address, "source.port": &e.Source.Port, "source.peer": &e.Source.Peer,
		"source.country": &e.Source.Country, "source.asn": &e.Source.ASN,
		"principal.id": &e.Principal.ID, "principal.type": &e.Principal.Type, "principal.tenant": &e.Principal.Tenant,
		"principal.roles": &e.Principal.Roles, "auth.outcome": &e.Auth.Outcome, "auth.reason": &e.Auth.Reason,
		"api.route": &e.API.Route, "api.version": &e.API.Version, "api.name": &e.API.Name,
		"tls.version": &e.TLS.Version, "tls.sni": &e.TLS.SNI, "tls.fingerprint": &e.TLS.Fingerprint,
		"llm.model": &e.LLM.Model, "llm.prompt_tokens": &e.LLM.PromptTokens, "llm.completion_tokens": &e.LLM.CompletionTokens,
		"enforced.by": &e.Enforced.By, "enforced.action": &e.Enforced.Action,
		"waf.score": &e.WAF.Score, "waf.rules": &e.WAF.Rules, "intel.lists": &e.Intel.Lists, "ext": &e.Ext,
	}
}
