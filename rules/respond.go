package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

// respond reads one answer of the rule.
func (b *builder) respond(i int, raw respondYAML) {
	key := fmt.Sprintf("respond[%d]", i)
	if i >= 8 {
		b.fail(key, scalar{node: raw.node}, "limit is 8 answers")
		return
	}
	var r alert.Response
	var scopes scopesYAML
	var ttl scalar
	switch {
	case raw.Block != nil:
		r.Action, scopes, ttl = string(decision.Block), raw.Block.Scope, raw.Block.TTL
	case raw.Log != nil:
		r.Action, scopes, ttl = string(decision.Log), raw.Log.Scope, raw.Log.TTL
	case raw.Challenge != nil:
		r.Action, scopes, ttl = string(decision.Challenge), raw.Challenge.Scope, raw.Challenge.TTL
		r.Status = b.challengeStatus(key+".status", raw.Challenge.Status)
	default:
		r.Action, scopes, ttl = string(decision.Limit), raw.Limit.Scope, raw.Limit.TTL
		b.rate(key, raw, &r)
	}
	if !ttl.set() {
		b.fail(key, scalar{node: raw.node}, "ttl is missing: every decision must expire; write for example ttl: 15m")
	}
	r.TTL = b.duration(key+".ttl", ttl, time.Second, MaxTTL)
	b.scopes(key+".scope", scopes, raw, &r)
	b.rule.Respond = append(b.rule.Respond, r)
}

// scopes reads what the decision is to be about, in the order of decision.Scopes.
func (b *builder) scopes(key string, raw scopesYAML, answer respondYAML, r *alert.Response) {
	switch {
	case len(raw) == 0:
		raw = scopesYAML{{node: answer.node}}
	case len(raw) > decision.MaxTerms:
		b.fail(key, raw[decision.MaxTerms], "limit is %d scopes together", decision.MaxTerms)
		return
	}
	var named []string
	for _, v := range raw {
		if b.scope(key, v); slices.Contains(named, v.Value) {
			b.fail(key, v, "%s is there twice", v.Value)
		}
		named = append(named, v.Value)
	}
	slices.SortStableFunc(named, func(x, y string) int {
		return slices.Index(Scopes(), x) - slices.Index(Scopes(), y)
	})
	r.Scope = named[0]
	if len(named) > 1 {
		r.And = named[1:]
	}
}

// Scopes lists what a rule's answer can be about, the narrowest first. A prefix is not among them: no field of an event names one, so
// that decisions about prefixes are made by people.
func Scopes() []string {
	var out []string
	for _, s := range decision.Scopes() {
		if s != decision.CIDR {
			out = append(out, string(s))
		}
	}
	return out
}

// scope checks that gateways know such an entity and that the rule names one.
func (b *builder) scope(key string, v scalar) {
	field := v.Value
	if decision.Scope(field) == decision.APIKey { // the principal, where an API key proved it
		field = string(decision.Principal)
	}
	switch {
	case !slices.Contains(Scopes(), v.Value):
		b.fail(key, v, "unknown scope %.40q: want one of %s", v.Value, strings.Join(Scopes(), ", "))
	case !slices.Contains(b.rule.GroupBy, field):
		b.fail(key, v, "%s is not in group_by: the alert would not name whom to act on", field)
	}
}

// challengeStatus reads what a challenge answers, 401 when it is not written.
func (b *builder) challengeStatus(key string, v scalar) int {
	switch {
	case !v.set(), v.Value == "401":
		return 401
	case v.Value == "429":
		return 429
	}
	b.fail(key, v, "want 401 (prove who you are) or 429 (come back later), got %.20q", v.Value)
	return 0
}

// rate reads "10/s", "100/min", "1000/h" and the burst, which is the rate's number when it is not written.
func (b *builder) rate(key string, answer respondYAML, r *alert.Response) {
	raw := answer.Limit
	n, unit, _ := strings.Cut(raw.Rate.Value, "/")
	var err error
	r.Requests, err = strconv.Atoi(strings.TrimSpace(n))
	switch strings.TrimSpace(unit) {
	case "s":
		r.Per = time.Second
	case "m", "min":
		r.Per = time.Minute
	case "h":
		r.Per = time.Hour
	}
	if err != nil || r.Per == 0 || r.Requests < 1 || r.Requests > 1_000_000 {
		v := raw.Rate
		if !v.set() {
			v = scalar{node: answer.node}
			if len(raw.Scope) > 0 {
				v = raw.Scope[0]
			}
		}
		b.fail(key+".rate", v, "want a number of requests and a unit: 10/s, 100/m or 1000/h")
	}
	r.Burst = r.Requests
	if raw.Burst.set() {
		if r.Burst, err = strconv.Atoi(raw.Burst.Value); err != nil || r.Burst < 1 || r.Burst > 1_000_000 {
			b.fail(key+".burst", raw.Burst, "want 1 to 1000000 requests")
		}
	}
}
