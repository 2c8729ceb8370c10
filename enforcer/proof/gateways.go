package proof

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/internal/decision"
)

// The bounds of what is remembered of gateways, and of their texts in bytes.
const (
	maxGateways = 1000
	maxSteps    = 256
	maxError    = 300
	maxKind     = 40
	// replay is how long after the first acknowledgement others may be old ones that the topic kept: their own time says how old.
	replay = 30 * time.Second
	// rememberSilent is how long a gateway that was not heard is still missed.
	rememberSilent = time.Hour
)

// The states of a gateway, as GatewayStatus has them.
const (
	inLine = "in line"
	behind = "behind"
	silent = "silent"
	left   = "left"
)

// gateway is what is known of one.
type gateway struct {
	name, kind string
	offset     int64
	held       int
	heard      time.Time
	begun      time.Time // since when acknowledgements are expected of it: its start, or its return
	left       bool
	err        string
	failing    time.Time // since when err is not empty
	repaired   uint64
	altered    uint64    // repairs that nobody was told of
	alteredAt  time.Time // the first of them
	steps      []step    // when the watermark rose, oldest first
}

type step struct {
	offset int64
	at     time.Time
}

// Acked takes an acknowledgement; now is when it came. What came before the first 30 seconds are over may be old, and is judged by its own
// time. Later the gateway's clock does not matter.
func (t *Tracker) Acked(a *decision.Ack, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listening.IsZero() {
		t.listening = now
	}
	heard := now
	if now.Sub(t.listening) < replay && now.Sub(a.At) > t.cfg.SilentAfter.Std() {
		heard = a.At
	}
	g := t.gateways[a.Gateway]
	if g == nil {
		t.roomForGateway()
		g = &gateway{name: a.Gateway, offset: a.Offset, repaired: a.Repaired, begun: heard}
		t.gateways[a.Gateway] = g
		g.rose(a.Offset, heard)
	} else {
		t.moved(g, a, heard)
	}
	g.take(a, heard)
	if g.left {
		t.lastLeft = heard
	}
}

// Forgotten takes the removal of a gateway from the topic of acknowledgements: nothing is expected of it any more.
func (t *Tracker) Forgotten(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.gateways, name)
}

// moved notes what an acknowledgement changes at a gateway that is known.
func (t *Tracker) moved(g *gateway, a *decision.Ack, heard time.Time) {
	restarted := g.left || a.Offset < g.offset || a.Repaired < g.repaired || heard.Sub(g.heard) > t.cfg.SilentAfter.Std()
	switch {
	case restarted:
		g.begun = heard
	case a.Repaired > g.repaired && g.err == "": // after an error the gateway's state may be half of what was asked for
		if g.altered == 0 {
			g.alteredAt = heard
		}
		g.altered += a.Repaired - g.repaired
	}
	if a.Offset > g.offset && !restarted {
		for i := t.topic.after(g.offset); i < len(t.topic.marks) && t.topic.marks[i].offset <= a.Offset; i++ {
			t.m.ack.Observe(max(0, heard.Sub(t.topic.marks[i].last).Seconds()))
		}
	}
	if a.Offset != g.offset {
		g.rose(a.Offset, heard)
	}
}

// rose notes a new watermark; one that fell takes back what was above it.
func (g *gateway) rose(offset int64, at time.Time) {
	g.steps = g.steps[:sort.Search(len(g.steps), func(i int) bool { return g.steps[i].offset >= offset })]
	if len(g.steps) == maxSteps {
		g.steps = g.steps[:copy(g.steps, g.steps[maxSteps/4:])]
	}
	g.steps = append(g.steps, step{offset, at})
}

func (g *gateway) take(a *decision.Ack, heard time.Time) {
	g.kind, g.offset, g.held, g.repaired, g.left = cut(a.Kind, maxKind), a.Offset, a.Held, a.Repaired, a.Left
	if heard.After(g.heard) {
		g.heard = heard
	}
	if a.Error != "" && g.err == "" {
		g.failing = heard
	}
	g.err = cut(a.Error, maxError)
}

// roomForGateway forgets the gateway that was heard the longest time ago when there are too many.
func (t *Tracker) roomForGateway() {
	if len(t.gateways) < maxGateways {
		return
	}
	var oldest *gateway
	for _, g := range t.gateways {
		if oldest == nil || g.heard.Before(oldest.heard) {
			oldest = g
		}
	}
	delete(t.gateways, oldest.name)
	t.m.forgotten.WithLabelValues("gateway").Inc()
}

// state says how the gateway stands, and since when when it is behind.
func (t *Tracker) state(g *gateway, now time.Time) (state string, since time.Time) {
	waits, late := t.topic.waiting(g.offset)
	if waits.Before(g.begun) {
		waits = g.begun
	}
	switch {
	case g.left:
		return left, time.Time{}
	case now.Sub(g.heard) > t.cfg.SilentAfter.Std():
		return silent, g.heard
	case late && now.Sub(waits) > t.cfg.AckWithin.Std():
		return behind, waits
	}
	return inLine, time.Time{}
}

// Gateways returns what is known of each gateway, by name.
func (t *Tracker) Gateways() []enforcer.GatewayStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	out := make([]enforcer.GatewayStatus, 0, len(t.gateways))
	for _, g := range t.gateways {
		state, _ := t.state(g, now)
		out = append(out, enforcer.GatewayStatus{Gateway: g.name, Kind: g.kind, Seen: g.heard, Behind: max(0, t.topic.head-g.offset),
			Held: g.held, Repaired: g.repaired, State: state, Error: g.err})
	}
	slices.SortFunc(out, func(a, b enforcer.GatewayStatus) int { return cmp.Compare(a.Gateway, b.Gateway) })
	return out
}

// Explain returns what each gateway that was not stopped in order says of the decision: whether it has acknowledged its newest record, and
// when at the latest it did. refusals counts the requests that the decision answered since this program's start, repeats of the bus
// included, and first is the first one's time. It knows decisions that are in force or ended within the hour; of others it returns nothing.
func (t *Tracker) Explain(id string) (acks []enforcer.Acknowledgement, refusals uint64, first time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.decisions.byID[id]
	if r == nil {
		return nil, 0, time.Time{}
	}
	now := t.now()
	for _, g := range t.gateways {
		state, since := t.state(g, now)
		if state == left || state == silent && now.Sub(since) > rememberSilent {
			continue
		}
		acks = append(acks, g.says(r.offset, state))
	}
	slices.SortFunc(acks, func(a, b enforcer.Acknowledgement) int { return cmp.Compare(a.Gateway, b.Gateway) })
	return acks, r.refusals, r.first
}

// says is what the gateway says of the record at the offset.
func (g *gateway) says(offset int64, state string) enforcer.Acknowledgement {
	a := enforcer.Acknowledgement{Gateway: g.name, Kind: g.kind, Acked: g.offset >= offset, Error: g.err}
	if a.Acked {
		a.At = g.steps[sort.Search(len(g.steps), func(i int) bool { return g.steps[i].offset >= offset })].at
	}
	if a.Error == "" && state == silent {
		a.Error = "not heard since " + g.heard.UTC().Format(time.RFC3339)
	}
	return a
}

// cut bounds a text that somebody else wrote, and keeps it UTF-8.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xC0 == 0x80 {
		limit--
	}
	return s[:limit] + "…"
}
