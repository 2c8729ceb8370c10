// Package enforcer turns alerts into decisions: what a gateway does about an entity, until when and why. It reads
// warder.alerts, applies the policy and its guardrails, and writes warder.decisions, the single truth that every gateway
// tails.
package enforcer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision"
)

// Group is the enforcer's consumer group.
const Group = "warder.enforcer"

// GuardrailRule is the rule id of the alert that tells people about a decision that a guardrail held back.
const GuardrailRule = "warder-guardrail"

// Bus is what the enforcer needs of the message bus; *bus.Client is it.
type Bus interface {
	Produce(ctx context.Context, recs ...bus.Record) error
	Consume(ctx context.Context, group, topic string, open bus.Open) error
	Tail(ctx context.Context, topic string, fn func([]bus.Record) error, caughtUp func()) error
	DeadLetter(ctx context.Context, rec bus.Record, stage string, reason error) error
}

// Enforcer is the stage. Several instances may run: they share the alerts by partition and see each other's decisions on the
// topic.
type Enforcer struct {
	cfg     Config
	policy  *policy
	ledger  *ledger
	traffic Traffic // nil: the guardrails that need it are not judged
	proof   Proof   // nil: nothing is known
	bus     Bus
	log     *slog.Logger
	now     func() time.Time
	m       *metrics

	// turn is taken by who looks at the ledger and then writes to the topic what follows, so that the records of one entity reach the
	// topic in the order in which the ledger took them. Capacity 1.
	turn chan struct{}
	told map[notice]bool // which guardrail alerts are out; whoever has the turn owns it

	// order is held by who brings records into the ledger that are on the topic, so that they come in the topic's order. It is taken
	// after the turn and never kept while writing to the topic.
	order   sync.Mutex
	flights flights

	ready    chan struct{} // closed when the topic was read to its end
	caughtUp func()
}

// New returns an enforcer. t and p may be nil: then shares, shared addresses and the rollback are not judged, and nothing is known of
// gateways. It fails when the configuration is not valid.
func New(cfg Config, b Bus, t Traffic, proof Proof, log *slog.Logger, reg prometheus.Registerer) (*Enforcer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p, err := newPolicy(cfg)
	if err != nil {
		return nil, err
	}
	e := &Enforcer{cfg: cfg, policy: p, ledger: newLedger(max(cfg.KeepEnded, cfg.Ladder.Remember).Std()), traffic: t, proof: proof, bus: b, log: log, now: time.Now,
		turn: make(chan struct{}, 1), told: map[notice]bool{}, flights: flights{}, ready: make(chan struct{})}
	e.caughtUp = sync.OnceFunc(func() { close(e.ready) })
	e.m = newMetrics(reg, e.ledger)
	return e, nil
}

// Run reads the decisions so far, then alerts until ctx ends. It returns nil then.
func (e *Enforcer) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return e.bus.Tail(gctx, bus.TopicDecisions, func(recs []bus.Record) error {
			inForce := e.learn(recs)
			select {
			case <-e.ready:
				e.tellAgain(gctx, inForce)
			default: // what comes later on the topic may have ended them
			}
			return nil
		}, e.caughtUp)
	})
	afterwards := func(fn func() error) {
		g.Go(func() error {
			select {
			case <-e.ready:
				return fn()
			case <-gctx.Done():
				return nil
			}
		})
	}
	afterwards(func() error {
		if err := e.align(gctx); err != nil {
			return err
		}
		return e.bus.Consume(gctx, Group, bus.TopicAlerts, func(context.Context, int) (bus.Partition, int64, error) {
			return &partition{e}, bus.Committed, nil
		})
	})
	afterwards(func() error { return e.sweep(gctx) })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("enforcer: %w", err)
	}
	return nil
}

// learn takes records of the decisions topic into the ledger. It returns the decisions in force whose place on the topic was taken
// by the end of an earlier one.
func (e *Enforcer) learn(recs []bus.Record) (inForce []*decision.Decision) {
	e.order.Lock()
	defer e.order.Unlock()
	for _, r := range recs {
		if e.flights.older(r) {
			continue
		}
		if kept := e.take(r); kept != nil {
			inForce = append(inForce, kept)
		}
	}
	return inForce
}

