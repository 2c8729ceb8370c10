package sigma

import (
	"strings"
)

// Keywords are looked for in "the message": what an access log has of a request, each text by itself, and the request line as a
// whole. Of the headers that a tap keeps, those are looked at that rules look for payloads in.
const (
	messageTexts   = "[request.uri, request.referer, request.useragent, request.host, principal.id].exists(t,"
	messageHeaders = `["authorization", "cookie", "x-forwarded-for"].exists(h,`
)

// keywords is true when one of the values, or with "all" each, is somewhere in the message.
func (it *item) keywords() expr {
	var e expr
	if it.mods.all {
		var parts []expr
		for i := range it.values {
			parts = append(parts, it.keyword(it.values[i:i+1]))
		}
		e = and(parts...)
	} else {
		e = it.keyword(it.values)
	}
	if it.mods.negated {
		e = not(e)
	}
	return e
}

// keyword is true when one of the values is somewhere in the message.
func (it *item) keyword(values []value) expr {
	h := expr{op: 'e', text: messageHeaders, args: []expr{and(test("h in request.headers"), it.inText("request.headers[h]", values))}}
	found := []expr{{op: 'e', text: messageTexts, args: []expr{it.inText("t", values)}}, h}
	for i := range values {
		for _, p := range values[i].patterns {
			if values[i].re == nil {
				found = append(found, it.inLine(p)...)
			}
		}
	}
	return or(found...)
}

// inText is true when one of the values is in the text.
func (it *item) inText(cel string, values []value) expr {
	var found []expr
	for i := range values {
		v := &values[i]
		if v.re != nil {
			found = append(found, plain(cel).regex(v.re))
			continue
		}
		for _, p := range v.patterns {
			found = append(found, plain(cel).match(p.open(true, true), it.mods.cased))
		}
	}
	return or(found...)
}

// inLine finds what spans parts of the request line, and what can only be the method, the protocol or the client's address.
func (it *item) inLine(p pattern) []expr {
	core, _, _ := p.inner()
	lit, ok := core.literal()
	if !ok || lit == "" {
		return nil
	}
	var out []expr
	whole := p.open(true, true)
	if strings.Contains(lit, " ") {
		out = append(out, requestLine().search(lit, false, it.mods.cased, false))
	}
	if strings.Contains("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK SEARCH", strings.ToUpper(lit)) && len(lit) > 2 {
		out = append(out, plain("request.method").match(whole, it.mods.cased))
	}
	if strings.HasPrefix(lower(lit), "http/") {
		out = append(out, plain("request.protocol").match(whole, it.mods.cased))
	}
	if len(lit) > 3 && strings.ContainsAny(lit, ".:") && strings.Trim(lower(lit), "0123456789abcdef.:") == "" {
		out = append(out, plain("source.address").match(whole, it.mods.cased))
	}
	return out
}
