package gateway

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/warder/warder/internal/event"
)

// Bounds of a token.
const (
	maxToken = 16 << 10
	leeway   = time.Minute
	maxRoles = event.MaxList
)

// jwtSource reads JSON Web Tokens (RFC 7519) in compact form.
type jwtSource struct {
	cfg    Credential
	header string // canonical
	algs   []jose.SignatureAlgorithm
	keys   *keySet // nil: nothing to verify with
	now    func() time.Time
}

func newJWTSource(c Credential, log *slog.Logger, met *metrics) (*jwtSource, error) {
	s := &jwtSource{cfg: c, header: http.CanonicalHeaderKey(c.Header), now: time.Now}
	if c.Header == "" {
		s.header = authorization
	}
	if c.Claim == "" {
		s.cfg.Claim = "sub"
	}
	names := c.Algorithms
	if len(names) == 0 {
		names = asymmetric()
	}
	for _, n := range names {
		s.algs = append(s.algs, jose.SignatureAlgorithm(n))
	}
	if c.JWKSURL != "" || c.JWKSFile != "" {
		var err error
		if s.keys, err = newKeySet(c, log, met); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// identify implements source. Reasons: unverified, too_long, malformed, algorithm, bad_signature, unknown_key, jwks_unavailable,
// expired, not_yet_valid, issuer, audience, no_name.
func (s *jwtSource) identify(r *http.Request) (identity, bool) {
	token, ok := s.token(r.Header)
	if !ok {
		return identity{}, false
	}
	if len(token) > maxToken {
		return claimed(typeJWT, "", failure("too_long")), true
	}
	if s.keys == nil {
		return s.unverified(token), true
	}
	jws, err := jose.ParseSignedCompact(token, s.algs)
	var alg *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &alg):
		return s.refused(token, failure("algorithm")), true
	case err != nil:
		return claimed(typeJWT, "", failure("malformed")), true
	}
	payload, reason := s.keys.verify(r.Context(), jws)
	switch reason {
	case "":
		return s.verified(payload), true
	case reasonKeysUnavailable:
		// Not the client's fault: neither success nor failure.
		return s.refused(token, event.Auth{Reason: reason}), true
	}
	return s.refused(token, failure(reason)), true
}

func failure(reason string) event.Auth { return event.Auth{Outcome: outcomeFailure, Reason: reason} }

// token returns the bearer token: "Bearer x", or the whole value of any other header.
func (s *jwtSource) token(h http.Header) (string, bool) {
	v := h.Get(s.header)
	if scheme, rest, ok := strings.Cut(v, " "); ok && strings.EqualFold(scheme, "bearer") {
		v = strings.TrimLeft(rest, " ")
	} else if s.header == authorization {
		return "", false
	}
	// Opaque bearer tokens are common; three parts make it ours to judge.
	return v, strings.Count(v, ".") == 2
}

func (s *jwtSource) verified(payload []byte) identity {
	c, ok := parseClaims(payload)
	if !ok {
		return claimed(typeJWT, "", failure("malformed"))
	}
	if reason := s.check(c.registered); reason != "" {
		return s.claimedBy(c, failure(reason))
	}
	name := c.text(s.cfg.Claim)
	if name == "" {
		return claimed(typeJWT, "", failure("no_name"))
	}
	return s.describe(proven(typeJWT, name, event.Auth{Outcome: outcomeSuccess}), c)
}

// unverified reads the claims of a token that there is no key for.
func (s *jwtSource) unverified(token string) identity {
	c, ok := peek(token)
	if !ok {
		return claimed(typeJWT, "", failure("malformed"))
	}
	if name := c.text(s.cfg.Claim); s.cfg.Trust && name != "" {
		return s.describe(proven(typeJWT, name, event.Auth{Reason: reasonUnverified}), c)
	}
	return s.claimedBy(c, event.Auth{Reason: reasonUnverified})
}

// refused names who a token claims to be from that did not pass.
func (s *jwtSource) refused(token string, auth event.Auth) identity {
	c, _ := peek(token)
	return s.claimedBy(c, auth)
}

func (s *jwtSource) claimedBy(c claims, auth event.Auth) identity {
	return s.describe(claimed(typeJWT, c.text(s.cfg.Claim), auth), c)
}

func (s *jwtSource) describe(id identity, c claims) identity {
	if s.cfg.TenantClaim != "" {
		id.principal.Tenant = c.text(s.cfg.TenantClaim)
	}
	if s.cfg.RolesClaim != "" {
		id.principal.Roles = c.list(s.cfg.RolesClaim)
	}
	return id
}

// check returns why the registered claims are not acceptable, "" when they are.
func (s *jwtSource) check(c jwt.Claims) string {
	err := c.ValidateWithLeeway(jwt.Expected{Issuer: s.cfg.Issuer, AnyAudience: s.cfg.Audience, Time: s.now()}, leeway)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, jwt.ErrExpired):
		return "expired"
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return "not_yet_valid"
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return "issuer"
	case errors.Is(err, jwt.ErrInvalidAudience):
		return "audience"
	}
	return "malformed"
}

// claims are a token's claims.
type claims struct {
	registered jwt.Claims
	all        map[string]any
}

func parseClaims(payload []byte) (c claims, ok bool) {
	if json.Unmarshal(payload, &c.registered) != nil || json.Unmarshal(payload, &c.all) != nil {
		return claims{}, false
	}
	return c, true
}

// peek reads the claims without any verification.
func peek(token string) (claims, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, false
	}
	payload, err := decodeSegment(parts[1])
	if err != nil {
		return claims{}, false
	}
	return parseClaims(payload)
}

// at finds "name" or, through objects, "a.b".
func (c claims) at(path string) any {
	if v, ok := c.all[path]; ok {
		return v
	}
	var v any = c.all
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func (c claims) text(path string) string {
	switch v := c.at(path).(type) {
	case string:
		return v
	case float64: // numeric user ids
		b, err := json.Marshal(v)
		if err == nil {
			return string(b)
		}
	}
	return ""
}

// list reads an array of strings, or a string of words as OAuth's "scope" is.
func (c claims) list(path string) []string {
	switch v := c.at(path).(type) {
	case string:
		words := strings.Fields(v)
		return words[:min(len(words), maxRoles)]
	case []any:
		var out []string
		for _, e := range v {
			if s, ok := e.(string); ok && len(out) < maxRoles {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}
