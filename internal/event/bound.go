package event

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of an event's parts, in bytes or entries. Longer text is cut at a rune border.
const (
	MaxShort   = 256       // identifiers: method, host, principal, route, …
	MaxText    = 8192      // path, query
	MaxAgent   = 2048      // user agent, referer, a header's value
	MaxHeaders = 64        // entries
	MaxExt     = 32        // entries
	MaxTable   = 64 << 10  // names and values of all headers, or of all entries of Ext
	MaxList    = 64        // roles, rules, lists
	MaxEncoded = 256 << 10 // an encoded event; a bounded event is always below it
)

// Bound cuts every part of the event to its limit, repairs text that is not UTF-8, and sets Truncated when something was lost.
func (e *Event) Bound() {
	// Nanoseconds since 1970 end in 2262; a time outside is nobody's clock.
	if y := e.Time.Year(); !e.Time.IsZero() && (y < 1970 || y > 2261) {
		e.Time = time.Time{}
		e.Truncated = true
	}
	short := []*string{&e.Tap, &e.Request.ID, &e.Request.Method, &e.Request.Scheme, &e.Request.Protocol, &e.Request.Host,
		&e.Response.ContentType, &e.Source.Country, &e.Principal.ID, &e.Principal.Type, &e.Principal.Tenant, &e.Auth.Outcome,
		&e.Auth.Reason, &e.API.Version, &e.API.Name, &e.TLS.Version, &e.TLS.SNI, &e.TLS.Fingerprint, &e.LLM.Model,
		&e.Enforced.By, &e.Enforced.Action}
	for _, s := range short {
		e.cut(s, MaxShort)
	}
	e.cut(&e.Request.Path, MaxText)
	e.cut(&e.Request.Query, MaxText)
	e.cut(&e.API.Route, MaxAgent)
	e.cut(&e.Request.UserAgent, MaxAgent)
	e.cut(&e.Request.Referer, MaxAgent)
	e.list(&e.Principal.Roles)
	e.list(&e.WAF.Rules)
	e.list(&e.Intel.Lists)
	e.Request.Headers = e.table(e.Request.Headers, MaxHeaders)
	e.Ext = e.table(e.Ext, MaxExt)
}

func (e *Event) cut(s *string, limit int) {
	if len(*s) <= limit && utf8.ValidString(*s) {
		return
	}
	v := strings.ToValidUTF8(*s, "\uFFFD")
	if len(v) > limit {
		for limit > 0 && !utf8.RuneStart(v[limit]) {
			limit--
		}
		v = v[:limit]
		e.Truncated = true
	}
	*s = v
}

func (e *Event) list(l *[]string) {
	if len(*l) > MaxList {
		*l = (*l)[:MaxList:MaxList]
		e.Truncated = true
	}
	for i := range *l {
		if len((*l)[i]) > MaxShort || !utf8.ValidString((*l)[i]) {
			c := append([]string(nil), *l...)
			for j := range c {
				e.cut(&c[j], MaxShort)
			}
			*l = c
			return
		}
	}
}

// table returns m when it is within bounds, otherwise a copy with the first names in order, as many as fit.
func (e *Event) table(m map[string]string, limit int) map[string]string {
	ok, total := len(m) <= limit, 0
	for k, v := range m {
		total += len(k) + len(v)
		ok = ok && total <= MaxTable && len(k) <= MaxShort && len(v) <= MaxAgent && utf8.ValidString(k) && utf8.ValidString(v)
	}
	if ok {
		return m
	}
	out := make(map[string]string, min(len(m), limit))
	total = 0
	for _, k := range sortedKeys(m) {
		v := m[k]
		e.cut(&k, MaxShort)
		e.cut(&v, MaxAgent)
		if total += len(k) + len(v); len(out) == limit || total > MaxTable {
			e.Truncated = true
			break
		}
		out[k] = v
	}
	return out
}
