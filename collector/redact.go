package collector

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

// Redacted stands where a secret was.
const Redacted = "<redacted>"

// RedactConfig says what may be kept of a request. Names are compared without regard to case.
type RedactConfig struct {
	// KeepHeaders are the request headers that events keep; "*" keeps all. Secret ones are redacted whether listed or not.
	KeepHeaders []string `yaml:"keep_headers"`
	// SecretHeaders are redacted besides the built-in ones (authorization, cookie, x-api-key and their like).
	SecretHeaders []string `yaml:"secret_headers"`
	// SecretParameters are query parameters whose values are redacted besides the built-in ones (password, token, code and their
	// like).
	SecretParameters []string `yaml:"secret_parameters"`
	// HashKey, when set, replaces a secret header's value by a keyed hash instead of a constant, so that requests with the same
	// value can be told from others.
	HashKey config.Secret `yaml:"hash_key"`
}

// DefaultRedactConfig returns the headers that detection has a use for; no additions and no hash.
func DefaultRedactConfig() RedactConfig {
	return RedactConfig{KeepHeaders: []string{
		"accept", "accept-encoding", "accept-language", "authorization", "connection", "content-encoding", "content-length",
		"content-type", "cookie", "forwarded", "if-none-match", "origin", "range", "request-range", "sec-fetch-mode",
		"sec-fetch-site", "traceparent", "transfer-encoding", "upgrade", "via", "x-api-key", "x-file-name", "x-filename",
		"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-http-method", "x-http-method-override",
		"x-method-override", "x-original-url", "x-real-ip", "x-request-id", "x-requested-with", "x-rewrite-url",
	}}
}

// Validate checks the lists' sizes.
func (c RedactConfig) Validate() error {
	var errs []error
	for key, list := range map[string][]string{"keep_headers": c.KeepHeaders, "secret_headers": c.SecretHeaders,
		"secret_parameters": c.SecretParameters} {
		if len(list) > 1000 {
			errs = append(errs, config.Errorf(key, "%d names, limit is 1000", len(list)))
		}
		if i := slices.Index(list, ""); i >= 0 {
			errs = append(errs, config.Errorf(indexKey(key, i), "is empty"))
		}
	}
	return errors.Join(errs...)
}

func secretHeaders() []string {
	return []string{
		"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "apikey", "x-auth-token",
		"x-access-token", "x-csrf-token", "x-xsrf-token", "x-session-token", "x-amz-security-token", "x-goog-api-key",
		"x-vault-token", "x-gitlab-token", "private-token", "ocp-apim-subscription-key", "authentication", "x-forwarded-client-cert",
		"x-warder-token",
	}
}

func secretParameters() []string {
	return []string{
		"password", "passwd", "passphrase", "pwd", "pass", "secret", "client_secret", "token", "access_token", "refresh_token",
		"id_token", "auth_token", "session_token", "csrf_token", "api_key", "apikey", "api-key", "x-api-key", "access_key",
		"private_key", "authorization", "auth", "code", "session", "sessionid", "session_id", "sid", "jsessionid", "phpsessid",
		"jwt", "assertion", "client_assertion", "saml_response", "samlresponse", "otp", "totp", "pin", "credential", "credentials",
		"signature", "sig", "x-amz-signature", "x-amz-security-token", "x-amz-credential", "x-goog-signature", "cvv", "card_number",
	}
}

// redactor is safe for concurrent use: it is only read.
type redactor struct {
	keepAll bool
	keep    map[string]bool
	headers map[string]bool
	params  map[string]bool
	longest int // bytes of the longest parameter name
	key     []byte
}

func newRedactor(cfg RedactConfig) *redactor {
	set := func(lists ...[]string) map[string]bool {
		m := map[string]bool{}
		for _, l := range lists {
			for _, n := range l {
				m[strings.ToLower(n)] = true
			}
		}
		return m
	}
	r := &redactor{
		keep:    set(cfg.KeepHeaders),
		headers: set(secretHeaders(), cfg.SecretHeaders),
		params:  set(secretParameters(), cfg.SecretParameters),
		key:     []byte(cfg.HashKey.Reveal()),
	}
	r.keepAll = r.keep["*"]
	for n := range r.params {
		r.longest = max(r.longest, len(n))
	}
	return r
}

// apply removes what must not be kept. It changes values of secret headers and parameters and nothing else: everything an
// attack may be recognised by stays as it was sent.
func (r *redactor) apply(e *event.Event) {
	e.Request.Query = r.query(e.Request.Query)
	e.Request.Path = r.target(e.Request.Path)
	e.Request.Referer = r.target(e.Request.Referer)
	if len(e.Request.Headers) > 0 {
		e.Request.Headers = r.table(e.Request.Headers)
	}
}

