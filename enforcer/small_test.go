package enforcer

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

// clients is traffic of which each address has its own share; those without one have all the same.
type clients struct {
	seen
	each map[string]float64
}

func (c *clients) Share(d *decision.Decision) (float64, int64) {
	if s, ok := c.each[d.Value]; ok {
		return s, c.good
	}
	return c.share, c.good
}

// How much of the traffic a rule that matches everybody refuses with the default configuration, and who defends itself.
func TestDefaultsInServicesOfEverySize(t *testing.T) {
	attackers := map[string]float64{"198.51.100.1": 0, "198.51.100.2": 0, "198.51.100.3": 0.05, "198.51.100.4": 0.03,
		"198.51.100.5": 0.02, "198.51.100.6": 0, "198.51.100.7": 0.04}
	for _, c := range []struct {
		name    string
		good    int64 // successful requests of the last minutes
		clients int   // that share them evenly
		each    map[string]float64
		refused float64 // at most this part may be
		blocked int     // at least so many are
	}{
		{"demo, attackers only", 1200, 0, attackers, 0.2, 7},
		{"demo after minutes, attackers only", 9000, 0, attackers, 0.2, 7},
		{"demo, everybody", 1200, 40, nil, 0.2, 8},
		{"60 a second for five minutes, everybody", 18_000, 40, nil, 0.112, 4},
		{"1,000 a second, everybody", 300_000, 1000, nil, 0.05, 49},
		{"1,000 a second, one large customer", 300_000, 0, map[string]float64{"198.51.100.1": 0.03}, 0, 0},
		{"1,000 a second, one scraper", 300_000, 0, map[string]float64{"198.51.100.1": 0.015}, 0.02, 1},
		{"three clients", 5000, 3, nil, 0, 0},
		{"100,000 a second, everybody", 30_000_000, 100_000, nil, 0.001, 100},
		{"one address for everybody", 1200, 0, map[string]float64{"198.51.100.1": 1}, 0, 0},
	} {
		for _, r := range []alert.Response{
			{Action: "block", Scope: "source.address", TTL: time.Hour},
			{Action: "challenge", Scope: "source.address", TTL: time.Hour, Status: 429},
			{Action: "limit", Scope: "source.address", TTL: time.Hour, Requests: 1, Per: 24 * time.Hour, Burst: 1},
			{Action: "limit", Scope: "source.address", TTL: time.Hour, Requests: 59, Per: time.Minute, Burst: 1},
		} {
			traffic := &clients{seen{good: c.good, share: 1 / float64(max(c.clients, 1))}, c.each}
			e, l, _ := newTest(t, nil)
			e.traffic = traffic
			for a := range c.each {
				handle(t, e, attack(a, noon, func(a *alert.Alert) { a.Respond[0] = r }))
			}
			for i := range min(c.clients, 1000) {
				handle(t, e, attack(fmt.Sprintf("2001:db8::%x", i+1), noon, func(a *alert.Alert) { a.Respond[0] = r }))
			}
			refused, blocked := 0.0, 0
			for _, d := range l.decisions(t) {
				if d.State == decision.Active {
					share, _ := traffic.Share(d)
					refused += share
					blocked++
				}
			}
			if refused > c.refused+1e-6 || blocked < c.blocked {
				t.Errorf("%s, %s: %d refused with %.1f%% of the traffic; want at least %d with at most %.1f%%",
					c.name, r.Action, blocked, 100*refused, c.blocked, 100*c.refused)
			}
			if got := e.ledger.shareInUse(); math.Abs(got-refused) > 1e-6 {
				t.Errorf("%s, %s: %.3f of the budget is in use, want %.3f", c.name, r.Action, got, refused)
			}
		}
	}
}

// A limit of a request a second and more refuses nobody who works with the service: only the minute's budget and the shared address hold it.
func TestWideLimitTakesNoShare(t *testing.T) {
	e, l, _ := withTraffic(t, &seen{share: 0.5, good: 300_000, users: map[string]int{"203.0.113.9": 200}}, nil)
	slow := func(a *alert.Alert) {
		a.Respond[0] = alert.Response{Action: "limit", Scope: "source.address", TTL: time.Hour, Requests: 60, Per: time.Minute, Burst: 5}
	}
	handle(t, e, attack("203.0.113.1", noon, slow), attack("203.0.113.9", noon, slow))
	for v, want := range map[string]string{"203.0.113.1": "", "203.0.113.9": guardShared} {
		if d := l.decisions(t)["limit|source.address|"+v]; d == nil || d.Guardrail != want || d.Share != 0 {
			t.Errorf("%s: %+v", v, d)
		}
	}
}

// An alert comes again after a restart, when its narrowed decision has given way to a longer one and nobody knows yet who shares the address.
func TestRepeatOfAReplacedNarrowDecision(t *testing.T) {
	e, l, _ := withTraffic(t, &seen{users: map[string]int{"203.0.113.9": 200}}, nil)
	sample := func(a *alert.Alert) {
		a.Sample = &alert.Sample{Principal: "mallory", PrincipalType: "jwt", Address: "203.0.113.9"}
	}
	first := attack("203.0.113.9", noon, sample)
	handle(t, e, first, attack("203.0.113.9", noon, func(a *alert.Alert) { sample(a); a.Rule, a.Respond[0].TTL = "long", time.Hour }))
	again, l2, now := newTest(t, nil)
	again.learn(l.recs)
	handle(t, again, first)
	if ds := l2.decisions(t); len(ds) != 0 {
		t.Errorf("a repeat made %v", ds)
	}
	*now = noon.Add(2 * time.Hour)
	if err := again.end(t.Context()); err != nil || len(again.ledger.past) != 0 {
		t.Errorf("%d replaced decisions are remembered beyond their time, %v", len(again.ledger.past), err)
	}
}
