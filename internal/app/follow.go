package app

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision"
)

// newUnreadable counts what followDecisions passes over.
func newUnreadable(reg prometheus.Registerer) (prometheus.Counter, error) {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_gateway_decisions_undecodable_total",
		Help: "Records on the decisions topic that the gateway cannot read and ignores."})
	return c, reg.Register(c)
}

// followDecisions keeps the gateways' decisions as the topic says: that is the push. It never fails: a gateway that cannot
// learn of decisions acts on those that it has, and tries again. What the topic says up to now is taken at once, so that no
// state that was overtaken long ago holds for a moment.
func (a *App) followDecisions(ctx context.Context) error {
	return a.persist(ctx, "the topic of decisions", new(waiting), func(ctx context.Context) error {
		past := &replay{decisions: map[string]*decision.Decision{}, mode: decision.Enforce, last: -1} // nil once the present is reached
		learn := func(recs []bus.Record) error {
			ds, thrown := a.readDecisions(recs)
			last := recs[len(recs)-1].Offset
			if past != nil {
				past.take(ds, thrown, last)
				a.prove(recs, func(r bus.Record) time.Time { return r.Time })
				return nil
			}
			if thrown != nil {
				a.decisions.Throw(thrown.Mode)
			}
			a.decisions.Apply(ds...)
			a.decisions.Mark(last)
			a.acks.wake()
			came := time.Now()
			a.prove(recs, func(bus.Record) time.Time { return came })
			return nil
		}
		return a.bus.Tail(ctx, bus.TopicDecisions, learn, func() {
			a.decisions.Throw(past.mode)
			a.decisions.Sync(slices.Collect(maps.Values(past.decisions))...)
			a.decisions.Mark(past.last)
			past = nil
			a.acks.wake()
			a.knowDecisions.Do(func() { close(a.decisionsKnown) })
		})
	})
}

// prove shows records of the decisions topic to the proof of enforcement, where the enforcer runs. at is when a record was written; of one
// that has just come it is when it came, so that other machines' clocks do not matter.
func (a *App) prove(recs []bus.Record, at func(bus.Record) time.Time) {
	if a.proof == nil {
		return
	}
	for _, r := range recs {
		if string(r.Key) == decision.SwitchKey {
			if s, err := decision.DecodeSwitch(r.Value); err == nil {
				a.proof.Switched(s, r.Offset, at(r))
				continue
			}
		} else if d, err := decision.Decode(r.Value); err == nil {
			a.proof.Decided(d, r.Offset, at(r))
			continue
		}
		a.proof.Passed(r.Offset, at(r))
	}
}

// replay is what the topic said before the present was reached.
type replay struct {
	decisions map[string]*decision.Decision
	mode      decision.Mode // of the switch
	last      int64         // offset
}

func (p *replay) take(ds []*decision.Decision, thrown *decision.Switch, last int64) {
	p.last = last
	if thrown != nil {
		p.mode = thrown.Mode
	}
	for _, d := range ds {
		if key := string(d.Key()); d.Replaces(p.decisions[key], time.Now()) {
			p.decisions[key] = d
		}
	}
}

// readDecisions returns what the records hold, and how the switch was thrown last, nil when it was not. A record without a value
// is of a decision that ended long ago: the gateway let it end on its own.
func (a *App) readDecisions(recs []bus.Record) (ds []*decision.Decision, thrown *decision.Switch) {
	for _, r := range recs {
		if len(r.Value) == 0 {
			continue
		}
		if err := readDecision(r, &ds, &thrown); err != nil {
			a.unreadable.Inc()
			a.log.Error("decision on the topic cannot be read; it is ignored", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "error", err)
		}
	}
	return ds, thrown
}

func readDecision(r bus.Record, ds *[]*decision.Decision, thrown **decision.Switch) error {
	if string(r.Key) == decision.SwitchKey {
		s, err := decision.DecodeSwitch(r.Value)
		if err == nil {
			*thrown = &s
		}
		return err
	}
	d, err := decision.Decode(r.Value)
	if err == nil {
		*ds = append(*ds, d)
	}
	return err
}

// Watch tells of each alert and decision that is written from now on, until ctx ends; it is for showing them to people. The
// functions are called from two goroutines.
func (a *App) Watch(ctx context.Context, onAlert func(*alert.Alert), onDecision func(*decision.Decision)) error {
	errs := make(chan error, 2)
	go func() {
		errs <- watch(ctx, a.bus, bus.TopicAlerts, func(v []byte) {
			if al, err := alert.Decode(v); err == nil {
				onAlert(al)
			}
		})
	}()
	go func() {
		errs <- watch(ctx, a.bus, bus.TopicDecisions, func(v []byte) {
			if d, err := decision.Decode(v); err == nil {
				onDecision(d)
			}
		})
	}()
	err := <-errs
	if second := <-errs; err == nil {
		err = second
	}
	return err
}

func watch(ctx context.Context, b *bus.Client, topic string, fn func([]byte)) error {
	var live atomic.Bool
	return b.Tail(ctx, topic, func(recs []bus.Record) error {
		for _, r := range recs {
			if live.Load() && len(r.Value) > 0 {
				fn(r.Value)
			}
		}
		return nil
	}, func() { live.Store(true) })
}
