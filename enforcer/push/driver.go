package push

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
)

// Pauses of the driver.
const (
	heartbeat = 10 * time.Second // between two acknowledgements when nothing changes
	retryMin  = 100 * time.Millisecond
	retryMax  = 30 * time.Second
)

// maxReasons bounds how many different reasons of refusal are logged.
const maxReasons = 64

// Driver keeps one gateway in line with a set. Make it with New and call Run once.
type Driver struct {
	name, kind string
	gateway    Gateway
	set        *active.Set
	cfg        Config
	acked      func(decision.Ack)
	log        *slog.Logger
	m          *metrics

	wake   chan struct{} // capacity 1
	wanted *wanted

	// State of Run's goroutine.
	offset      int64 // acknowledged
	held        int
	repaired    uint64
	failure     string
	lastAck     time.Time
	verified    time.Time // zero: the next call verifies
	nextExpiry  time.Time // zero: none
	retry       time.Duration
	unsupported map[string]bool // reasons that were logged
}

// New returns a driver for the gateway. name is unique among all gateways ("edge-1/haproxy"), kind says what it is ("haproxy"). acked gets
// every acknowledgement, on Run's goroutine, and must not block for long. It fails when the configuration is not valid.
func New(name, kind string, g Gateway, set *active.Set, cfg Config, acked func(decision.Ack), log *slog.Logger,
	reg prometheus.Registerer) (*Driver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("gateway %s: %w", name, err)
	}
	return &Driver{
		name: name, kind: kind, gateway: g, set: set, cfg: cfg, acked: acked, log: log.With("gateway", name), m: newMetrics(reg, name),
		wake: make(chan struct{}, 1), wanted: newWanted(), offset: -1, unsupported: map[string]bool{},
	}, nil
}

// Run keeps the gateway in line until ctx ends; it returns nil then. The gateway's state stays as it is: what it can expire by itself
// it does, the rest is for the next start. A gateway that fails is tried again after 100 ms, doubled up to 30 s.
func (d *Driver) Run(ctx context.Context) error {
	stop := d.set.Follow(func(cs []active.Change) {
		d.wanted.note(cs)
		select {
		case d.wake <- struct{}{}:
		default:
		}
	})
	defer stop()
	d.round(ctx) // at the start also without any decision: the gateway may hold old ones
	for {
		changed, ok := d.wait(ctx)
		if !ok {
			d.acknowledge(true)
			return nil
		}
		if changed {
			d.round(ctx)
		} else {
			d.beat()
		}
	}
}

// wait returns when the gateway must be called (changed) or an acknowledgement may be due; not ok when ctx has ended.
func (d *Driver) wait(ctx context.Context) (changed, ok bool) {
	wake := d.wake
	pause := time.Until(d.due())
	if d.retry > 0 {
		wake = nil // changes wait for the next try
		pause = d.retry - d.retry/4 + rand.N(d.retry/2+1)
	}
	call := time.NewTimer(max(0, pause))
	defer call.Stop()
	look := time.NewTimer(heartbeat / 10)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, false
		case <-call.C:
			return true, true
		case <-wake:
			return true, d.settle(ctx)
		case <-look.C:
			if d.retry == 0 {
				return false, true
			}
			d.beat() // the pause goes on
			look.Reset(heartbeat / 10)
		}
	}
}

// due is when the gateway is called without any change: to verify it, or because a decision expires.
func (d *Driver) due() time.Time {
	at := d.verified.Add(d.cfg.Resync.Std())
	if !d.nextExpiry.IsZero() && d.nextExpiry.Before(at) {
		return d.nextExpiry
	}
	return at
}

// settle lets a burst of changes come in; false when ctx has ended.
func (d *Driver) settle(ctx context.Context) bool {
	t := time.NewTimer(d.cfg.Settle.Std())
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// round calls the gateway once.
func (d *Driver) round(ctx context.Context) {
	select { // what is collected below has it
	case <-d.wake:
	default:
	}
	pos := d.set.Position() // before collecting: what comes after it is acknowledged by the next round
	now := time.Now()
	all, next := d.wanted.take(now)
	want := d.supported(all)
	verify := now.Sub(d.verified) >= d.cfg.Resync.Std()
	cctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout.Std())
	repaired, err := d.gateway.Sync(cctx, want, verify)
	cancel()
	d.nextExpiry = next
	d.m.synced(time.Since(now), len(want), len(all)-len(want), repaired, err)
	d.repaired += uint64(max(0, repaired))
	if err != nil {
		if ctx.Err() == nil {
			d.failed(err)
		}
		return
	}
	if repaired > 0 && !d.verified.IsZero() {
		d.log.Warn("the gateway's own state was not what it should be; repaired", "entries", repaired)
	}
	if d.failure != "" {
		d.log.Info("the gateway is in line again")
	}
	d.retry, d.failure = 0, ""
	if verify {
		d.verified = now
	}
	moved := pos != d.offset || len(want) != d.held
	d.offset, d.held = pos, len(want)
	if moved || d.lastAck.IsZero() {
		d.acknowledge(false)
	}
}

func (d *Driver) failed(err error) {
	if d.failure == "" {
		d.log.Error("the gateway cannot be brought in line; trying again", "error", err)
	}
	first := d.failure == ""
	d.failure = err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		d.failure = fmt.Sprintf("no answer within %s: %v", d.cfg.Timeout, err)
	}
	d.retry = min(max(2*d.retry, retryMin), retryMax)
	d.verified = time.Time{} // half of it may have been done
	if first {
		d.acknowledge(false)
	}
}

// beat acknowledges when it is time, or when the position has moved by records that changed nothing here.
func (d *Driver) beat() {
	if d.failure == "" && d.quiet() {
		return
	}
	if time.Since(d.lastAck) >= heartbeat {
		d.acknowledge(false)
	}
}

// quiet acknowledges a position that moved without any change for this gateway.
func (d *Driver) quiet() bool {
	pos := d.set.Position()
	if pos == d.offset || len(d.wake) > 0 {
		return false
	}
	d.offset = pos
	d.acknowledge(false)
	return true
}

func (d *Driver) acknowledge(left bool) {
	d.lastAck = time.Now()
	d.acked(decision.Ack{Version: decision.Version, Gateway: d.name, Kind: d.kind, Offset: d.offset, Held: d.held, At: d.lastAck,
		Error: d.failure, Repaired: d.repaired, Left: left})
}

// supported leaves out what the gateway cannot express.
func (d *Driver) supported(all []*decision.Decision) []*decision.Decision {
	want := make([]*decision.Decision, 0, len(all))
	for _, x := range all {
		err := d.gateway.Supports(x)
		if err == nil {
			want = append(want, x)
			continue
		}
		if reason := err.Error(); !d.unsupported[reason] && len(d.unsupported) < maxReasons {
			d.unsupported[reason] = true
			d.log.Warn("the gateway cannot express a decision; it is not in force there", "decision", x.ID, "reason", reason)
		}
	}
	return want
}
