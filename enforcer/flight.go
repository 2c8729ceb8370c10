package enforcer

import (
	"bytes"
	"context"
	"time"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/decision"
)

// flights are the own writes that the tail of the decisions topic has not brought back yet. What the tail brings of a key before it
// brings our own write is older than that one, so it says nothing; what comes after it is newer. The topic's order is the truth.
// The enforcer's order lock guards it.
type flights map[string]*flight

type flight struct {
	values [][]byte    // of the own writes, oldest first
	passed *bus.Record // the newest record that was ignored for them
	since  time.Time   // when the newest own write began
}

// flightLife is how long an own write is waited for. One that failed is given up at once; one that compaction removed before the
// tail came to it never comes back.
const flightLife = time.Minute

func (f flights) begin(recs []bus.Record, now time.Time) {
	for _, r := range recs {
		if r.Topic != bus.TopicDecisions {
			continue
		}
		w := f[string(r.Key)]
		if w == nil {
			w = &flight{}
			f[string(r.Key)] = w
		}
		w.values, w.since = append(w.values, r.Value), now
	}
}

// older tells whether the record, which the tail has just brought, comes before an own write of its key.
func (f flights) older(r bus.Record) bool {
	w := f[string(r.Key)]
	if w == nil {
		return false
	}
	for i, v := range w.values {
		if bytes.Equal(v, r.Value) {
			w.values, w.passed = w.values[i+1:], nil
			break
		}
	}
	if len(w.values) == 0 {
		delete(f, string(r.Key))
		return false
	}
	w.passed = &r
	return true
}

// giveUp forgets the newest write of each record's key, because it failed. It returns what was ignored for writes that nothing is left of.
func (f flights) giveUp(recs []bus.Record) (passed []bus.Record) {
	for _, r := range recs {
		w := f[string(r.Key)]
		if r.Topic != bus.TopicDecisions || w == nil {
			continue
		}
		if last := len(w.values) - 1; bytes.Equal(w.values[last], r.Value) {
			w.values = w.values[:last]
		}
		if len(w.values) == 0 {
			passed = f.end(passed, string(r.Key))
		}
	}
	return passed
}

// expire ends what was waited for too long.
func (f flights) expire(now time.Time) (passed []bus.Record) {
	for key, w := range f {
		if now.Sub(w.since) > flightLife {
			passed = f.end(passed, key)
		}
	}
	return passed
}

func (f flights) end(passed []bus.Record, key string) []bus.Record {
	if p := f[key].passed; p != nil {
		passed = append(passed, *p)
	}
	delete(f, key)
	return passed
}

// produce writes records, of which made are decisions, and has the ledger take what the tail has not brought back already. The caller
// has the turn.
func (e *Enforcer) produce(ctx context.Context, recs []bus.Record, made ...*decision.Decision) error {
	e.order.Lock()
	e.flights.begin(recs, e.now())
	e.order.Unlock()
	err := e.bus.Produce(ctx, recs...)
	e.order.Lock()
	defer e.order.Unlock()
	if err != nil { // parts of it may be on the topics: the tail will bring them
		e.passed(e.flights.giveUp(recs))
		return err
	}
	for _, d := range made {
		if e.flights[string(d.Key())] != nil {
			e.ledger.put(d, e.now())
		}
	}
	for _, r := range recs {
		if (len(r.Value) == 0 || string(r.Key) == decision.SwitchKey) && e.flights[string(r.Key)] != nil {
			e.take(r)
		}
	}
	return nil
}

// passed takes what was ignored for own writes that did not come back.
func (e *Enforcer) passed(recs []bus.Record) {
	for _, r := range recs {
		e.take(r)
	}
}

// take brings one record of the decisions topic into the ledger. It returns the decision in force whose place on the topic was taken by the
// end of an earlier one. The caller holds the order lock.
func (e *Enforcer) take(r bus.Record) (inForce *decision.Decision) {
	switch {
	case string(r.Key) == decision.SwitchKey:
		e.learnSwitch(r)
	case len(r.Value) == 0:
		return e.ledger.remove(string(r.Key), e.now())
	default:
		d, err := decision.Decode(r.Value)
		if err == nil {
			return e.ledger.put(d, e.now())
		}
		e.m.skipped.WithLabelValues("undecodable").Inc()
		e.log.Warn("decision on the topic cannot be read; it is ignored", "offset", r.Offset, "error", err)
	}
	return nil
}
