// Package traffic knows what the guardrails must know of the last minutes' requests: which part of the good ones a decision would touch,
// how many people share an address, and whether good traffic fell.
//
// A request is good when its answer was 200 to 399 and did not come from Warder. Of each ten seconds the meter keeps a uniform
// sample; while fewer than a thousand good requests come within them it has them all. It needs some 20 MB, and 100 MB at
// most, whatever clients do.
package traffic

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
)

// span is the length of a slice.
const span = 10 * time.Second

// late is how long after its end a slice may still get events before it is taken for complete.
const late = 2 * time.Second

// maxTaps bounds the taps that are told apart.
const maxTaps = 1000

// Meter measures. It is safe for concurrent use.
type Meter struct {
	window int64 // in slices
	now    func() time.Time
	people *people

	mu     sync.Mutex
	slices []slice              // a ring, by number modulo its length
	taps   map[string]time.Time // how far each tap was heard, at most maxTaps
	rng    *rand.Rand
}

// New returns a meter that has seen nothing.
func New(cfg Config, reg prometheus.Registerer) (*Meter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m := &Meter{window: int64(cfg.Window.Std() / span), now: time.Now, people: newPeople(cfg.Remember.Std()),
		rng: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	m.slices, m.taps = make([]slice, m.window+1), map[string]time.Time{}
	return m, m.register(reg)
}

func (m *Meter) register(reg prometheus.Registerer) error {
	for _, g := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "warder_traffic_good_requests",
			Help: "Successful requests within the guardrails' window."}, func() float64 { return float64(m.good()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "warder_traffic_addresses",
			Help: "Addresses on which the guardrails remember principals."}, func() float64 { return float64(m.people.len()) }),
	} {
		if err := reg.Register(g); err != nil {
			return err
		}
	}
	return nil
}

// Observe takes an event. One from the future counts as now, one from before the window not at all.
func (m *Meter) Observe(e *event.Event) {
	now := m.now()
	at := e.Time
	if at.After(now) {
		at = now
	}
	good := e.Kind == event.Request && !e.Refused() && e.Response.Code >= 200 && e.Response.Code < 400
	if e.Kind == event.Request && !e.Refused() && proven(e) && (good || e.Auth.Outcome == "success") {
		m.people.note(e, at)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.slice(number(at), number(now))
	if s == nil {
		return
	}
	m.hear(e.Tap, at)
	s.any++
	if good {
		s.take(e, m.rng)
	}
}

// hear notes how far a tap has come.
func (m *Meter) hear(tap string, at time.Time) {
	last, known := m.taps[tap]
	if !known && len(m.taps) >= maxTaps {
		return
	}
	if at.After(last) {
		if !known {
			tap = strings.Clone(tap)
		}
		m.taps[tap] = at
	}
}

// heard is up to when every tap of the window was heard: what came later may still be on its way. Taps send heartbeats.
func (m *Meter) heard(now time.Time) time.Time {
	least := now
	for tap, at := range m.taps {
		switch {
		case number(at) <= number(now)-m.window:
			delete(m.taps, tap)
		case at.Before(least):
			least = at
		}
	}
	return least
}

// proven tells whether the event's principal is more than a claim.
func proven(e *event.Event) bool {
	return e.Principal.ID != "" && e.Auth.Outcome != "failure" && !strings.HasPrefix(e.Principal.ID, "unverified:")
}

func number(t time.Time) int64 { return t.UnixNano() / int64(span) }

// slice returns the slice of that number, emptied of what was there before; nil when it is not within the window.
func (m *Meter) slice(n, now int64) *slice {
	if n <= now-m.window || n > now {
		return nil
	}
	s := &m.slices[n%int64(len(m.slices))]
	if s.number != n {
		*s = slice{number: n}
	}
	return s
}

// each yields the slices within the window that hold something, in no order. The caller holds m.mu.
func (m *Meter) each(fn func(*slice)) {
	now := number(m.now())
	for i := range m.slices {
		if s := &m.slices[i]; s.any > 0 && s.number > now-m.window && s.number <= now {
			fn(s)
		}
	}
}

func (m *Meter) good() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(func(s *slice) { n += s.good })
	return n
}

// Share estimates which part of the window's good requests the decision matches, 0 to 1; good is how many there were. With at most 1,000
// good requests in every ten seconds it is exact; above, its standard error is sqrt(p(1-p)/n) for a share p of n sampled requests: with the
// default window 0.12 points at a share of 5 %. It takes microseconds for addresses, prefixes and principals, and up to a millisecond for
// others.
func (m *Meter) Share(d *decision.Decision) (share float64, good int64) {
	match := d.Matcher()
	m.mu.Lock()
	defer m.mu.Unlock()
	var matched float64
	now := number(m.now())
	m.each(func(s *slice) {
		good += s.good
		if len(s.samples) > 0 {
			matched += float64(s.good) * float64(s.count(d.Terms()[0], match, s.number < now)) / float64(len(s.samples))
		}
	})
	if good == 0 {
		return 0, 0
	}
	return min(matched/float64(good), 1), good
}

// Principals counts distinct proven principals that succeeded from the address lately, exact up to 64, only those with the TLS fingerprint
// and user agent when these are not empty.
func (m *Meter) Principals(a netip.Addr, fingerprint, userAgent string) int {
	return m.people.count(a, fingerprint, userAgent, m.now())
}
