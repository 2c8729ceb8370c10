package traffic

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
)

// maxSamples bounds the sample of a slice.
const maxSamples = 1000

// slice is what is kept of ten seconds.
type slice struct {
	number  int64 // of ten seconds since 1970
	any     int64 // events of all kinds
	good    int64
	samples []decision.Subject

	// Of a slice that has passed, made when it is first asked for: the samples' numbers by address, and by principal.
	byAddress   []uint16
	byPrincipal map[string][]uint16
	indexed     int64 // good when the index was made: late events make it stale
}

// take counts a good request and keeps it with the probability that makes the sample uniform (Vitter, Random Sampling with a
// Reservoir, 1985, algorithm R).
func (s *slice) take(e *event.Event, rng *rand.Rand) {
	s.good++
	if len(s.samples) < maxSamples {
		s.samples = append(s.samples, subject(e))
		return
	}
	if i := rng.Int64N(s.good); i < maxSamples {
		s.samples[i] = subject(e)
	}
}

// subject is what decisions would have seen of the request.
func subject(e *event.Event) decision.Subject {
	q := decision.Subject{Address: e.Source.Address.Unmap().WithZone(""), Route: keep(e.API.Route), Country: keep(e.Source.Country),
		ASN: e.Source.ASN, UserAgent: keep(e.Request.UserAgent), Fingerprint: keep(e.TLS.Fingerprint)}
	if proven(e) {
		q.Principal, q.Tenant = keep(e.Principal.ID), keep(e.Principal.Tenant)
		q.APIKey = e.Principal.Type == "api_key"
	}
	return q
}

// keep copies a text, so that the event's memory can go. One that is too long for a decision to name is not needed.
func keep(text string) string {
	if len(text) > decision.MaxValue {
		return ""
	}
	return strings.Clone(text)
}

// count returns how many samples match. first is the decision's first term: where there is an index for it, only those samples are looked
// at that it leads to.
func (s *slice) count(first decision.Term, match *decision.Matcher, passed bool) (n int) {
	if passed {
		s.index()
		switch first.Scope {
		case decision.Address, decision.CIDR:
			if p, ok := prefix(first); ok {
				return s.countPrefix(p, match)
			}
		case decision.Principal, decision.APIKey:
			for _, i := range s.byPrincipal[first.Value] {
				if match.Matches(&s.samples[i]) {
					n++
				}
			}
			return n
		}
	}
	for i := range s.samples {
		if match.Matches(&s.samples[i]) {
			n++
		}
	}
	return n
}

func prefix(t decision.Term) (netip.Prefix, bool) {
	if t.Scope == decision.CIDR {
		p, err := decision.Prefix(t.Value)
		return p, err == nil
	}
	a, err := netip.ParseAddr(t.Value)
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen()), err == nil
}

func (s *slice) countPrefix(p netip.Prefix, match *decision.Matcher) (n int) {
	from, _ := slices.BinarySearchFunc(s.byAddress, p.Addr(), func(i uint16, a netip.Addr) int { return s.samples[i].Address.Compare(a) })
	for _, i := range s.byAddress[from:] {
		if !p.Contains(s.samples[i].Address) {
			break
		}
		if match.Matches(&s.samples[i]) {
			n++
		}
	}
	return n
}

func (s *slice) index() {
	if s.indexed == s.good {
		return
	}
	s.indexed = s.good
	s.byAddress = make([]uint16, len(s.samples))
	s.byPrincipal = map[string][]uint16{}
	for i := range s.samples {
		s.byAddress[i] = uint16(i)
		if p := s.samples[i].Principal; p != "" {
			s.byPrincipal[p] = append(s.byPrincipal[p], uint16(i))
		}
	}
	slices.SortFunc(s.byAddress, func(a, b uint16) int { return s.samples[a].Address.Compare(s.samples[b].Address) })
}