// learnSwitch takes a record of the global switch. Without one nothing is switched.
func (e *Enforcer) learnSwitch(r bus.Record) {
	if len(r.Value) == 0 {
		e.ledger.throw(decision.Switch{})
		return
	}
	s, err := decision.DecodeSwitch(r.Value)
	if err != nil {
		e.m.skipped.WithLabelValues("undecodable").Inc()
		e.log.Warn("the global switch on the topic cannot be read; it stays as it was", "offset", r.Offset, "error", err)
		return
	}
	e.ledger.throw(s)
}

// align brings the decisions in force in line with the configuration: what was only observed while enforcement was off is enforced from
// now on, and the other way round; what can touch an entity that is on the never-block lists now is revoked.
func (e *Enforcer) align(ctx context.Context) error {
	return e.inTurn(ctx, func() error {
		changed := e.ledger.switched(e.now(), e.policy.mode)
		for _, d := range e.ledger.all(func(d *decision.Decision) bool { return d.Applies(e.now()) && e.policy.never(d) != "" }) {
			c := *d
			c.State, c.Guardrail = decision.Revoked, guardNeverBlock
			say(&c, "revoked: "+e.policy.never(d)+" is on the never-block list now")
			changed = append(changed, &c)
		}
		if len(changed) > 0 {
			e.log.Warn("the configuration has changed; the decisions in force follow", "enforce", e.cfg.Enforce, "decisions", len(changed))
		}
		return e.write(ctx, changed...)
	})
}

// write puts changed decisions on the topic and then into the ledger. The caller has the turn.
func (e *Enforcer) write(ctx context.Context, ds ...*decision.Decision) error {
	if len(ds) == 0 {
		return nil
	}
	out := make([]bus.Record, len(ds))
	for i, d := range ds {
		var err error
		if out[i], err = record(d); err != nil {
			return err
		}
	}
	return e.produce(ctx, out, ds...)
}

// tellAgain writes decisions that the topic forgot although they are in force.
func (e *Enforcer) tellAgain(ctx context.Context, ds []*decision.Decision) {
	if len(ds) == 0 {
		return
	}
	err := e.inTurn(ctx, func() error {
		return e.write(ctx, slices.DeleteFunc(ds, func(d *decision.Decision) bool { return !e.ledger.holds(d) })...)
	})
	if err != nil && ctx.Err() == nil {
		e.log.Error("cannot write decisions again that the end of earlier ones replaced", "error", err)
	}
}

