package demo

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

// Summary is what the demo reports at its end; `warder demo --json` prints it as one object.
type Summary struct {
	// Closed tells that the loop closed: see [Reckoning.Summary].
	Closed       bool           `json:"closed"`
	Requests     int64          `json:"requests"`
	EventsStored int64          `json:"events_stored"`
	Alerts       int64          `json:"alerts"`
	Blocked      []string       `json:"blocked"`
	BlockLatency Latency        `json:"block_latency_ms"`
	Innocent     int            `json:"innocent_refused"`
	Delivered    map[string]int `json:"delivered"`
	// Problems says why the loop did not close.
	Problems []string `json:"problems,omitempty"`
}

// Latency is in milliseconds, from the request that tripped the rule to the first refused one.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Reckoning collects alerts and decisions while the demo runs. It is safe for concurrent use.
type Reckoning struct {
	mu     sync.Mutex
	alerts map[string]*alert.Alert
	blocks map[string]*decision.Decision // entity → first enforced block
}

// NewReckoning returns an empty one.
func NewReckoning() *Reckoning {
	return &Reckoning{alerts: map[string]*alert.Alert{}, blocks: map[string]*decision.Decision{}}
}

// Alert takes an alert and tells whether it is new.
func (r *Reckoning) Alert(a *alert.Alert) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.alerts[a.ID] != nil {
		return false
	}
	r.alerts[a.ID] = a
	return true
}

// Decision takes a decision and tells whether it is the first enforced block of its entity.
func (r *Reckoning) Decision(d *decision.Decision) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.Action != decision.Block || d.Mode != decision.Enforce || d.State != decision.Active || r.blocks[d.Value] != nil {
		return false
	}
	r.blocks[d.Value] = d
	return true
}

// Alerts is how many alerts there were.
func (r *Reckoning) Alerts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.alerts)
}

// Latency returns the time from the request that tripped the rule to the refusal of the address, and whether it is known.
func (r *Reckoning) Latency(address string, refused time.Time) (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.blocks[address]
	if d == nil || d.Reason.EventTime.IsZero() {
		return 0, false
	}
	return refused.Sub(d.Reason.EventTime), true
}

// AwaitLatency is Latency for the moment of the refusal itself, when the decision's record may be a little behind: it waits
// for it up to a second and returns 0 when it does not come.
func (r *Reckoning) AwaitLatency(ctx context.Context, address string, refused time.Time) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		if d, ok := r.Latency(address, refused); ok || !pause(ctx, 5*time.Millisecond) {
			return d
		}
	}
}

// Requests is how many requests were answered so far.
func (t *Traffic) Requests() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.requests
}

// Summary reckons up. The loop is closed when every attacker was refused and nobody else, every answered request is stored
// once, and every alert arrived once at each receiver.
func (r *Reckoning) Summary(t *Traffic, stored int64, delivered map[string]int) Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Summary{Requests: t.requests, EventsStored: stored, Innocent: len(t.innocent), Delivered: delivered, Blocked: []string{},
		Alerts: int64(r.Alerts())}
	var ms []float64
	for address, at := range t.refused {
		s.Blocked = append(s.Blocked, address)
		if l, ok := r.Latency(address, at); ok {
			ms = append(ms, float64(l.Microseconds())/1000)
		}
	}
	slices.Sort(s.Blocked)
	slices.Sort(ms)
	s.BlockLatency = Latency{quantile(ms, .5), quantile(ms, .99), quantile(ms, 1)}
	problem := func(bad bool, format string, args ...any) {
		if bad {
			s.Problems = append(s.Problems, fmt.Sprintf(format, args...))
		}
	}
	for _, a := range Attackers() {
		_, ok := t.refused[a.Address]
		problem(!ok, "%s from %s was never refused", a.Name, a.Address)
	}
	problem(s.Innocent > 0, "%d ordinary users were refused", s.Innocent)
	problem(s.Alerts == 0, "no alert")
	problem(stored != t.requests, "%d requests were answered, %d events are stored", t.requests, stored)
	problem(t.failed > 0, "%d requests got no answer", t.failed)
	for _, name := range sortedNames(delivered) {
		problem(int64(delivered[name]) != s.Alerts, "%d of %d alerts arrived at the %s receiver", delivered[name], s.Alerts, name)
	}
	s.Closed = len(s.Problems) == 0
	return s
}

func sortedNames(m map[string]int) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// quantile returns the q-quantile of sorted values (nearest rank), 0 when there are none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// Write prints the summary for people.
func (s Summary) Write(w io.Writer) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-26s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("requests", "%d", s.Requests)
	row("events stored", "%d", s.EventsStored)
	row("alerts", "%d", s.Alerts)
	row("blocked", "%s", strings.Join(s.Blocked, ", "))
	row("trip to first refusal", "median %.1f ms, 99th percentile %.1f ms, worst %.1f ms", s.BlockLatency.P50, s.BlockLatency.P99, s.BlockLatency.Max)
	row("innocent users refused", "%d", s.Innocent)
	for _, name := range sortedNames(s.Delivered) {
		row("delivered by "+name, "%d", s.Delivered[name])
	}
	if s.Closed {
		row("the loop", "closed")
		return
	}
	row("the loop", "DID NOT CLOSE")
	for _, p := range s.Problems {
		fmt.Fprintf(w, "    - %s\n", p)
	}
}
