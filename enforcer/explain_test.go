package enforcer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

func TestListInPages(t *testing.T) {
	e, _, now := newTest(t, nil)
	for i := range 7 {
		*now = noon.Add(time.Duration(i/2) * time.Second) // some are made at the same time
		handle(t, e, attack(fmt.Sprintf("203.0.113.%d", i), *now, nil))
	}
	all := e.List(Filter{})
	for limit := range 9 {
		var paged []*decision.Decision
		for f := (Filter{Limit: limit}); ; f.After = paged[len(paged)-1].ID {
			page := e.List(f)
			if paged = append(paged, page...); limit == 0 || len(page) < limit {
				break
			}
		}
		if diff := cmp.Diff(all, paged); diff != "" || len(all) != 7 {
			t.Errorf("pages of %d: %s", limit, diff)
		}
	}
	if first := e.List(Filter{Limit: 1}); first[0].Value != "203.0.113.6" {
		t.Errorf("the newest is %s", first[0].Value)
	}
	for f, want := range map[*Filter]int{
		{Value: "::ffff:203.0.113.1"}: 1, {Scope: decision.Principal}: 0, {Rule: "probing"}: 7, {Creator: "rule:other"}: 0,
		{Action: decision.Limit}: 0, {States: []decision.State{decision.Active}}: 7, {States: []decision.State{decision.Revoked}}: 0,
		{After: e.List(Filter{})[6].ID}: 0,
	} {
		if got := e.List(*f); len(got) != want {
			t.Errorf("%+v chooses %d, want %d", *f, len(got), want)
		}
	}
}

// certain is a proof with known answers.
type certain struct{}

func (certain) Explain(id string) ([]Acknowledgement, uint64, time.Time) {
	return []Acknowledgement{{Gateway: "edge-1", Kind: "haproxy", Acked: true, At: noon}, {Gateway: id}}, 3, noon
}
func (certain) Gateways() []GatewayStatus {
	return []GatewayStatus{{Gateway: "edge-1", State: "in line"}}
}

func TestExplain(t *testing.T) {
	e, _, _ := withTraffic(t, &seen{users: map[string]int{"198.51.100.7": 3}}, func(c *Config) { c.NeverBlock = []string{"10.0.0.0/8"} })
	if e.Gateways() != nil {
		t.Error("gateways are known without a proof")
	}
	e.proof = certain{}
	handle(t, e, attack("203.0.113.9", noon, nil), attack("203.0.113.9", noon, func(a *alert.Alert) {
		a.Group["api.route"], a.Respond[0].And = "/login", []string{"api.route"}
	}), attack("", noon, func(a *alert.Alert) {
		a.Group, a.Respond[0].Scope = map[string]string{"source.cidr": "192.0.2.0/24"}, "source.cidr"
	}))
	for _, c := range []struct{ what, entity, effective string }{
		{"source.address=203.0.113.9", "source.address=203.0.113.9", "block until"},
		{"api.route=/login and source.address=203.0.113.9", "source.address=203.0.113.9 and api.route=/login", "block until"},
		{" source.address=::ffff:203.0.113.9 and api.route=/login", "source.address=203.0.113.9 and api.route=/login", "block until"},
		{"/login", "source.address=203.0.113.9 and api.route=/login", "block until"},
		{"192.0.2.77", "source.cidr=192.0.2.0/24", "block until"},
		{"source.address=192.0.2.77", "source.cidr=192.0.2.0/24", "block until"},
		{"198.51.100.7", "", "no decision names 198.51.100.7 or a prefix that holds it; it is not on the never-block list; 3 proven principals"},
		{"source.address=198.51.100.7", "", "3 proven principals"},
		{"10.1.2.3", "", "it is on the never-block list; 0 proven principals"},
	} {
		x, err := e.Explain(c.what)
		if err != nil || !strings.Contains(x.Effective, c.effective) {
			t.Errorf("%s: %+v, %v", c.what, x, err)
			continue
		}
		if c.entity == "" != (x.Decision == nil) || x.Decision != nil && x.Decision.Entity() != c.entity {
			t.Errorf("%s explains %+v", c.what, x.Decision)
		}
		if x.Decision != nil && (x.Refusals != 3 || !x.FirstRefusal.Equal(noon) || len(x.Gateways) != 2 || x.Gateways[1].Gateway != x.Decision.ID) {
			t.Errorf("%s: what gateways say is missing: %+v", c.what, x)
		}
	}
	for _, what := range []string{"", "nobody", "api.route=/nothing", "a=b and c=d"} {
		if x, err := e.Explain(what); err == nil {
			t.Errorf("%q explains %+v", what, x.Decision)
		}
	}
	if diff := cmp.Diff(certain{}.Gateways(), e.Gateways()); diff != "" {
		t.Error(diff)
	}
}

// What the configuration lists since is let in again when the enforcer starts, once.
func TestNewlyListedAreRevoked(t *testing.T) {
	e, l, _ := newTest(t, nil)
	handle(t, e, attack("203.0.113.1", noon, nil), attack("203.0.113.2", noon, nil))
	again, next, _ := newTest(t, func(c *Config) { c.NeverBlock = []string{"203.0.113.1"} })
	again.learn(l.recs)
	for range 2 {
		if err := again.align(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	d := only(t, next)
	if d.State != decision.Revoked || d.Guardrail != guardNeverBlock || d.Value != "203.0.113.1" || len(next.recs) != 1 {
		t.Errorf("%d records, the last %+v", len(next.recs), d)
	}
	if n := again.ledger.active(); n != 1 {
		t.Errorf("%d in force, want 1", n)
	}
}

func TestChallengeStatus(t *testing.T) {
	for status, made := range map[int]bool{401: true, 429: true, 0: false, 403: false} {
		e, l, _ := newTest(t, nil)
		handle(t, e, attack("203.0.113.9", noon, func(a *alert.Alert) { a.Respond[0].Action, a.Respond[0].Status = "challenge", status }))
		ds := l.decisions(t)
		if len(ds) == 1 != made || made && only(t, l).Status != status {
			t.Errorf("a challenge with status %d made %v", status, ds)
		}
	}
}