// inTurn calls fn while nobody else decides or writes.
func (e *Enforcer) inTurn(ctx context.Context, fn func() error) error {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
		return fn()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// partition handles the alerts of one partition. All state is the enforcer's.
type partition struct{ e *Enforcer }

// Handle turns alerts into decisions; nil means that every decision is acknowledged by the broker.
func (p *partition) Handle(ctx context.Context, recs []bus.Record) error {
	alerts := make([]*alert.Alert, 0, len(recs))
	for _, r := range recs {
		a, err := alert.Decode(r.Value)
		if err != nil {
			p.e.m.skipped.WithLabelValues("undecodable").Inc()
			if err := p.e.bus.DeadLetter(ctx, r, "enforcer", err); err != nil {
				return err
			}
			continue
		}
		if len(a.Respond) > 0 {
			alerts = append(alerts, a)
		}
	}
	if len(alerts) == 0 {
		return nil
	}
	return p.e.inTurn(ctx, func() error { return p.e.decide(ctx, alerts) })
}

// decide writes what the alerts lead to, in one piece.
func (e *Enforcer) decide(ctx context.Context, alerts []*alert.Alert) error {
	b := &batch{told: map[notice]bool{}}
	for _, a := range alerts {
		for _, r := range a.Respond {
			if err := e.answer(b, a, r); err != nil {
				return err
			}
		}
	}
	if len(b.recs) == 0 {
		return nil
	}
	if err := e.produce(ctx, b.recs, b.made...); err != nil {
		return err
	}
	maps.Copy(e.told, b.told)
	return nil
}

// batch is what alerts led to, on its way to the topics.
type batch struct {
	recs []bus.Record
	made []*decision.Decision
	told map[notice]bool
}

// Close has nothing to flush: Handle returns only after its effect.
func (p *partition) Close(context.Context) error { return nil }

// answer adds what one response leads to: the decision, and the guardrail's alert when one tripped. A repeat of an alert finds the
// decision that it led to, and says again what may not have reached the topics.
func (e *Enforcer) answer(b *batch, a *alert.Alert, r alert.Response) error {
	now := e.now()
	q, skip := e.policy.ask(a, r, now)
	if q == nil {
		e.m.skipped.WithLabelValues(skip).Inc()
		return nil
	}
	if d, unsaid := e.ledger.repeated(q.ID); d != nil {
		e.m.skipped.WithLabelValues(skipKnown).Inc()
		return e.tell(b, a, d, unsaid)
	}
	if d := e.ledger.replaced(q.ID); d != nil {
		e.m.skipped.WithLabelValues(skipKnown).Inc()
		return e.tell(b, a, d, false)
	}
	if e.ledger.outlasts(q, now, &e.cfg) {
		skip = skipLonger
	} else {
		e.guard(q, a.Sample)
		skip = e.ledger.admit(q, now, &e.cfg)
	}
	if skip != "" {
		e.m.skipped.WithLabelValues(skip).Inc()
		return nil
	}
	d := q.Decision
	e.m.decided(d, now)
	e.log.Info("decision made", "decision", d.ID, "action", d.Action, "entity", d.Entity(), "mode", d.Mode,
		"state", d.State, "rule", a.Rule, "alert", a.ID, "expires", d.Expires.UTC().Format(time.RFC3339))
	if d.Guardrail != "" {
		e.m.held.WithLabelValues(d.Guardrail).Inc()
	}
	return e.tell(b, a, d, true)
}

// tell adds the decision's record, when the topic may lack it, and the alert of its guardrail, when people have not been told.
func (e *Enforcer) tell(b *batch, a *alert.Alert, d *decision.Decision, unsaid bool) error {
	if unsaid {
		rec, err := record(d)
		if err != nil {
			return err
		}
		b.recs, b.made = append(b.recs, rec), append(b.made, d)
	}
	n := noticeOf(d)
	if d.Guardrail == "" || b.told[n] || e.told[n] {
		return nil
	}
	rec, err := e.guardrailAlert(a, d, n)
	b.recs = append(b.recs, rec)
	b.told[n] = true
	return err
}

func record(d *decision.Decision) (bus.Record, error) {
	v, err := d.Encode()
	return bus.Record{Topic: bus.TopicDecisions, Partition: -1, Key: d.Key(), Value: v}, err
}

// sweep writes the end of decisions that ran out and forgets those that ended long ago.
func (e *Enforcer) sweep(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if err := e.inTurn(ctx, func() error { return errors.Join(e.end(ctx), e.rollback(ctx)) }); err != nil && ctx.Err() == nil {
			e.log.Error("cannot write the end of decisions; gateways expire them on their own, trying again", "error", err)
		}
	}
}

// end writes what is over by now.
func (e *Enforcer) end(ctx context.Context) error {
	now := e.now()
	e.forgetNotices(now)
	e.order.Lock()
	e.passed(e.flights.expire(now))
	e.order.Unlock()
	expired, forget, bounded := e.ledger.due(now)
	out := make([]bus.Record, 0, len(expired)+len(forget))
	for _, d := range expired {
		rec, err := record(d)
		if err != nil {
			return err
		}
		out = append(out, rec)
	}
	for _, key := range forget {
		out = append(out, bus.Record{Topic: bus.TopicDecisions, Partition: -1, Key: []byte(key)})
	}
	if len(out) == 0 {
		return nil
	}
	if err := e.produce(ctx, out, expired...); err != nil {
		return err
	}
	e.m.forgotten.Add(float64(bounded))
	return nil
}
