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
	e := &Enforcer{cfg: cfg, policy: p, ledger: newLedger(), bus: b, log: log, now: time.Now}
	e.m = newMetrics(reg, func() float64 { return float64(e.ledger.active(e.now())) })
	return e, nil
}

// Run reads the decisions so far, then alerts until ctx ends. It returns nil then.
func (e *Enforcer) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	ready := make(chan struct{})
	g.Go(func() error {
		return e.bus.Tail(ctx, bus.TopicDecisions, e.learn, func() { close(ready) })
	})
	g.Go(func() error {
		select {
		case <-ready:
		case <-ctx.Done():
			return nil
		}
		return e.bus.Consume(ctx, Group, bus.TopicAlerts, func(context.Context, int) (bus.Partition, int64, error) {
			return &partition{e}, bus.Committed, nil
		})
	})
	g.Go(func() error {
		select {
		case <-ready:
			return e.sweep(ctx)
		case <-ctx.Done():
			return nil
		}
	})
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("enforcer: %w", err)
	}
	return nil
}

// learn takes records of the decisions topic into the ledger.
func (e *Enforcer) learn(recs []bus.Record) error {
	for _, r := range recs {
		if len(r.Value) == 0 {
			e.ledger.remove(string(r.Key))
			continue
		}
		d, err := decision.Decode(r.Value)
		if err != nil {
			e.m.skipped.WithLabelValues("undecodable").Inc()
			e.log.Warn("decision on the topic cannot be read; it is ignored", "offset", r.Offset, "error", err)
			continue
		}
		e.ledger.put(d)
	}
	return nil
}

// partition handles the alerts of one partition. All state is the enforcer's.
type partition struct{ e *Enforcer }

// Handle turns alerts into decisions; nil means that every decision is acknowledged by the broker.
func (p *partition) Handle(ctx context.Context, recs []bus.Record) error {
	var out []bus.Record
	for _, r := range recs {
		a, err := alert.Decode(r.Value)
		if err != nil {
			p.e.m.skipped.WithLabelValues("undecodable").Inc()
			if err := p.e.bus.DeadLetter(ctx, r, "enforcer", err); err != nil {
				return err
			}
			continue
		}
		recs, err := p.e.respond(a)
		if err != nil {
			return err
		}
		out = append(out, recs...)
	}
	if len(out) == 0 {
		return nil
	}
	return p.e.bus.Produce(ctx, out...)
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
		expired, forget := e.ledger.due(e.now(), e.cfg.KeepEnded.Std())
		var out []bus.Record
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
			continue
		}
		if err := e.bus.Produce(ctx, out...); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			e.log.Error("cannot write the end of decisions; gateways expire them on their own, trying again", "error", err)
			continue
		}
		for _, d := range expired {
			e.ledger.put(d)
		}
		for _, key := range forget {
			e.ledger.remove(key)
		}
	}
}
