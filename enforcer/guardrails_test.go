package enforcer

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

// seen is traffic with known answers.
type seen struct {
	share      float64
	good       int64
	users      map[string]int // address, or address|fingerprint|user agent → principals
	fall       float64
	sure       bool
	shareAsked int
}

func (s *seen) Share(*decision.Decision) (float64, int64) { s.shareAsked++; return s.share, s.good }
func (s *seen) Principals(a netip.Addr, fp, ua string) int {
	return s.users[strings.TrimRight(a.String()+"|"+fp+"|"+ua, "|")]
}
func (s *seen) Fell(time.Time) (float64, bool) { return s.fall, s.sure }

func withTraffic(t *testing.T, s *seen, change func(*Config)) (*Enforcer, *log, *time.Time) {
	e, l, now := newTest(t, change)
	e.traffic = s
	return e, l, now
}

func only(t *testing.T, l *log) *decision.Decision {
	t.Helper()
	ds := l.decisions(t)
	if len(ds) != 1 {
		t.Fatalf("%d decisions, want one: %v", len(ds), ds)
	}
	for _, d := range ds {
		return d
	}
	return nil
}

// Nothing on a never-block list is touched, however the rule spells it.
func TestNeverBlockSpellings(t *testing.T) {
	for _, c := range []struct {
		scope, value string
		and          map[string]string
		held         bool
	}{
		{"source.address", "10.1.2.3", nil, true},
		{"source.address", "::ffff:10.1.2.3", nil, true},
		{"source.address", "::ffff:a01:203", nil, true},
		{"source.address", "2001:DB8:0:0::1", nil, true},
		{"source.address", "2001:db8::1%eth0", nil, true},
		{"source.cidr", "10.1.2.0/30", nil, true},
		{"source.cidr", "0.0.0.0/0", nil, true},
		{"source.cidr", "::ffff:10.1.2.0/120", nil, true},
		{"source.cidr", "2001:db8::/120", nil, true},
		{"source.cidr", "::/0", nil, true},
		{"principal.id", "ci", nil, true},
		{"source.address", "10.1.2.3", map[string]string{"request.useragent": "curl"}, true},
		{"api.route", "/login", map[string]string{"principal.id": "ci"}, true},
		{"source.address", "203.0.113.9", map[string]string{"principal.id": "ci"}, true},
		{"source.address", "203.0.113.9", nil, false},
		{"source.cidr", "203.0.113.0/24", nil, false},
		{"principal.id", "mallory", nil, false},
	} {
		e, l, _ := newTest(t, func(c *Config) {
			c.NeverBlock, c.NeverBlockPrincipals = []string{"::ffff:10.0.0.0/104", "2001:db8::1"}, []string{"ci"}
		})
		handle(t, e, attack("", noon, func(a *alert.Alert) {
			a.Group = map[string]string{c.scope: c.value}
			a.Respond[0].Scope = c.scope
			for k, v := range c.and {
				a.Group[k] = v
				a.Respond[0].And = append(a.Respond[0].And, k)
			}
		}))
		if d := only(t, l); (d.Guardrail == guardNeverBlock && d.State == decision.Proposed) != c.held {
			t.Errorf("%s=%s and %v: %s by %q", c.scope, c.value, c.and, d.State, d.Guardrail)
		}
	}
}

// What names no client waits for a person, also when wide terms stand together.
func TestApprovalBySize(t *testing.T) {
	for _, c := range []struct {
		group map[string]string
		held  bool
	}{
		{map[string]string{"source.country": "nl"}, true},
		{map[string]string{"api.route": "/", "request.useragent": "Mozilla", "source.country": "nl", "source.asn": "AS1"}, true},
		{map[string]string{"source.cidr": "203.0.112.0/23"}, true},
		{map[string]string{"source.cidr": "0.0.0.0/0", "api.route": "/login"}, true},
		{map[string]string{"source.cidr": "2001:db8::/47"}, true},
		{map[string]string{"source.cidr": "2001:db8::/48"}, false},
		{map[string]string{"source.cidr": "203.0.113.0/24"}, false},
		{map[string]string{"api.route": "/login", "source.address": "203.0.113.9"}, false},
	} {
		e, l, _ := newTest(t, nil)
		handle(t, e, attack("", noon, func(a *alert.Alert) {
			a.Group, a.Respond[0].Scope = c.group, ""
			for k := range c.group {
				if a.Respond[0].Scope == "" {
					a.Respond[0].Scope = k
				} else {
					a.Respond[0].And = append(a.Respond[0].And, k)
				}
			}
		}))
		if d := only(t, l); (d.Guardrail == guardApproval) != c.held {
			t.Errorf("%v: %s by %q", c.group, d.State, d.Guardrail)
		}
	}
}

