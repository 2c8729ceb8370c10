package enforcer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision"
)

const blocked = "block|source.address|203.0.113.1"

// What cannot be helped by trying again ends Run with an error: without it Warder would go on and block nobody.
func TestRunFails(t *testing.T) {
	e, l, _ := newTest(t, nil)
	e.bus = refusing{l}
	if err := e.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "login") {
		t.Errorf("Run returned %v, want the refused login", err)
	}
}

type refusing struct{ *log }

func (refusing) Consume(context.Context, string, string, bus.Open) error {
	return errors.New("login refused")
}

// Two instances write without knowing of each other: one ends a block that ran out, the other has just blocked the entity anew.
func TestEndOfAnEarlierDecision(t *testing.T) {
	e, l, now := newTest(t, nil)
	handle(t, e, attack("203.0.113.1", noon, nil))
	first := l.decisions(t)[blocked]
	*now = first.Expires
	handle(t, e, attack("203.0.113.1", *now, nil))
	second := l.decisions(t)[blocked]
	if second.ID == first.ID {
		t.Fatal("the entity was not blocked anew")
	}
	over := *first
	over.State = decision.Expired
	end, err := record(&over)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for name, rec := range map[string]bus.Record{"end": end, "tombstone": {Topic: bus.TopicDecisions, Key: end.Key}} {
		l.recs = append(l.recs, rec)
		e.tellAgain(t.Context(), e.learn(l.recs[read:]))
		read = len(l.recs) - 1 // that it was told again is not read yet
		if d := l.decisions(t)[blocked]; d == nil || d.ID != second.ID || !d.Applies(*now) {
			t.Errorf("%s: the topic has %+v, want the block in force", name, d)
		}
		if n := e.ledger.active(); n != 1 {
			t.Errorf("%s: %d decisions in force, want 1", name, n)
		}
	}
	revoked := *second
	revoked.State = decision.Revoked
	rec, err := record(&revoked)
	if err != nil {
		t.Fatal(err)
	}
	if kept := e.learn(append(l.recs[read:], rec)); len(kept) != 0 || e.ledger.active() != 0 {
		t.Errorf("a person's revocation did not count: %+v", kept)
	}
}

// The sweep and the alerts write in the order in which the ledger took their records: a block that is made while an earlier one
// of the entity is being ended comes after that end.
func TestEndAndNewDecisionInOrder(t *testing.T) {
	e, l, now := newTest(t, nil)
	handle(t, e, attack("203.0.113.1", noon, nil))
	*now = noon.Add(15 * time.Minute)
	slow := &slowBus{log: l, entered: make(chan struct{}), resume: make(chan struct{})}
	e.bus = slow
	swept, handled := make(chan error, 1), make(chan error, 1)
	go func() { swept <- e.inTurn(t.Context(), func() error { return e.end(t.Context()) }) }()
	<-slow.entered
	go func() { handled <- tryHandle(t, e, attack("203.0.113.1", *now, nil)) }()
	select {
	case <-handled:
		t.Error("a decision overtook the end of the one before")
	case <-slow.entered:
		t.Error("two writes at once")
	case <-time.After(20 * time.Millisecond):
	}
	slow.resume <- struct{}{}
	<-slow.entered
	slow.resume <- struct{}{}
	if err := errors.Join(<-swept, <-handled); err != nil {
		t.Fatal(err)
	}
	if d := l.decisions(t)[blocked]; !d.Applies(*now) {
		t.Errorf("the topic ends with %+v", d)
	}
}

// slowBus writes when it is told to.
type slowBus struct {
	*log
	entered, resume chan struct{}
}

func (b *slowBus) Produce(ctx context.Context, recs ...bus.Record) error {
	b.entered <- struct{}{}
	<-b.resume
	return b.log.Produce(ctx, recs...)
}

// Attackers with any number of addresses fill neither the ledger nor the topic with what waits for a person.
func TestProposalsAreBounded(t *testing.T) {
	e, l, now := newTest(t, func(c *Config) { c.MaxNewPerMinute = 1 })
	for i := range maxProposed + 10 {
		handle(t, e, attack(fmt.Sprintf("2001:db8::%x", i+1), noon, nil))
	}
	if n := len(l.decisions(t)); n != maxProposed+1 {
		t.Errorf("%d decisions on the topic, want one block and %d proposals", n, maxProposed)
	}
	*now = noon.Add(16 * time.Minute)
	if err := e.end(t.Context()); err != nil {
		t.Fatal(err)
	}
	handle(t, e, attack("203.0.113.8", *now, nil), attack("203.0.113.9", *now, nil))
	if d := l.decisions(t)["block|source.address|203.0.113.9"]; d == nil || d.State != decision.Proposed {
		t.Errorf("after the proposals ran out the next one is %+v", d)
	}
}

// An instance that only follows the others forgets when decisions started, and one that grows longer is no new one.
func TestStartsAreForgotten(t *testing.T) {
	e, l, now := newTest(t, func(c *Config) { c.MaxNewPerMinute = 1000 })
	for i := range 500 {
		*now = noon.Add(time.Duration(i) * time.Second)
		handle(t, e, attack("203.0.113.1", *now, func(a *alert.Alert) { a.Respond[0].TTL = time.Hour }))
		handle(t, e, attack(fmt.Sprintf("2001:db8::%x", i+1), *now, nil))
	}
	follower, _, clock := newTest(t, nil)
	*clock = *now
	follower.learn(l.recs)
	for _, x := range []*Enforcer{e, follower} {
		if n := len(x.ledger.started); n > 61 {
			t.Errorf("%d starts are remembered, want those of a minute", n)
		}
	}
}
