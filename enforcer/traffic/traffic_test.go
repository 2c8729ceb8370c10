package traffic

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func newMeter(t testing.TB) (*Meter, *time.Time) {
	t.Helper()
	m, err := New(DefaultConfig(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	now := noon
	m.now = func() time.Time { return now }
	m.rng = rand.New(rand.NewPCG(1, 2))
	return m, &now
}

func request(at time.Time, address, principal string, code int) *event.Event {
	e := &event.Event{Time: at}
	e.Source.Address = netip.MustParseAddr(address)
	e.Response.Code = code
	e.API.Route, e.Request.UserAgent = "/orders", "app/1"
	if principal != "" {
		e.Principal = event.Principal{ID: principal, Type: "jwt", Tenant: "t1"}
	}
	return e
}

func about(t testing.TB, terms ...decision.Term) *decision.Decision {
	t.Helper()
	terms, err := decision.Canonical(terms...)
	if err != nil {
		t.Fatal(err)
	}
	return &decision.Decision{Action: decision.Block, Scope: terms[0].Scope, Value: terms[0].Value, And: terms[1:]}
}

// What is good, what is within the window, and what each scope matches.
func TestShare(t *testing.T) {
	m, now := newMeter(t)
	for i := range 60 {
		m.Observe(request(noon.Add(time.Duration(i)*time.Second), fmt.Sprintf("10.0.%d.1", i%6), fmt.Sprintf("user-%d", i%3), 200))
	}
	*now = noon.Add(time.Minute)
	refused := request(*now, "10.0.0.1", "", 200)
	refused.Enforced.Action = "block"
	claimed := request(*now, "10.9.0.1", "unverified:user-1", 200)
	for _, e := range []*event.Event{refused, request(*now, "10.0.0.1", "", 404), request(*now, "10.0.0.1", "", 0), {Kind: event.Heartbeat, Time: *now},
		request(now.Add(-time.Hour), "10.0.0.1", "", 200)} {
		m.Observe(e)
	}
	m.Observe(claimed)
	m.Observe(request(now.Add(time.Hour), "::ffff:10.9.0.2", "", 301)) // a clock that is ahead
	term := func(s decision.Scope, v string) decision.Term { return decision.Term{Scope: s, Value: v} }
	for _, tc := range []struct {
		terms []decision.Term
		want  float64
	}{
		{[]decision.Term{term(decision.Address, "10.0.0.1")}, 10},
		{[]decision.Term{term(decision.Address, "::ffff:10.9.0.2")}, 1},
		{[]decision.Term{term(decision.CIDR, "10.0.0.0/22")}, 40},
		{[]decision.Term{term(decision.CIDR, "2001:db8::/32")}, 0},
		{[]decision.Term{term(decision.Principal, "user-1")}, 20},
		{[]decision.Term{term(decision.Principal, "unverified:user-1")}, 0},
		{[]decision.Term{term(decision.APIKey, "user-1")}, 0},
		{[]decision.Term{term(decision.Route, "/orders")}, 62},
		{[]decision.Term{term(decision.Tenant, "t1")}, 60},
		{[]decision.Term{term(decision.Address, "10.0.1.1"), term(decision.Principal, "user-1")}, 10},
		{[]decision.Term{term(decision.Address, "10.0.1.1"), term(decision.Principal, "user-2")}, 0},
	} {
		share, good := m.Share(about(t, tc.terms...))
		if good != 62 || math.Abs(share*62-tc.want) > 1e-9 {
			t.Errorf("%v: share %v of %d, want %v of 62", tc.terms, share*62, good, tc.want)
		}
	}
	*now = noon.Add(5*time.Minute + 50*time.Second)
	if share, good := m.Share(about(t, term(decision.Address, "10.0.0.1"))); share != 0 || good != 2 {
		t.Errorf("after the window: %v of %d, want 0 of the two requests of the last minute", share, good)
	}
	*now = noon.Add(time.Hour)
	if _, good := m.Share(about(t, term(decision.Route, "/orders"))); good != 0 {
		t.Errorf("after an hour: %d good requests", good)
	}
}

// Above the size of the sample the estimate stays within its error.
func TestShareIsSampled(t *testing.T) {
	m, now := newMeter(t)
	rng := rand.New(rand.NewPCG(3, 4))
	const n = 100_000
	mine := 0
	for i := range n {
		address := fmt.Sprintf("10.%d.%d.1", rng.IntN(200), rng.IntN(200))
		if rng.Float64() < 0.07 {
			address = "192.0.2.1"
			mine++
		}
		*now = noon.Add(time.Duration(i) * 2 * time.Millisecond)
		m.Observe(request(*now, address, "", 200))
	}
	share, good := m.Share(about(t, decision.Term{Scope: decision.Address, Value: "192.0.2.1"}))
	want := float64(mine) / n
	if sigma := math.Sqrt(want * (1 - want) / 20_000); good != n || math.Abs(share-want) > 5*sigma {
		t.Errorf("share %.4f of %d, want %.4f ± %.4f", share, good, want, sigma)
	}
}

// Only proven principals that succeed make an address shared, and only for a time.
func TestPrincipals(t *testing.T) {
	m, now := newMeter(t)
	office := netip.MustParseAddr("203.0.113.1")
	for i := range 200 {
		e := request(noon, "203.0.113.1", fmt.Sprintf("user-%d", i%40), 200)
		e.TLS.Fingerprint = []string{"chrome", "firefox"}[i%2]
		m.Observe(e)
		m.Observe(request(noon, "203.0.113.2", fmt.Sprintf("unverified:%d", i), 200))
		m.Observe(request(noon, "203.0.113.3", fmt.Sprintf("invented-%d", i), 401))
	}
	for i := range 10 {
		e := request(noon, "203.0.113.5", fmt.Sprintf("forged-%d", i), 200)
		e.Auth.Outcome = "failure"
		m.Observe(e)
	}
	signedIn := request(noon, "203.0.113.4", "user-1", 500)
	signedIn.Auth.Outcome = "success"
	m.Observe(signedIn)
	for _, tc := range []struct {
		address, fingerprint, agent string
		want                        int
	}{
		{"203.0.113.1", "", "", 40}, {"::ffff:203.0.113.1", "", "", 40}, {"203.0.113.1", "chrome", "", 20}, {"203.0.113.1", "safari", "", 0},
		{"203.0.113.1", "chrome", "app/1", 20}, {"203.0.113.1", "", "app/2", 0}, {"203.0.113.2", "", "", 0}, {"203.0.113.3", "", "", 0},
		{"203.0.113.4", "", "", 1}, {"203.0.113.5", "", "", 0}, {"203.0.113.9", "", "", 0},
	} {
		if n := m.Principals(netip.MustParseAddr(tc.address), tc.fingerprint, tc.agent); n != tc.want {
			t.Errorf("%s %s %s: %d principals, want %d", tc.address, tc.fingerprint, tc.agent, n, tc.want)
		}
	}
	if n := m.Principals(netip.Addr{}, "", ""); n != 0 {
		t.Errorf("no address has %d principals", n)
	}
	*now = noon.Add(61 * time.Minute)
	if n := m.Principals(office, "", ""); n != 0 {
		t.Errorf("%d principals after an hour", n)
	}
}

// Whatever clients do, memory is bounded, and an address that is in use stays known.
func TestPeopleAreBounded(t *testing.T) {
	m, _ := newMeter(t)
	office := netip.MustParseAddr("203.0.113.1")
	for i := range 2 * maxAddresses {
		e := request(noon, "203.0.113.1", fmt.Sprintf("user-%d", i%10), 200)
		if i%100 == 0 {
			m.Observe(e)
		}
		e = request(noon, fmt.Sprintf("2001:db8::%x:%x", i>>16, i&0xffff), "someone", 200)
		m.Observe(e)
	}
	for i := range 10_000 {
		m.Observe(request(noon, "203.0.113.2", fmt.Sprintf("many-%d", i), 200))
	}
	if n := m.people.len(); n > maxAddresses {
		t.Errorf("%d addresses are remembered, the bound is %d", n, maxAddresses)
	}
	if n := m.Principals(office, "", ""); n != 1 { // every hundredth is user-0
		t.Errorf("%d principals on the address that stayed in use, want 1", n)
	}
	if n := m.Principals(netip.MustParseAddr("203.0.113.2"), "", ""); n != maxPeople {
		t.Errorf("%d principals, the bound is %d", n, maxPeople)
	}
	for i := range m.people.shards {
		s := &m.people.shards[i]
		sum := 0
		for e := s.recent.Front(); e != nil; e = e.Next() {
			sum += len(e.Value.(*place).people)
		}
		if sum != s.count || sum > maxPersons/shards || len(s.places) != s.recent.Len() {
			t.Errorf("shard %d: %d persons, counted %d; %d places, %d in order", i, sum, s.count, len(s.places), s.recent.Len())
		}
	}
}

// One account can neither push the others of its address out, by changing its program, nor an office, by changing its address.
func TestOneAccountHidesNobody(t *testing.T) {
	m, now := newMeter(t)
	for i := range 40 {
		m.Observe(request(noon, "203.0.113.1", fmt.Sprintf("user-%d", i), 200))
	}
	for i := range 10_000 {
		*now = noon.Add(time.Duration(i) * time.Millisecond)
		e := request(*now, "203.0.113.1", "mallory", 200)
		e.Request.UserAgent = fmt.Sprintf("program-%d", i)
		m.Observe(e)
	}
	office := netip.MustParseAddr("203.0.113.1")
	if n := m.Principals(office, "", ""); n != 41 {
		t.Errorf("%d principals after one account's many programs, want 41", n)
	}
	for i := range 2 * maxAddresses {
		m.Observe(request(*now, fmt.Sprintf("2001:db8::%x:%x", i>>16, i&0xffff), "mallory", 200))
	}
	if n := m.Principals(office, "", ""); n != 41 {
		t.Errorf("%d principals after one account's many addresses, want 41", n)
	}
}

// Events that are late are no fall: while a tap lags behind, nothing is sure.
func TestFellWhileLate(t *testing.T) {
	for lag := time.Duration(0); lag <= 30*time.Second; lag += 3 * time.Second {
		for offset := range 10 {
			m, now := newMeter(t)
			block := noon.Add(2*time.Minute + time.Duration(offset)*time.Second)
			for s := range 180 {
				*now = noon.Add(time.Duration(s) * time.Second)
				behind := min(lag, max(0, now.Sub(block)))
				at := now.Add(-behind)
				for range 10 {
					m.Observe(request(at, "10.0.0.1", "", 200))
				}
				if fall, sure := m.Fell(block); sure && fall >= 0.3 {
					t.Fatalf("lag %s: a fall of %.2f at %s", lag, fall, now.Sub(block))
				}
			}
		}
	}
}

func TestFell(t *testing.T) {
	for _, tc := range []struct {
		name          string
		before, after int           // good requests a second
		quiet         bool          // nothing is heard after
		blockAt, at   time.Duration // since noon
		fall          float64
		sure          bool
	}{
		{"nothing changed", 10, 10, false, 2 * time.Minute, 3 * time.Minute, 0, true},
		{"gone", 10, 0, false, 2 * time.Minute, 3 * time.Minute, 1, true},
		{"half", 10, 5, false, 2 * time.Minute, 3 * time.Minute, 0.5, true},
		{"grew", 10, 20, false, 2 * time.Minute, 3 * time.Minute, 0, true},
		{"too early", 10, 0, false, 2 * time.Minute, 2*time.Minute + 15*time.Second, 0, false},
		{"too little traffic", 1, 0, false, 2 * time.Minute, 2*time.Minute + 34*time.Second, 1, false},
		{"no past", 10, 0, false, 15 * time.Second, time.Minute, 0, false},
		{"nothing is heard at all", 10, 0, true, 2 * time.Minute, 3 * time.Minute, 0, false},
	} {
		m, now := newMeter(t)
		for s := time.Duration(0); s < tc.at; s += time.Second {
			*now = noon.Add(s)
			n := tc.before
			if s >= tc.blockAt {
				n = tc.after
			}
			for range n {
				m.Observe(request(*now, "10.0.0.1", "", 200))
			}
			if !tc.quiet || s < tc.blockAt {
				m.Observe(&event.Event{Kind: event.Heartbeat, Time: *now})
			}
		}
		*now = noon.Add(tc.at)
		fall, sure := m.Fell(noon.Add(tc.blockAt))
		if math.Abs(fall-tc.fall) > 0.001 || sure != tc.sure {
			t.Errorf("%s: %v, %v, want %v, %v", tc.name, fall, sure, tc.fall, tc.sure)
		}
	}
}

// An even stream of requests that arrive by chance must not look like a fall.
func TestFellByChance(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		m, now := newMeter(t)
		for s := range 180 {
			*now = noon.Add(time.Duration(s) * time.Second)
			m.Observe(&event.Event{Kind: event.Heartbeat, Time: *now})
			for p := 1.0; ; { // Poisson, Knuth's way
				if p *= rng.Float64(); p < math.Exp(-5) {
					break
				}
				m.Observe(request(*now, "10.0.0.1", "", 200))
			}
		}
		if fall, sure := m.Fell(noon.Add(2 * time.Minute)); sure && fall >= 0.3 {
			t.Errorf("a fall of %.2f by chance", fall)
		}
	}
}

func TestConcurrently(t *testing.T) {
	m, err := New(DefaultConfig(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	d := about(t, decision.Term{Scope: decision.CIDR, Value: "10.0.0.0/8"})
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				m.Observe(request(time.Now(), fmt.Sprintf("10.0.%d.%d", g, i%250), "user", 200))
				if i%50 == 0 {
					m.Share(d)
					m.Principals(netip.MustParseAddr("10.0.0.1"), "", "")
					m.Fell(time.Now())
				}
			}
		})
	}
	wg.Wait()
	if share, good := m.Share(d); share != 1 || good != 8000 {
		t.Errorf("%v of %d, want all of 8000", share, good)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{{}, {Window: DefaultConfig().Window}, {Remember: DefaultConfig().Remember}} {
		if _, err := New(c, prometheus.NewRegistry()); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

// filled is a meter with three hundred thousand good requests in its window.
func filled(b *testing.B) *Meter {
	m, now := newMeter(b)
	for i := range 300_000 {
		*now = noon.Add(time.Duration(i) * time.Millisecond)
		m.Observe(request(*now, fmt.Sprintf("10.%d.%d.%d", i%7, i/7%250, i/1750%250), fmt.Sprintf("user-%d", i%5000), 200))
	}
	return m
}

func BenchmarkObserve(b *testing.B) {
	m, _ := newMeter(b)
	events := make([]*event.Event, 1000)
	for i := range events {
		events[i] = request(noon, fmt.Sprintf("10.0.%d.%d", i/250, i%250), fmt.Sprintf("user-%d", i), 200)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Observe(events[i%len(events)])
	}
}

func BenchmarkShare(b *testing.B) {
	m := filled(b)
	for name, d := range map[string]*decision.Decision{
		"address":     about(b, decision.Term{Scope: decision.Address, Value: "10.3.20.7"}),
		"prefix":      about(b, decision.Term{Scope: decision.CIDR, Value: "10.3.20.0/24"}),
		"principal":   about(b, decision.Term{Scope: decision.Principal, Value: "user-77"}),
		"route":       about(b, decision.Term{Scope: decision.Route, Value: "/orders"}),
		"combination": about(b, decision.Term{Scope: decision.Address, Value: "10.3.20.7"}, decision.Term{Scope: decision.UserAgent, Value: "app/1"}),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Share(d)
			}
		})
	}
}
