package enforcer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// log is a decisions topic that keeps what was produced.
type log struct {
	mu   sync.Mutex
	recs []bus.Record
	fail error
	dead int
}

func (l *log) Produce(_ context.Context, recs ...bus.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	l.recs = append(l.recs, recs...)
	return nil
}

func (l *log) Consume(ctx context.Context, _, _ string, _ bus.Open) error { <-ctx.Done(); return nil }

func (l *log) Tail(ctx context.Context, _ string, _ func([]bus.Record) error, caughtUp func()) error {
	caughtUp()
	<-ctx.Done()
	return nil
}

func (l *log) DeadLetter(context.Context, bus.Record, string, error) error { l.dead++; return nil }

// decisions returns the newest decision of each key, tombstones removed.
func (l *log) decisions(t *testing.T) map[string]*decision.Decision {
	t.Helper()
	out := map[string]*decision.Decision{}
	for _, r := range l.recs {
		if r.Topic != bus.TopicDecisions || string(r.Key) == decision.SwitchKey {
			continue
		}
		delete(out, string(r.Key))
		if len(r.Value) == 0 {
			continue
		}
		d, err := decision.Decode(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		out[string(r.Key)] = d
	}
	return out
}

func (l *log) alerts(t *testing.T) []*alert.Alert {
	t.Helper()
	var out []*alert.Alert
	for _, r := range l.recs {
		if r.Topic == bus.TopicAlerts {
			a, err := alert.Decode(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, a)
		}
	}
	return out
}

func newTest(t *testing.T, change func(*Config)) (*Enforcer, *log, *time.Time) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Enforce = true
	if change != nil {
		change(&cfg)
	}
	l := &log{}
	e, err := New(cfg, l, nil, nil, slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	now := noon
	e.now = func() time.Time { return now }
	e.caughtUp()
	return e, l, &now
}

func attack(address string, at time.Time, change func(*alert.Alert)) *alert.Alert {
	a := &alert.Alert{Version: alert.Version, Rule: "probing", RuleVersion: "1", Title: "Path probing", Severity: alert.High, Time: at,
		Window: alert.Window{Start: at, End: at}, Group: map[string]string{"source.address": address}, Mode: alert.Enforce,
		Sample:  &alert.Sample{Event: "00"},
		Respond: []alert.Response{{Action: "block", Scope: "source.address", TTL: 15 * time.Minute}}}
	if change != nil {
		change(a)
	}
	a.ID = alert.NewID(a.Rule, a.RuleVersion, a.Group, a.Window)
	return a
}

func handle(t *testing.T, e *Enforcer, alerts ...*alert.Alert) {
	t.Helper()
	if err := tryHandle(t, e, alerts...); err != nil {
		t.Fatal(err)
	}
}

func tryHandle(t *testing.T, e *Enforcer, alerts ...*alert.Alert) error {
	t.Helper()
	var recs []bus.Record
	for _, a := range alerts {
		v, err := a.Encode()
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, bus.Record{Topic: bus.TopicAlerts, Value: v})
	}
	return (&partition{e}).Handle(t.Context(), recs)
}

