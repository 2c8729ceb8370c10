package crowdsec

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/warder/warder/internal/decision"
)

// The scopes as CrowdSec spells them.
const (
	scopeIP      = "Ip"
	scopeRange   = "Range"
	scopeCountry = "Country"
	scopeAS      = "AS"
	scopeUser    = "username"
)

func scopes() []string { return []string{scopeIP, scopeRange, scopeCountry, scopeAS, scopeUser} }

// origin is where all decisions come from.
const origin = "warder"

// filter is what a bouncer asks for. Empty lists ask for everything.
type filter struct {
	scopes, origins []string // in lower case
	with, without   []string // parts of the scenario's name
	value, kind     string
	inside          netip.Prefix // with contains=false: what lies in it
}

// takes tells whether the bouncer asked for the entry.
func (f *filter) takes(e *entry) bool {
	in := func(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, strings.ToLower(v)) }
	if !in(f.scopes, e.scope) || !in(f.origins, origin) || f.value != "" && f.value != e.value || f.kind != "" && f.kind != e.kind {
		return false
	}
	part := func(p string) bool { return strings.Contains(scenario(e.d), p) }
	if len(f.with) > 0 && !slices.ContainsFunc(f.with, part) || slices.ContainsFunc(f.without, part) {
		return false
	}
	return !f.inside.IsValid() || lies(e, f.inside)
}

func lies(e *entry, in netip.Prefix) bool {
	if e.scope != scopeIP && e.scope != scopeRange {
		return false
	}
	p, err := netip.ParsePrefix(e.value)
	if a, notPrefix := netip.ParseAddr(e.value); notPrefix == nil {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	return err == nil && p.Bits() >= in.Bits() && in.Contains(p.Addr())
}

// scenario is what made the decision: the rule, or the person.
func scenario(d *decision.Decision) string {
	if d.Reason.Rule != "" {
		return d.Reason.Rule
	}
	return d.Creator
}

// streamQuery reads the query of /v1/decisions/stream. Parameters that we do not know are no mistake.
func streamQuery(v url.Values) (f *filter, startup bool) {
	f = shared(v)
	if len(f.scopes) == 0 {
		f.scopes = []string{"ip", "range"}
	}
	return f, v.Get("startup") == "true"
}

func shared(v url.Values) *filter {
	return &filter{scopes: words(strings.ToLower(v.Get("scopes"))), origins: words(strings.ToLower(v.Get("origins"))),
		with: words(v.Get("scenarios_containing")), without: words(v.Get("scenarios_not_containing"))}
}

func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// listQuery reads the query of /v1/decisions. keys are the only ones that can fit; nil: any could.
func listQuery(v url.Values) (f *filter, keys []key, err error) {
	f = shared(v)
	if s := v.Get("scope"); s != "" {
		f.scopes = append(f.scopes, strings.ToLower(s))
	}
	f.value, f.kind = v.Get("value"), v.Get("type")
	about, given := v.Get("ip"), v.Get("range")
	switch {
	case about == "" && given == "":
		if f.value != "" {
			for _, s := range scopes() {
				keys = append(keys, key{s, f.value})
			}
		}
		return f, keys, nil
	case about != "":
		a, err := netip.ParseAddr(about)
		if err != nil {
			return nil, nil, fmt.Errorf("ip: %.60q is not an address", about)
		}
		a = a.Unmap().WithZone("")
		return f, append([]key{{scopeIP, a.String()}}, covering(netip.PrefixFrom(a, a.BitLen()))...), nil
	}
	p, err := decision.Prefix(given)
	if err != nil {
		return nil, nil, fmt.Errorf("range: %.60q is not a CIDR such as 203.0.113.0/24", given)
	}
	if v.Get("contains") == "false" {
		f.inside = p
		return f, nil, nil
	}
	return f, covering(p), nil
}

// covering returns the keys of all prefixes that p lies in, the narrowest first.
func covering(p netip.Prefix) []key {
	out := make([]key, 0, p.Bits()+1)
	for bits := p.Bits(); bits >= 0; bits-- {
		out = append(out, key{scopeRange, netip.PrefixFrom(p.Addr(), bits).Masked().String()})
	}
	return out
}