func (r *redactor) table(h map[string]string) map[string]string {
	out := make(map[string]string, len(h))
	for name, v := range h {
		name = strings.ToLower(name)
		switch {
		case !r.keepAll && !r.keep[name]:
		case r.headers[name]:
			out[name] = r.header(name, v)
		case name == "referer" || name == "x-original-url" || name == "x-rewrite-url":
			out[name] = r.target(v)
		default:
			out[name] = v
		}
	}
	return out
}

// header returns what stands for a secret value; the scheme of an authorization is no secret.
func (r *redactor) header(name, v string) string {
	scheme := ""
	if name == "authorization" || name == "proxy-authorization" {
		if s, _, ok := strings.Cut(v, " "); ok && len(s) <= 16 {
			scheme = s + " "
		}
	}
	if len(r.key) == 0 {
		return scheme + Redacted
	}
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte(name))
	mac.Write([]byte{0})
	mac.Write([]byte(v))
	return scheme + "hmac:" + hex.EncodeToString(mac.Sum(nil)[:16])
}

// target redacts a path, or a URL, with its query. A path has a query too where a log's request line could not be taken apart.
func (r *redactor) target(s string) string {
	base, q, ok := strings.Cut(s, "?")
	path, query := r.path(base), r.query(q)
	switch {
	case path == base && query == q: // the usual case, without a copy
		return s
	case !ok:
		return path
	}
	return path + "?" + query
}

// path redacts the values of secret path parameters, as in "/cart;jsessionid=0123/items": they end at the next "/" or ";".
// Without one it returns p itself.
func (r *redactor) path(p string) string {
	var out []byte
	done := 0 // bytes of p that are in out
	for at := strings.IndexByte(p, ';') + 1; at > 0 && at < len(p); {
		end := len(p)
		if i := strings.IndexAny(p[at:], "/;"); i >= 0 {
			end = at + i
		}
		if i := strings.IndexByte(p[at:end], '='); i >= 0 && at+i+1 < end && r.secret(p[at:at+i]) {
			out = append(out, p[done:at+i+1]...)
			out = append(out, Redacted...)
			done = end
		}
		next := strings.IndexByte(p[end:], ';')
		if next < 0 {
			break
		}
		at = end + next + 1
	}
	if done == 0 {
		return p
	}
	return string(append(out, p[done:]...))
}

// query redacts the values of secret parameters. Without one it returns q itself. Names begin behind "&" and ";", but a secret
// value goes on to the next "&": most servers take a ";" for a part of it.
func (r *redactor) query(q string) string {
	if strings.IndexByte(q, '=') < 0 {
		return q
	}
	var out []byte
	done := 0 // bytes of q that are in out
	for at := 0; at < len(q); {
		end := len(q)
		if i := strings.IndexAny(q[at:], "&;"); i >= 0 {
			end = at + i
		}
		if i := strings.IndexByte(q[at:end], '='); i >= 0 && at+i+1 < end && r.secret(q[at:at+i]) {
			out = append(out, q[done:at+i+1]...)
			out = append(out, Redacted...)
			for end < len(q) && q[end] != '&' {
				end++
			}
			done = end
		}
		at = end + 1
	}
	if done == 0 {
		return q
	}
	return string(append(out, q[done:]...))
}

// secret tells whether a parameter of this name, as sent, is secret. "user[password]", "data.token" and "pin[0]" count by their
// last part that is no number.
func (r *redactor) secret(name string) bool {
	if len(name) > 1024 {
		return false
	}
	if strings.IndexByte(name, '%') >= 0 || strings.IndexByte(name, '+') >= 0 {
		if d, err := url.QueryUnescape(name); err == nil {
			name = d
		}
	}
	for {
		name = strings.TrimSuffix(name, "]")
		i := strings.LastIndexAny(name, "[.")
		if i < 0 {
			break
		}
		if last := name[i+1:]; strings.Trim(last, "0123456789") != "" {
			name = last
			break
		}
		name = name[:i] // "[]", "[7]", ".7"
	}
	name = strings.TrimSpace(name)
	if len(name) > r.longest || name == "" {
		return false
	}
	var buf [64]byte
	if len(name) > len(buf) {
		return r.params[strings.ToLower(name)]
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return r.params[string(buf[:len(name)])]
}