func TestPolicy(t *testing.T) {
	type want struct {
		State     decision.State
		Mode      decision.Mode
		Guardrail string
		TTL       time.Duration
	}
	block := want{decision.Active, decision.Enforce, "", 15 * time.Minute}
	observe := want{decision.Active, decision.Observe, "", 15 * time.Minute}
	held := want{decision.Proposed, decision.Enforce, guardNeverBlock, 15 * time.Minute}
	for _, c := range []struct {
		name string
		cfg  func(*Config)
		a    *alert.Alert
		want *want
	}{
		{"block", nil, attack("203.0.113.9", noon, nil), &block},
		{"ipv6", nil, attack("2001:db8::9", noon, nil), &block},
		{"not enforcing", func(c *Config) { c.Enforce = false }, attack("203.0.113.9", noon, nil), &observe},
		{"shadow rule", nil, attack("203.0.113.9", noon, func(a *alert.Alert) { a.Mode = alert.Shadow }), &observe},
		{"canary of none", nil, attack("203.0.113.9", noon, func(a *alert.Alert) { a.Mode, a.Canary = alert.Canary, 0 }), &observe},
		{"canary of all", nil, attack("203.0.113.9", noon, func(a *alert.Alert) { a.Mode, a.Canary = alert.Canary, 100 }), &block},
		{"never-block address", func(c *Config) { c.NeverBlock = []string{"203.0.113.9"} }, attack("203.0.113.9", noon, nil), &held},
		{"never-block network", func(c *Config) { c.NeverBlock = []string{"203.0.113.0/24"} }, attack("203.0.113.9", noon, nil), &held},
		{"never-block v4 of a mapped v6", func(c *Config) { c.NeverBlock = []string{"203.0.113.0/24"} }, attack("::ffff:203.0.113.9", noon, nil), &held},
		{"never-block principal", func(c *Config) { c.NeverBlockPrincipals = []string{"ci"} }, attack("", noon, func(a *alert.Alert) {
			a.Group = map[string]string{"principal.id": "ci"}
			a.Respond[0].Scope = "principal.id"
		}), &held},
		{"capped life", func(c *Config) { c.MaxTTL = 60e9 }, attack("203.0.113.9", noon, nil), &want{decision.Active, decision.Enforce, "", time.Minute}},
		{"stale", nil, attack("203.0.113.9", noon.Add(-16*time.Minute), nil), nil},
		{"from the future", nil, attack("203.0.113.9", noon.Add(time.Hour), nil), &block},
		{"no entity", nil, attack("", noon, nil), nil},
		{"not an address", nil, attack("not-an-ip", noon, nil), nil},
		{"unknown action", nil, attack("203.0.113.9", noon, func(a *alert.Alert) { a.Respond[0].Action = "explode" }), nil},
		{"limit without rate", nil, attack("203.0.113.9", noon, func(a *alert.Alert) { a.Respond[0].Action = "limit" }), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, l, _ := newTest(t, c.cfg)
			handle(t, e, c.a)
			ds := slices.Collect(maps.Values(l.decisions(t)))
			if c.want == nil {
				if len(ds) > 0 {
					t.Fatalf("got decision %+v, want none", ds[0])
				}
				return
			}
			if len(ds) != 1 {
				t.Fatalf("got %d decisions, want 1", len(ds))
			}
			d := ds[0]
			if diff := cmp.Diff(*c.want, want{d.State, d.Mode, d.Guardrail, d.Expires.Sub(d.Created)}); diff != "" {
				t.Error(diff)
			}
			if d.Reason.Alert != c.a.ID || d.Reason.Event != "00" || d.Creator != "rule:probing" {
				t.Errorf("reason %+v by %s does not lead back to the alert", d.Reason, d.Creator)
			}
			if held := len(l.alerts(t)) == 1; held != (c.want.Guardrail != "") {
				t.Errorf("guardrail alert: %v", held)
			}
		})
	}
}

func TestTooManyNewBlocks(t *testing.T) {
	e, l, now := newTest(t, func(c *Config) { c.MaxNewPerMinute = 2 })
	handle(t, e, attack("203.0.113.1", noon, nil), attack("203.0.113.2", noon, nil), attack("203.0.113.3", noon, nil))
	d := l.decisions(t)["block|source.address|203.0.113.3"]
	if d == nil || d.State != decision.Proposed || d.Guardrail != guardTooMany {
		t.Fatalf("third decision is %+v, want it held back", d)
	}
	if as := l.alerts(t); len(as) != 1 || as[0].Rule != GuardrailRule || len(as[0].Respond) != 0 || !strings.Contains(as[0].Title, "Path probing") {
		t.Errorf("guardrail alerts: %+v", as)
	}
	*now = noon.Add(61 * time.Second)
	handle(t, e, attack("203.0.113.4", *now, nil))
	if d := l.decisions(t)["block|source.address|203.0.113.4"]; d.State != decision.Active {
		t.Errorf("a minute later a decision is %s, want active", d.State)
	}
}

// A repeat of an alert, as after a crash, says nothing new and counts nothing twice.
func TestRepeat(t *testing.T) {
	e, l, now := newTest(t, func(c *Config) { c.MaxNewPerMinute = 1 })
	a := attack("203.0.113.1", noon, nil)
	handle(t, e, a)
	*now = noon.Add(time.Second)
	handle(t, e, a)
	if len(l.recs) != 1 {
		t.Errorf("a repeated alert led to %d records, want that of the first time", len(l.recs))
	}
	if len(l.alerts(t)) != 0 {
		t.Error("a repeat tripped a guardrail")
	}
}

// A decision whose record never reached the topic is written when the alert is handled again.
func TestFailedProduceIsRepeated(t *testing.T) {
	e, l, _ := newTest(t, nil)
	l.fail = context.DeadlineExceeded
	a := attack("203.0.113.1", noon, nil)
	if tryHandle(t, e, a) == nil {
		t.Fatal("a failed produce is no error")
	}
	l.fail = nil
	handle(t, e, a)
	if d := l.decisions(t)["block|source.address|203.0.113.1"]; d == nil || d.State != decision.Active {
		t.Errorf("decision is %+v after the retry", d)
	}
}

