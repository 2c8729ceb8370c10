// Package enforcer turns alerts into decisions: what a gateway does about an entity, until when and why. It reads
// warder.alerts, applies the policy and its guardrails, and writes warder.decisions, the single truth that every gateway
// tails.
package enforcer

import (
	"context"
	"fmt"
	"log/slog"
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
	cfg    Config
	policy *policy
	ledger *ledger
	bus    Bus
	log    *slog.Logger
	now    func() time.Time
	m      *metrics

	// turn is taken by who looks at the ledger and then writes to the topic what follows, so that the records of one entity reach the
	// topic in the order in which the ledger took them. Capacity 1.
	turn chan struct{}
}

// New returns an enforcer. It fails when the configuration is not valid.
func New(cfg Config, b Bus, log *slog.Logger, reg prometheus.Registerer) (*Enforcer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p, err := newPolicy(cfg)
	if err != nil {
		return nil, err
	}
	e := &Enforcer{cfg: cfg, policy: p, ledger: newLedger(), bus: b, log: log, now: time.Now, turn: make(chan struct{}, 1)}
	e.m = newMetrics(reg, func() float64 { return float64(e.ledger.active(e.now())) })
	return e, nil
}

// Run reads the decisions so far, then alerts until ctx ends. It returns nil then.
func (e *Enforcer) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	ready := make(chan struct{})
	g.Go(func() error {
		return e.bus.Tail(gctx, bus.TopicDecisions, func(recs []bus.Record) error {
			inForce := e.learn(recs)
			select {
			case <-ready:
				e.tellAgain(gctx, inForce)
			default: // what comes later on the topic may have ended them
			}
			return nil
		}, func() { close(ready) })
	})
	afterwards := func(fn func() error) {
		g.Go(func() error {
			select {
			case <-ready:
				return fn()
			case <-gctx.Done():
				return nil
			}
		})
	}
	afterwards(func() error {
		if err := e.throwSwitch(gctx); err != nil {
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
	for _, r := range recs {
		var kept *decision.Decision
		if len(r.Value) == 0 {
			kept = e.ledger.remove(string(r.Key), e.now())
		} else if d, err := decision.Decode(r.Value); err == nil {
			kept = e.ledger.put(d, e.now())
		} else {
			e.m.skipped.WithLabelValues("undecodable").Inc()
			e.log.Warn("decision on the topic cannot be read; it is ignored", "offset", r.Offset, "error", err)
		}
		if kept != nil {
			inForce = append(inForce, kept)
		}
	}
	return inForce
}

// throwSwitch brings the decisions in force in line with the configuration: what was only observed while enforcement was off
// is enforced from now on, and the other way round.
func (e *Enforcer) throwSwitch(ctx context.Context) error {
	return e.inTurn(ctx, func() error {
		changed := e.ledger.switched(e.now(), e.policy.mode)
		if len(changed) == 0 {
			return nil
		}
		out := make([]bus.Record, len(changed))
		for i, d := range changed {
			var err error
			if out[i], err = record(d); err != nil {
				return err
			}
		}
		if err := e.bus.Produce(ctx, out...); err != nil {
			return err
		}
		for _, d := range changed {
			e.ledger.put(d, e.now())
		}
		e.log.Warn("enforcement was switched; the decisions in force follow", "enforce", e.cfg.Enforce, "decisions", len(changed))
		return nil
	})
}

// tellAgain writes decisions that the topic forgot although they are in force.
func (e *Enforcer) tellAgain(ctx context.Context, ds []*decision.Decision) {
	if len(ds) == 0 {
		return
	}
	err := e.inTurn(ctx, func() error {
		var out []bus.Record
		for _, d := range ds {
			if !e.ledger.holds(d) {
				continue
			}
			rec, err := record(d)
			if err != nil {
				return err
			}
			out = append(out, rec)
		}
		return e.bus.Produce(ctx, out...)
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

// decide writes what the alerts lead to.
func (e *Enforcer) decide(ctx context.Context, alerts []*alert.Alert) error {
	var out []bus.Record
	for _, a := range alerts {
		recs, err := e.respond(a)
		if err != nil {
			return err
		}
		out = append(out, recs...)
	}
	if len(out) == 0 {
		return nil
	}
	return e.bus.Produce(ctx, out...)
}

// Close has nothing to flush: Handle returns only after its effect.
func (p *partition) Close(context.Context) error { return nil }

// respond returns the records that the alert's responses lead to.
func (e *Enforcer) respond(a *alert.Alert) ([]bus.Record, error) {
	var out []bus.Record
	for _, r := range a.Respond {
		recs, err := e.answer(a, r)
		if err != nil {
			return nil, err
		}
		out = append(out, recs...)
	}
	return out, nil
}

// answer returns the records for one response: the decision, and the guardrail's alert when it was held back. A repeat of an
// alert after a crash says the same again: its decision may not have reached the topic, and the ids are the same.
func (e *Enforcer) answer(a *alert.Alert, r alert.Response) ([]bus.Record, error) {
	now := e.now()
	d, skip := e.policy.decide(a, r, now)
	if d != nil {
		d, skip = e.ledger.admit(d, now, e.cfg.MaxNewPerMinute)
	}
	if skip != "" {
		e.m.skipped.WithLabelValues(skip).Inc()
	}
	if d == nil {
		return nil, nil
	}
	if skip == "" {
		e.m.decided(d, now)
		e.log.Info("decision made", "decision", d.ID, "action", d.Action, "scope", d.Scope, "value", d.Value, "mode", d.Mode,
			"state", d.State, "rule", a.Rule, "alert", a.ID, "expires", d.Expires.UTC().Format(time.RFC3339))
	}
	rec, err := record(d)
	if err != nil {
		return nil, err
	}
	if d.Guardrail == "" {
		return []bus.Record{rec}, nil
	}
	warn, err := e.guardrail(a, d)
	return []bus.Record{rec, warn}, err
}

func record(d *decision.Decision) (bus.Record, error) {
	v, err := d.Encode()
	return bus.Record{Topic: bus.TopicDecisions, Partition: -1, Key: d.Key(), Value: v}, err
}

// guardrail is the alert that a held-back decision becomes, so that a person looks at it.
func (e *Enforcer) guardrail(a *alert.Alert, d *decision.Decision) (bus.Record, error) {
	e.m.held.WithLabelValues(d.Guardrail).Inc()
	e.log.Warn("guardrail held a decision back", "guardrail", d.Guardrail, "decision", d.ID, "rule", a.Rule, "alert", a.ID)
	g := *a
	g.Rule, g.RuleVersion = GuardrailRule, d.Guardrail
	g.Title = "Held back for approval: " + string(d.Action) + " asked for by " + a.Title
	g.Description = d.Note
	g.Severity, g.Respond, g.Mode = alert.Medium, nil, alert.Enforce
	g.Tags = append([]string{"warder.guardrail", "warder.rule." + a.Rule}, a.Tags...)
	g.ID = alert.NewID(g.Rule, a.ID, g.Group, g.Window)
	v, err := g.Encode()
	return bus.Record{Topic: bus.TopicAlerts, Partition: -1, Key: g.Key(), Value: v}, err
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
		if err := e.inTurn(ctx, func() error { return e.end(ctx) }); err != nil && ctx.Err() == nil {
			e.log.Error("cannot write the end of decisions; gateways expire them on their own, trying again", "error", err)
		}
	}
}

// end writes what is over by now.
func (e *Enforcer) end(ctx context.Context) error {
	now := e.now()
	expired, forget := e.ledger.due(now, e.cfg.KeepEnded.Std())
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
	if err := e.bus.Produce(ctx, out...); err != nil {
		return err
	}
	for _, d := range expired {
		e.ledger.put(d, now)
	}
	for _, key := range forget {
		e.ledger.remove(key, now)
	}
	return nil
}
