package proof

import (
	"context"
	"time"

	"github.com/warder/warder/internal/alert"
)

// How often the tracker looks for drifts, and for decisions to forget.
const (
	lookEvery  = time.Second
	sweepEvery = 10 * time.Second
)

// toldKey is what is told at most once in [Kind.repeat].
type toldKey struct {
	kind    Kind
	gateway string
}

type told struct {
	at    time.Time // the last time
	since time.Time // the drift's, the first time
}

// Run looks for drifts every second and tells them as alerts, until ctx ends; it returns nil then. Start it when the topics of decisions and
// acknowledgements were read to their ends; it gives gateways ack_within before it looks the first time. tell must return when its context
// ends. A drift that cannot be told is logged, counted and told again a second later. It may be called once.
func (t *Tracker) Run(ctx context.Context, tell func(context.Context, *alert.Alert) error) error {
	first := time.NewTimer(t.cfg.AckWithin.Std())
	defer first.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-first.C:
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var swept time.Time
	for {
		now := t.now()
		if now.Sub(swept) >= sweepEvery {
			t.sweep(now)
			swept = now
		}
		for _, d := range t.look(now) {
			t.tell(ctx, d, now, tell)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (t *Tracker) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.decisions.sweep(now)
	t.refusing.Store(t.decisions.refusing)
}

// look returns the drifts that are due, notes what has recovered and sets the gauges.
func (t *Tracker) look(now time.Time) (due []*Drift) {
	t.mu.Lock()
	defer t.mu.Unlock()
	there := map[toldKey]bool{}
	for _, d := range t.drifts(now) {
		there[d.key()] = true
		if was := t.told[d.key()]; was == nil || now.Sub(was.at) >= d.Kind.repeat() {
			due = append(due, d)
		}
	}
	for k, was := range t.told {
		if there[k] || k.kind.passing() && now.Sub(was.at) < k.kind.repeat() {
			continue
		}
		delete(t.told, k)
		t.m.recovered.WithLabelValues(string(k.kind)).Inc()
		t.log.Info("a drift is over", "kind", k.kind, "gateway", k.gateway, "since", was.since)
	}
	t.gauge(now)
	return due
}

func (t *Tracker) gauge(now time.Time) {
	states := map[string]int{inLine: 0, behind: 0, silent: 0, left: 0}
	for _, g := range t.gateways {
		state, _ := t.state(g, now)
		states[state]++
	}
	for state, n := range states {
		t.m.gateways.WithLabelValues(state).Set(float64(n))
	}
}

// tell tells one drift and notes that it was told.
func (t *Tracker) tell(ctx context.Context, d *Drift, now time.Time, tell func(context.Context, *alert.Alert) error) {
	if err := tell(ctx, d.alert(now)); err != nil {
		if ctx.Err() == nil {
			t.m.untold.Inc()
			t.log.Error("a drift could not be told; trying again", "kind", d.Kind, "gateway", d.Gateway, "error", err)
		}
		return
	}
	t.log.Warn("reality differs from the decisions", "kind", d.Kind, "gateway", d.Gateway, "decision", d.Decision, "text", d.Text)
	t.m.drifts.WithLabelValues(string(d.Kind)).Inc()
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.told[d.key()]
	if was == nil {
		was = &told{since: d.Since}
		t.told[d.key()] = was
	}
	was.at = now
	if d.settle != nil {
		d.settle()
	}
}