func TestStrongerDecisionStays(t *testing.T) {
	e, l, now := newTest(t, nil)
	handle(t, e, attack("203.0.113.1", noon, nil))
	first := l.decisions(t)["block|source.address|203.0.113.1"]
	*now = noon.Add(time.Minute)
	handle(t, e,
		attack("203.0.113.1", *now, func(a *alert.Alert) { a.Rule, a.Respond[0].TTL = "short", time.Minute }),
		attack("203.0.113.1", *now, func(a *alert.Alert) { a.Rule, a.Mode, a.Respond[0].TTL = "shadow", alert.Shadow, time.Hour }))
	if d := l.decisions(t)["block|source.address|203.0.113.1"]; d.ID != first.ID {
		t.Errorf("a weaker decision replaced one in force: %+v", d)
	}
	handle(t, e, attack("203.0.113.1", *now, func(a *alert.Alert) { a.Rule, a.Respond[0].TTL = "long", time.Hour }))
	if d := l.decisions(t)["block|source.address|203.0.113.1"]; !d.Expires.Equal(now.Add(time.Hour)) {
		t.Errorf("a longer decision did not replace a shorter one: %+v", d)
	}
}

// A restarted enforcer that reads the topic knows what is in force, and the minute's budget.
func TestLearnsFromTheTopic(t *testing.T) {
	e, l, _ := newTest(t, nil)
	handle(t, e, attack("203.0.113.1", noon, nil))
	again, l2, _ := newTest(t, func(c *Config) { c.MaxNewPerMinute = 1 })
	again.learn(append(l.recs, bus.Record{Value: []byte("{")}))
	handle(t, again, attack("203.0.113.1", noon, func(a *alert.Alert) { a.Rule = "other" }))
	if len(l2.recs) != 0 {
		t.Errorf("an entity that is blocked already got another decision: %s", l2.recs[0].Value)
	}
	handle(t, again, attack("203.0.113.2", noon, nil))
	if d := l2.decisions(t)["block|source.address|203.0.113.2"]; d.Guardrail != guardTooMany {
		t.Errorf("the minute's budget was forgotten over the restart: %+v", d)
	}
}

