package active

import (
	"math/bits"
	"net/netip"
	"time"

	"github.com/warder/warder/internal/decision"
)

// Check returns what the decisions say to a request. It neither locks nor allocates. The decision is shared: do not change it.
//
// Of several decisions that apply, enforced ones go before observed ones, then block, challenge, limit, log; of several limits the
// one with the lowest rate. A limit that governs takes one token of its bucket. While it has one the request is within the limit, and
// the next weaker decision has its say: a limit never hides what only observes or marks. Other limits of the same mode lose nothing.
//
// A challenge with status 401 asks clients to prove who they are: it does not apply to a request with a proven principal, unless one of
// its terms is about principals. While the global switch observes, the same decision governs as otherwise, and refuses nothing.
func (s *Set) Check(q *decision.Subject, now time.Time) decision.Verdict {
	if s.count.Load() == 0 {
		return decision.Verdict{}
	}
	f := found{worst: ranks}
	s.find(q, now.UnixNano(), &f)
	for r, d := range f.best {
		if d == nil {
			continue
		}
		if v := s.verdict(int8(r), d, now); v.Decision != nil {
			return v
		}
	}
	return decision.Verdict{}
}

// verdict returns what a decision of the rank says; nothing for a request within a limit.
func (s *Set) verdict(rank int8, d *decision.Decision, now time.Time) decision.Verdict {
	v := decision.Verdict{Decision: d}
	switch action(rank) {
	case enforceBlock:
		v.Status = 403
	case enforceChallenge:
		v.Status = d.Status
		if d.Status == 429 {
			v.RetryAfter = seconds(d.Expires.Sub(now))
		}
	case enforceLimit:
		ok, after := s.Allow(d, now)
		if ok {
			return decision.Verdict{}
		}
		v.Status, v.RetryAfter = 429, seconds(after)
	default:
		return v
	}
	if rank >= observeBlock || s.Observing() {
		v.Observed, v.Status, v.RetryAfter = true, 0, 0
	}
	return v
}

// seconds rounds up, to at least 1.
func seconds(d time.Duration) int {
	n := d / time.Second
	if d%time.Second > 0 {
		n++
	}
	return int(max(1, n))
}

// Lookup returns the block or limit that governs a request from addr by the principal, nil when there is none: the same as Check finds for
// what an address and a name can show, without asking the bucket or the switch.
func (s *Set) Lookup(addr netip.Addr, principal string, now time.Time) *decision.Decision {
	if s.count.Load() == 0 {
		return nil
	}
	q := decision.Subject{Address: addr, Principal: principal}
	f := found{worst: ranks}
	s.find(&q, now.UnixNano(), &f)
	for _, r := range [...]int8{enforceBlock, enforceLimit, observeBlock, observeLimit} {
		if d := f.best[r]; d != nil {
			return d
		}
	}
	return nil
}

// find collects what applies to q at the time at, in Unix nanoseconds. What one field of the request names alone is looked up there,
// and further terms are compared with the request.
func (s *Set) find(q *decision.Subject, at int64, f *found) {
	addr := q.Address.Unmap().WithZone("")
	if addr.IsValid() && s.anchored[rankAddress].Load() > 0 {
		f.take(s.addresses.find(addr.As16()), q, at)
	}
	if q.Principal != "" && !f.settled() {
		if s.anchored[rankPrincipal].Load() > 0 {
			f.take(s.principals.find(q.Principal), q, at)
		}
		if q.APIKey {
			s.findName(name{scope: rankAPIKey, text: q.Principal}, q, at, f)
		}
	}
	if addr.IsValid() && !f.settled() {
		s.findPrefixes(addr, q, at, f)
	}
	if !f.settled() {
		s.findName(name{scope: rankFingerprint, text: q.Fingerprint}, q, at, f)
		s.findName(name{scope: rankUserAgent, text: q.UserAgent}, q, at, f)
		s.findName(name{scope: rankTenant, text: q.Tenant}, q, at, f)
		s.findName(name{scope: rankRoute, text: q.Route}, q, at, f)
		s.findName(name{scope: rankASN, number: q.ASN}, q, at, f)
		s.findName(name{scope: rankCountry, text: q.Country}, q, at, f)
	}
}

func (s *Set) findName(n name, q *decision.Subject, at int64, f *found) {
	if n.text == "" && n.number == 0 || s.anchored[n.scope].Load() == 0 {
		return
	}
	f.take(s.names.find(n), q, at)
}

// findPrefixes asks the nodes of the levels in use for the prefixes that hold the address, the longest first.
func (s *Set) findPrefixes(addr netip.Addr, q *decision.Subject, now int64, f *found) {
	hi, lo, family := words(addr)
	for levels := uint32(s.prefixes.levels.Load() >> family); levels != 0 && !f.settled(); {
		level := bits.Len32(levels) - 1
		levels &^= 1 << level
		pl, b := at(hi, lo, family, uint8(level))
		n := s.prefixes.nodes.find(pl)
		if n == nil {
			continue
		}
		for i := (256 | int(b)) >> 1; i > 0; i >>= 1 {
			if n.has(uint8(i)) {
				f.take(n.chain(uint8(i)), q, now)
			}
		}
	}
}
