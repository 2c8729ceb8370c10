package enforcer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision"
)

var errKilled = errors.New("killed")

// mortal is a log whose writer dies in its kill-th write, of which the first keep records reach the topics.
type mortal struct {
	*log
	writes, kill, keep int
	dead               bool
	sizes              []int // records of each write
}

func (m *mortal) Produce(ctx context.Context, recs ...bus.Record) error {
	if m.dead {
		return errKilled
	}
	m.sizes = append(m.sizes, len(recs))
	if m.writes++; m.writes-1 == m.kill {
		m.dead = true
		return errors.Join(m.log.Produce(ctx, recs[:min(m.keep, len(recs))]...), errKilled)
	}
	return m.log.Produce(ctx, recs...)
}

// walk lives through the scenario. Whenever the enforcer is killed, another one reads the topics and the step comes again: alerts because
// they were not committed, a person's call because it failed. With others, another enforcer takes every second step.
func walk(t *testing.T, kill, keep int, others bool) *mortal {
	t.Helper()
	s := &seen{share: 0.01, good: 1000, users: map[string]int{"203.0.113.9": 200}}
	m := &mortal{log: &log{}, kill: kill, keep: keep}
	now := noon
	read := map[*Enforcer]int{}
	start := func() *Enforcer {
		e, _, _ := newTest(t, func(c *Config) { c.MaxNewPerMinute = 3 })
		e.bus, e.traffic, e.now = m, s, func() time.Time { return now }
		return e
	}
	es := []*Enforcer{start(), start()}
	catchUp := func(e *Enforcer) {
		recs := slices.DeleteFunc(slices.Clone(m.recs[read[e]:]), func(r bus.Record) bool { return r.Topic != bus.TopicDecisions })
		read[e] = len(m.recs)
		e.tellAgain(t.Context(), e.learn(recs))
	}
	for i, step := range scenario(t, s) {
		which := 0
		if others {
			which = i % 2
		}
		now = noon.Add(step.at)
		for {
			catchUp(es[which])
			if err := step.do(es[which]); err == nil {
				break
			} else if !m.dead {
				t.Fatalf("step %d, killed in write %d after %d records: %v", i, kill, keep, err)
			}
			m.dead = false
			es[which] = start()
			catchUp(es[which])
			if err := es[which].align(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return m
}

type step struct {
	at time.Duration
	do func(*Enforcer) error
}

func scenario(t *testing.T, s *seen) []step {
	ctx := t.Context()
	alerts := func(as ...*alert.Alert) func(*Enforcer) error {
		return func(e *Enforcer) error { return tryHandle(t, e, as...) }
	}
	ip := func(n int) *alert.Alert { return attack(fmt.Sprintf("203.0.113.%d", n), noon, nil) }
	nat := attack("203.0.113.9", noon, func(a *alert.Alert) {
		a.Sample = &alert.Sample{Principal: "mallory", PrincipalType: "jwt", Address: "203.0.113.9"}
	})
	person := func(fn func(e *Enforcer) error) func(*Enforcer) error { return fn }
	key := func(e *Enforcer, k string) string {
		if d := e.ledger.at([]byte(k)); d != nil {
			return d.ID
		}
		return "none"
	}
	sweep := func(e *Enforcer) error { return errors.Join(e.end(ctx), e.rollback(ctx)) }
	return []step{
		{0, alerts(ip(1), nat, ip(2), ip(3), ip(4))},
		{time.Second, alerts(ip(1), nat, ip(4))},
		{2 * time.Second, person(func(e *Enforcer) error {
			_, err := e.Add(ctx, "person:ann", Request{Action: decision.Block, TTL: time.Hour, Nonce: "1",
				Terms: []decision.Term{{Scope: decision.Principal, Value: "eve"}}})
			return err
		})},
		{3 * time.Second, person(func(e *Enforcer) error {
			_, err := e.Extend(ctx, "person:ann", key(e, "block|principal.id|eve"), 2*time.Hour)
			return err
		})},
		{4 * time.Second, person(func(e *Enforcer) error {
			_, err := e.Approve(ctx, "person:bob", key(e, "block|source.address|203.0.113.3"), "seen")
			return err
		})},
		{5 * time.Second, person(func(e *Enforcer) error {
			_, err := e.Revoke(ctx, "person:bob", key(e, blocked), "mistake")
			return err
		})},
		{6 * time.Second, person(func(e *Enforcer) error { _, err := e.Throw(ctx, "person:ann", decision.Observe, ""); return err })},
		{7 * time.Second, person(func(e *Enforcer) error { _, err := e.Throw(ctx, "person:ann", decision.Enforce, ""); return err })},
		{30 * time.Second, func(e *Enforcer) error { s.fall, s.sure = 0.5, true; return sweep(e) }},
		{31 * time.Second, func(e *Enforcer) error { s.sure = false; return alerts(ip(5))(e) }},
		{20 * time.Minute, sweep},
		{21 * time.Minute, alerts(attack("203.0.113.5", noon.Add(21*time.Minute), nil))},
		{9 * 24 * time.Hour, sweep},
		{20 * 24 * time.Hour, sweep},
	}
}

// history is what each decision went through, repeats of one state left out, and the alerts that people got.
func history(t *testing.T, l *log) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, r := range l.recs {
		if r.Topic != bus.TopicDecisions || string(r.Key) == decision.SwitchKey || len(r.Value) == 0 {
			continue
		}
		d, err := decision.Decode(r.Value)
		if err != nil || d.Expires.IsZero() {
			t.Fatalf("%s: %v", r.Value, err)
		}
		now := fmt.Sprintf("%s %s until %s, share %.3f, offence %d", d.State, d.Entity(), d.Expires.Format(time.RFC3339), d.Share, d.Offence)
		if h := out[d.ID]; len(h) == 0 || h[len(h)-1] != now {
			out[d.ID] = append(h, now)
		}
	}
	for _, a := range l.alerts(t) {
		out["alert "+a.ID] = []string{a.Title}
	}
	return out
}

// Killed in any write, with any part of it on the topics, the enforcer that follows brings about what the uninterrupted one does.
func TestKilledBetweenAnyTwoSteps(t *testing.T) {
	whole := walk(t, -1, 0, false)
	want := history(t, whole.log)
	if len(want) < 8 || len(whole.sizes) < 10 {
		t.Fatalf("the scenario makes %d decisions and alerts in %d writes", len(want), len(whole.sizes))
	}
	for _, others := range []bool{false, true} {
		for kill, size := range whole.sizes {
			for keep := range size + 1 {
				got := walk(t, kill, keep, others)
				if diff := cmp.Diff(want, history(t, got.log)); diff != "" {
					t.Errorf("killed in write %d after %d of %d records, two instances %v (-want +got):\n%s", kill, keep, size, others, diff)
				}
				if diff := cmp.Diff(whole.decisions(t), got.decisions(t), cmp.Comparer(func(a, b *decision.Decision) bool { return a.ID == b.ID })); diff != "" {
					t.Errorf("write %d after %d: %s", kill, keep, diff)
				}
			}
		}
	}
}
