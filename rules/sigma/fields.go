package sigma

import (
	"regexp"
	"strings"
)

// fieldKind says how a field of Sigma's is read from an event.
type fieldKind uint8

const (
	textField    fieldKind = iota
	addressField           // a text that is an IP address
	numberField            // 0 means that it is not there
	statusField            // a number of three digits, which patterns can be applied to
	millisField            // a duration, in Sigma milliseconds
	queryField             // the query; rules write addresses with their path into it, too
	stemField              // the path; rules write parameters into it, too
	urlField               // the address with or without scheme and host
	extField               // what follows the last dot of the path
	timeField              // a part of the event's time
	anyField               // a keyword: the whole message
)

// field is a field of Sigma's and what it is in an event.
type field struct {
	kind fieldKind
	on   subject
	// group is the event field that can name an entity, "" when there is none.
	group string
}

func known(kind fieldKind, cel string) field { return field{kind, plain(cel), cel} }

var headerForm = regexp.MustCompile(`^cs\(([A-Za-z0-9-]{1,60})\)$`)

// fieldOf finds a field by the names of the W3C's extended log format and of Sigma's taxonomy for web servers and proxies.
func fieldOf(at *node, name string) (field, error) {
	if m := headerForm.FindStringSubmatch(name); m != nil {
		switch h := strings.ToLower(m[1]); h {
		case "user-agent", "referer", "host":
			name = "cs-" + h
		default:
			return field{kind: textField, on: header(h)}, nil
		}
	}
	key := strings.NewReplacer("_", "-", "(", "-", ")", "").Replace(strings.ToLower(name))
	if f, ok := plainField(key); ok {
		return f, nil
	}
	switch key {
	case "cs-cookie", "c-cookie", "cs-authorization", "cs-accept", "cs-accept-language", "cs-accept-encoding", "cs-content-type",
		"cs-x-forwarded-for", "cs-origin", "cs-content-length":
		_, h, _ := strings.Cut(key, "-")
		return field{kind: textField, on: header(h)}, nil
	case "s-ip", "dst-ip", "r-ip", "s-port", "dst-port", "s-computername", "s-sitename", "sc-substatus", "sc-win32-status", "c-win32-status":
		return field{}, refuse(at, "field %s: an access event does not tell about the server's side", name)
	case "cs-body", "request-body", "cs-post-data", "post-data":
		return field{}, refuse(at, "field %s: an access event has no body", name)
	}
	return field{}, refuse(at, "unknown field %.80q: it is not in Sigma's taxonomy for web servers and proxies, or no access event has it", name)
}

// plainField maps the names that lead to one field of the event.
func plainField(key string) (field, bool) {
	switch key {
	case "cs-method", "c-method", "http-method":
		return known(textField, "request.method"), true
	case "c-uri", "cs-uri", "cs-url", "c-url", "r-uri", "url", "uri":
		return field{urlField, plain("request.uri"), "request.uri"}, true
	case "cs-uri-stem", "c-uri-stem", "cs-uri-path", "c-uri-path", "uri-path":
		return field{stemField, plain("request.path"), "request.path"}, true
	case "cs-uri-query", "c-uri-query", "uri-query":
		return field{queryField, plain("request.query"), "request.query"}, true
	case "c-uri-extension", "cs-uri-extension":
		return field{extField, plain("request.path"), ""}, true
	case "cs-host", "r-dns", "r-host", "cs-uri-host", "c-uri-host", "host":
		return known(textField, "request.host"), true
	case "cs-uri-scheme", "c-uri-scheme", "cs-protocol":
		return known(textField, "request.scheme"), true
	case "c-useragent", "cs-user-agent", "cs-useragent", "c-user-agent", "user-agent", "useragent":
		return known(textField, "request.useragent"), true
	case "cs-referer", "cs-referrer", "c-referer", "c-referrer", "referer", "referrer":
		return known(textField, "request.referer"), true
	case "cs-version", "c-version", "cs-protocol-version":
		return known(textField, "request.protocol"), true
	case "cs-username", "c-username", "cs-user", "username", "user":
		return known(textField, "principal.id"), true
	case "sc-content-type", "rs-content-type", "sc-mime-type", "cs-mime-type":
		return known(textField, "response.content_type"), true
	case "c-ip", "src-ip", "client-ip", "source-ip":
		return known(addressField, "source.address"), true
	case "c-port", "src-port":
		return known(numberField, "source.port"), true
	case "sc-status", "status":
		return known(statusField, "response.code"), true
	case "sc-bytes":
		return known(numberField, "response.size"), true
	case "cs-bytes":
		return known(numberField, "request.size"), true
	case "time-taken":
		return field{kind: millisField, on: plain("request.duration")}, true
	case "date", "time":
		return field{kind: timeField, on: plain("event.time")}, true
	}
	return field{}, false
}