// Many small blocks together touch no more than one large one may, and neither a restart nor a longer block refills the budget.
func TestShareBudget(t *testing.T) {
	s := &seen{share: 0.02, good: 1_000_000}
	e, l, _ := withTraffic(t, s, nil)
	for i := range 5 {
		handle(t, e, attack(fmt.Sprintf("203.0.113.%d", i+1), noon, nil))
	}
	active := func() (n int) {
		for _, d := range l.decisions(t) {
			if d.State == decision.Active {
				n++
			}
		}
		return n
	}
	if n := active(); n != 2 {
		t.Errorf("%d blocks of 2%% each are in force, want 2 of 5%%", n)
	}
	s.share = 0
	handle(t, e, attack("203.0.113.1", noon, func(a *alert.Alert) { a.Rule, a.Respond[0].TTL = "long", time.Hour }))
	s.share = 0.02
	again, _, _ := withTraffic(t, s, nil)
	again.bus = l
	again.learn(l.recs)
	handle(t, again, attack("203.0.113.77", noon, nil))
	if n := active(); n != 2 {
		t.Errorf("%d blocks after a restart, want 2", n)
	}
	s.good = 99
	handle(t, again, attack("203.0.113.78", noon, nil))
	if n := active(); n != 3 {
		t.Errorf("a share of too few requests was judged: %d blocks", n)
	}
}

func TestSharedAddress(t *testing.T) {
	const nat = "203.0.113.9"
	sample := func(change func(*alert.Sample)) *alert.Sample {
		s := &alert.Sample{Address: nat, Principal: "mallory", PrincipalType: "jwt", Fingerprint: "t13d", UserAgent: "curl"}
		change(s)
		return s
	}
	nobody := func(s *alert.Sample) { s.Principal = "" }
	many := map[string]int{nat: 200, nat + "|t13d": 200, nat + "||curl": 200}
	for name, c := range map[string]struct {
		sample *alert.Sample
		users  map[string]int
		scope  string
		never  string
		want   string // entity, "" for a proposal
	}{
		"not shared":  {sample(nobody), map[string]int{nat: 4}, "", "", "source.address=" + nat},
		"principal":   {sample(func(*alert.Sample) {}), many, "", "", "principal.id=mallory"},
		"key":         {sample(func(s *alert.Sample) { s.PrincipalType = "api_key" }), many, "", "", "principal.key=mallory"},
		"claimed":     {sample(func(s *alert.Sample) { s.Principal = "unverified:m" }), many, "", "", ""},
		"basic":       {sample(func(s *alert.Sample) { s.PrincipalType = "basic" }), many, "", "", ""},
		"fingerprint": {sample(nobody), map[string]int{nat: 200, nat + "|t13d": 1}, "", "", "source.address=" + nat + " and tls.fingerprint=t13d"},
		"user agent": {sample(nobody), map[string]int{nat: 200, nat + "|t13d": 9, nat + "||curl": 1}, "", "",
			"source.address=" + nat + " and request.useragent=curl"},
		"nothing narrower": {sample(nobody), many, "", "", ""},
		"a prefix of one":  {sample(nobody), many, nat + "/32", "", ""},
		"a small prefix":   {sample(nobody), many, "203.0.113.0/24", "", ""},
		"listed principal": {sample(func(*alert.Sample) {}), many, "", "mallory", ""},
	} {
		e, l, _ := withTraffic(t, &seen{users: c.users}, func(cfg *Config) { cfg.NeverBlockPrincipals = []string{c.never} })
		a := attack(nat, noon, func(a *alert.Alert) {
			a.Sample = c.sample
			if c.scope != "" {
				a.Group["source.cidr"], a.Respond[0].Scope = c.scope, "source.cidr"
			}
		})
		handle(t, e, a)
		d := only(t, l)
		if got := d.Entity(); d.State == decision.Active && got != c.want || (d.State == decision.Proposed) != (c.want == "") {
			t.Errorf("%s: %s of %s (%s)", name, d.State, got, d.Note)
		}
		again, l2, _ := newTest(t, nil) // traffic is not known yet after a restart
		again.learn(l.recs)
		handle(t, again, a)
		if len(l2.decisions(t)) != 0 {
			t.Errorf("%s: a repeat of the alert decided anew", name)
		}
	}
}

// A rule that matches everything blocks up to the guardrails, and people learn it from one alert.
func TestRuleThatMatchesEverything(t *testing.T) {
	e, l, _ := newTest(t, nil)
	for i := range 3000 {
		handle(t, e, attack(fmt.Sprintf("2001:db8::%x", i+1), noon, nil))
	}
	active := 0
	for _, d := range l.decisions(t) {
		if d.State == decision.Active {
			active++
		}
	}
	if as := l.alerts(t); active != 100 || len(as) != 1 || !strings.Contains(as[0].Description, "warder decisions approve") {
		t.Errorf("%d blocks, %d alerts; want 100 and 1", active, len(as))
	}
}