// Who was only observed is refused once enforcement is switched on, and the other way round; a shadow rule's decision never is.
func TestSwitch(t *testing.T) {
	observer, l, _ := newTest(t, func(c *Config) { c.Enforce = false })
	handle(t, observer, attack("203.0.113.1", noon, nil), attack("203.0.113.2", noon, func(a *alert.Alert) { a.Mode = alert.Shadow }))
	modes := func(l *log) map[string]decision.Mode {
		out := map[string]decision.Mode{}
		for _, d := range l.decisions(t) {
			out[d.Value] = d.Mode
		}
		return out
	}
	for _, c := range []struct {
		enforce bool
		want    decision.Mode
	}{{true, decision.Enforce}, {true, decision.Enforce}, {false, decision.Observe}} {
		e, next, _ := newTest(t, func(cfg *Config) { cfg.Enforce = c.enforce })
		e.learn(l.recs)
		if err := e.align(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.recs = append(l.recs, next.recs...)
		if diff := cmp.Diff(map[string]decision.Mode{"203.0.113.1": c.want, "203.0.113.2": decision.Observe}, modes(l)); diff != "" {
			t.Errorf("enforce %v: %s", c.enforce, diff)
		}
	}
}

func TestUndecodableAlert(t *testing.T) {
	e, l, _ := newTest(t, nil)
	if err := (&partition{e}).Handle(t.Context(), []bus.Record{{Value: []byte("nonsense")}}); err != nil || l.dead != 1 {
		t.Errorf("error %v, %d dead letters; want none and one", err, l.dead)
	}
}

func TestExpiry(t *testing.T) {
	e, _, _ := newTest(t, func(c *Config) { c.KeepEnded, c.Ladder.Remember = config.Duration(time.Hour), 0 })
	handle(t, e, attack("203.0.113.1", noon, nil))
	expired, forget, _ := e.ledger.due(noon.Add(14 * time.Minute))
	if len(expired)+len(forget) != 0 {
		t.Fatal("a decision ended before its time")
	}
	expired, _, _ = e.ledger.due(noon.Add(15 * time.Minute))
	if len(expired) != 1 || expired[0].State != decision.Expired {
		t.Fatalf("due at expiry: %+v", expired)
	}
	e.ledger.put(expired[0], noon.Add(15*time.Minute))
	if n := e.ledger.active(); n != 0 {
		t.Errorf("%d active after the end", n)
	}
	_, forget, _ = e.ledger.due(noon.Add(2 * time.Hour))
	if diff := cmp.Diff([]string{"block|source.address|203.0.113.1"}, forget); diff != "" {
		t.Error(diff)
	}
}

// Every key that can be wrong is named when it is.
func TestConfig(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"never_block[1]":     func(c *Config) { c.NeverBlock = []string{"10.0.0.0/8", "nonsense"} },
		"max_ttl":            func(c *Config) { c.MaxTTL = 0 },
		"max_new_per_minute": func(c *Config) { c.MaxNewPerMinute = 0 },
		"max_share":          func(c *Config) { c.MaxShare = math.NaN() },
		"min_requests":       func(c *Config) { c.MinRequests = 0 },
		"allowance.requests": func(c *Config) { c.Allowance.Requests = -1 },
		"allowance.share":    func(c *Config) { c.Allowance.Share = 1.1 },
		"shared_address":     func(c *Config) { c.SharedAddress = 65 },
		"approval.cidr_v4":   func(c *Config) { c.Approval.CIDRv4 = 33 },
		"approval.cidr_v6":   func(c *Config) { c.Approval.CIDRv6 = -1 },
		"approval.scopes[0]": func(c *Config) { c.Approval.Scopes = []decision.Scope{"moon"} },
		"approval.share":     func(c *Config) { c.Approval.Share = 0 },
		"rollback.watch":     func(c *Config) { c.Rollback.Watch = 0 },
		"rollback.fall":      func(c *Config) { c.Rollback.Fall = 2 },
		"ladder.steps":       func(c *Config) { c.Ladder.Steps = nil },
		"ladder.steps[1]":    func(c *Config) { c.Ladder.Steps = []int{4, 1} },
		"ladder.remember":    func(c *Config) { c.Ladder.Remember = -1 },
		"keep_ended":         func(c *Config) { c.KeepEnded = -1 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v", want, err)
		}
		if _, err := New(cfg, &log{}, nil, nil, nil, nil); err == nil {
			t.Errorf("%s: New accepts a configuration that is not valid", want)
		}
	}
	cfg := DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func TestMetrics(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Enforce = true
	reg := prometheus.NewRegistry()
	l := &log{}
	e, err := New(cfg, l, &seen{share: 0.015, good: 1_000_000}, nil, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	e.now = func() time.Time { return noon }
	e.caughtUp()
	want := func(active, share, on, forgotten string) {
		t.Helper()
		text := fmt.Sprintf(`# HELP warder_enforcer_active_decisions Decisions in force.
# TYPE warder_enforcer_active_decisions gauge
warder_enforcer_active_decisions %s
# HELP warder_enforcer_forgotten_total Ended decisions that were forgotten before their time because too many are remembered; their entities start the ladder anew.
# TYPE warder_enforcer_forgotten_total counter
warder_enforcer_forgotten_total %s
# HELP warder_enforcer_share_in_use_ratio Part of successful requests that the refusing decisions in force touched when they were made, added up; bounded by max_share.
# TYPE warder_enforcer_share_in_use_ratio gauge
warder_enforcer_share_in_use_ratio %s
# HELP warder_enforcer_switch_enforce 1 when the global switch lets gateways refuse requests, 0 when it has them observe.
# TYPE warder_enforcer_switch_enforce gauge
warder_enforcer_switch_enforce %s
`, active, forgotten, share, on)
		if err := testutil.GatherAndCompare(reg, strings.NewReader(text), "warder_enforcer_active_decisions", "warder_enforcer_forgotten_total",
			"warder_enforcer_share_in_use_ratio", "warder_enforcer_switch_enforce"); err != nil {
			t.Error(err)
		}
	}
	want("0", "0", "1", "0")
	handle(t, e, attack("203.0.113.1", noon, nil), attack("203.0.113.2", noon, nil))
	want("2", "0.03", "1", "0")
	if _, err := e.Throw(t.Context(), "person:ann", decision.Observe, ""); err != nil {
		t.Fatal(err)
	}
	for _, d := range e.List(Filter{}) {
		if _, err := e.Revoke(t.Context(), "person:ann", d.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	want("0", "0", "0", "0")
	d := *e.List(Filter{})[0]
	for i := range maxEnded + 5 {
		x := d
		x.ID, x.Value, x.Expires = fmt.Sprint(i), fmt.Sprintf("2001:db8::%x", i+1), d.Expires.Add(time.Minute)
		e.ledger.put(&x, noon)
	}
	if err := e.end(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("0", "0", "0", "7")
	if e.ledger.at([]byte(blocked)) != nil {
		t.Error("what ended first was not forgotten first")
	}
}

func TestRunEnds(t *testing.T) {
	e, _, _ := newTest(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
