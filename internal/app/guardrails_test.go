package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/receivers"
)

// everybody is the worst rule that somebody can write.
const everybody = `
id: everybody
title: Everybody
severity: critical
filter: "true"
group_by: [source.address]
mode: enforce
respond:
  - block: {scope: source.address, ttl: 15m}
tests:
  - {name: none, events: [], expect: []}
`

// A rule whose filter is true in enforce mode, and hundreds of customers: it blocks no more than the guardrails let it, the service goes
// on, and people learn why. The global switch then lets everybody in within a second.
func TestRuleThatMatchesEverything(t *testing.T) {
	const customers, budget = 300, 10
	r := newRig(t, func(c *app.Config) {
		c.Rules.Paths = []string{file(t, t.TempDir(), "everybody.yaml", everybody)}
		c.Enforcer.MaxNewPerMinute = budget
	})
	<-r.app.Up()
	refused := func() (n int) {
		for i := range customers {
			if r.get(fmt.Sprintf("10.1.%d.%d", i/250, i%250), "/") == http.StatusForbidden {
				n++
			}
		}
		return n
	}
	refused()
	r.wait("the proposals", func() bool {
		return r.metric("warder_enforcer_guardrail_total", `guardrail="too_many_blocks"`) >= customers-budget
	})
	if n := refused(); n > budget {
		t.Errorf("%d of %d customers are refused, the guardrail allows %d", n, customers, budget)
	}
	r.wait("an alert that says why", func() bool {
		return said(r.hook.Messages(), "warder-guardrail", "Everybody", "warder decisions")
	})
	if n := guardrailAlerts(r.hook.Messages()); n > 5 {
		t.Errorf("%d alerts about one rule's guardrail, people want one", n)
	}
	if _, err := r.app.Enforcer().Throw(t.Context(), "person:test", decision.Observe, "the rule is wrong"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	r.wait("nobody to be refused", func() bool { return refused() == 0 })
	if took := time.Since(start); took > 5*time.Second { // asking all customers takes part of it
		t.Errorf("the switch took %s", took)
	}
	if r.get("198.51.100.1", "/") != http.StatusOK {
		t.Error("a new customer is refused although the switch observes")
	}
}

func said(ms []receivers.Message, texts ...string) bool {
	for _, m := range ms {
		if containsAll(string(m.Body), texts...) {
			return true
		}
	}
	return false
}

func guardrailAlerts(ms []receivers.Message) (n int) {
	for _, m := range ms {
		n += strings.Count(string(m.Body), `"warder-guardrail"`)
	}
	return n
}

// A burst of attacks from one address makes exactly one block, also by a rule that alerts on each of them, and its refusals make no
// further alerts.
func TestBurstMakesOneBlock(t *testing.T) {
	r := newRig(t, nil)
	<-r.app.Up()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				r.get("203.0.113.9", "/attack")
			}
		})
	}
	wg.Wait()
	r.blocked("203.0.113.9")
	r.attack("203.0.113.10") // what the burst led to comes before this one
	r.blocked("203.0.113.10")
	before := r.metric("warder_bus_produced_records_total", `topic="warder.alerts"`)
	for range 200 { // refused, and matched by the rule
		if code := r.get("203.0.113.9", "/attack"); code != http.StatusForbidden {
			t.Fatalf("a blocked address was answered with %d", code)
		}
	}
	r.attack("203.0.113.11")
	r.blocked("203.0.113.11")
	if n := r.metric("warder_bus_produced_records_total", `topic="warder.alerts"`) - before; n != 1 {
		t.Errorf("%v alerts after the block, want the one about the third attacker", n)
	}
	if n := r.metric("warder_enforcer_decisions_total", `action="block"`, `state="active"`); n != 3 {
		t.Errorf("%v blocks were made for three attackers", n)
	}
}

// Two hundred people share an office's address and one of them attacks: that one is refused, by the key that was used, and nobody else.
func TestOfficeBehindOneAddress(t *testing.T) {
	r := newRig(t, nil)
	<-r.app.Up()
	const office = "203.0.113.77"
	as := func(user int, path string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", office)
		req.Header.Set("X-Api-Key", fmt.Sprintf("key-of-user-%d", user))
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for user := range 200 {
		as(user, "/")
	}
	r.wait("the meter to know the office", func() bool {
		return r.metric("warder_traffic_good_requests") >= 200
	})
	as(7, "/attack")
	r.wait("the attacker to be refused", func() bool { return as(7, "/") == http.StatusForbidden })
	for user := range 200 {
		if code := as(user, "/"); user != 7 && code != http.StatusOK {
			t.Fatalf("user %d of the office is answered with %d", user, code)
		}
	}
	for d := range r.app.Decisions().All() {
		if d.Scope == decision.Address || d.Scope == decision.CIDR {
			t.Errorf("a block of %s is in force", d.Entity())
		}
		if !strings.Contains(d.Note, "principals share") {
			t.Errorf("the decision does not say why it was narrowed: %q", d.Note)
		}
	}
}