func TestBurstIsOneBlock(t *testing.T) {
	s := &seen{}
	e, l, _ := withTraffic(t, s, nil)
	for i := range 1000 {
		handle(t, e, attack("203.0.113.9", noon, func(a *alert.Alert) { a.Window.End = noon.Add(time.Duration(i)) }))
	}
	if len(l.recs) != 1 || s.shareAsked != 1 {
		t.Errorf("%d records, %d questions; want 1 of each", len(l.recs), s.shareAsked)
	}
}

func TestLadder(t *testing.T) {
	e, l, now := newTest(t, nil)
	for i, want := range []time.Duration{15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 24 * time.Hour} {
		handle(t, e, attack("203.0.113.9", *now, nil))
		d := only(t, l)
		if d.Offence != i+1 || d.Expires.Sub(d.Created) != want {
			t.Errorf("offence %d lasts %s, want %d and %s", d.Offence, d.Expires.Sub(d.Created), i+1, want)
		}
		*now = d.Expires.Add(time.Hour)
		if err := e.end(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	*now = now.Add(8 * 24 * time.Hour)
	handle(t, e, attack("203.0.113.9", *now, nil))
	d := only(t, l)
	if d.Offence != 1 {
		t.Errorf("offence %d after it was forgotten", d.Offence)
	}
}

func TestRollback(t *testing.T) {
	s := &seen{share: 0.01, good: 1000, fall: 0.5, sure: true}
	e, l, now := withTraffic(t, s, nil)
	handle(t, e, attack("203.0.113.1", noon, nil), attack("203.0.113.2", noon, nil))
	s.share = 0
	handle(t, e, attack("203.0.113.3", noon, nil))
	*now = noon.Add(time.Minute)
	if err := e.rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for v, want := range map[string]decision.State{"203.0.113.1": decision.Revoked, "203.0.113.2": decision.Revoked, "203.0.113.3": decision.Active} {
		if d := l.decisions(t)["block|source.address|"+v]; d.State != want {
			t.Errorf("%s is %s, want %s", v, d.State, want)
		}
	}
	if as := l.alerts(t); len(as) != 1 || !strings.Contains(as[0].Description, "50%") {
		t.Errorf("alerts %+v", as)
	}
	handle(t, e, attack("203.0.113.1", *now, nil))
	d := l.decisions(t)[blocked]
	if d.State != decision.Proposed || d.Guardrail != guardRollback || !d.Expires.Equal(noon.Add(15*time.Minute)) {
		t.Errorf("a new alert made %+v", d)
	}
	if _, err := e.Approve(t.Context(), "person:ann", d.ID, "sure"); err != nil {
		t.Error(err)
	}
}

func TestManual(t *testing.T) {
	e, l, now := newTest(t, func(c *Config) { c.NeverBlock = []string{"10.0.0.0/8"} })
	ctx := t.Context()
	req := Request{Action: decision.Block, Terms: []decision.Term{{Scope: decision.Address, Value: "::ffff:203.0.113.1"}}, TTL: time.Hour, Nonce: "1"}
	d, err := e.Add(ctx, "person:ann", req)
	if err != nil || d.Value != "203.0.113.1" {
		t.Fatal(d, err)
	}
	if again, err := e.Add(ctx, "person:ann", req); err != nil || again != d || len(l.recs) != 1 {
		t.Error("a repeated request made a second decision", err)
	}
	bad := req
	bad.TTL = 25 * time.Hour
	listed := req
	listed.Terms = []decision.Term{{Scope: decision.Address, Value: "10.0.0.1"}}
	for _, c := range []struct {
		r    Request
		want error
	}{{bad, ErrInvalid}, {listed, ErrConflict}, {Request{Action: "block", TTL: 1}, ErrInvalid}} {
		if _, err := e.Add(ctx, "person:ann", c.r); !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
	}
	*now = noon.Add(time.Minute)
	if x, err := e.Extend(ctx, "person:bob", d.ID, 2*time.Hour); err != nil || !x.Expires.Equal(now.Add(2*time.Hour)) || x.Approver != "person:bob" {
		t.Error(x, err)
	}
	if x, err := e.Explain("203.0.113.1"); err != nil || !strings.Contains(x.Effective, "block until") {
		t.Error(x, err)
	}
	if _, err := e.Throw(ctx, "person:ann", decision.Observe, "incident"); err != nil {
		t.Error(err)
	}
	again, _, _ := newTest(t, nil)
	again.learn(l.recs)
	if again.Switch().Mode != decision.Observe {
		t.Error("the switch did not survive a restart")
	}
	for range 2 {
		if x, err := e.Revoke(ctx, "person:ann", d.ID, "mistake"); err != nil || x.State != decision.Revoked {
			t.Error(x, err)
		}
	}
	if _, err := e.Extend(ctx, "person:ann", d.ID, time.Hour); !errors.Is(err, ErrConflict) {
		t.Error(err)
	}
	if _, err := e.Get("nothing"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}
