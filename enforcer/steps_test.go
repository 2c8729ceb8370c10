package enforcer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

var errKilled = errors.New("killed")

// broker keeps the topics and the offsets that the enforcers committed.
type broker struct {
	log
	partitions int           // of alerts, 1 or 2
	more       chan struct{} // closed at the next write
	commits    [2]int        // the next alert of each partition
}

func (b *broker) write(recs []bus.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recs = append(b.recs, recs...)
	close(b.more)
	b.more = make(chan struct{})
}

// from returns the records of a topic's partition from the n-th on, and what tells that there are more.
func (b *broker) from(topic string, partition, n int) ([]bus.Record, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	recs := slices.DeleteFunc(slices.Clone(b.recs), func(r bus.Record) bool {
		return r.Topic != topic || topic == bus.TopicAlerts && len(r.Key) > 0 && int(r.Key[len(r.Key)-1])%b.partitions != partition
	})
	return recs[min(n, len(recs)):], b.more
}

// view is one process's bus. The process dies in its kill-th operation, whatever that is: of a write the first keep records arrive, what is
// read is not handed over, a commit is lost. With lives it goes on, and only a write fails.
type view struct {
	*broker
	partitions []int
	kill, keep int
	lives      bool
	size       int // records of the write that it died in, 0 when it was no write
	die        context.CancelFunc
	ops        atomic.Int64
	dead       atomic.Bool
}

func (v *view) killed() bool {
	if v.ops.Add(1)-1 == int64(v.kill) && !v.lives {
		v.dead.Store(true)
		v.die()
		return true
	}
	return false
}

func (v *view) Produce(_ context.Context, recs ...bus.Record) error {
	switch now := v.killed(); {
	case now || v.lives && v.ops.Load()-1 == int64(v.kill):
		v.size = len(recs)
		v.write(recs[:min(v.keep, len(recs))])
		return errKilled
	case v.dead.Load():
		return errKilled
	}
	v.write(recs)
	return nil
}

func (v *view) Tail(ctx context.Context, topic string, fn func([]bus.Record) error, caughtUp func()) error {
	first, _ := v.from(topic, 0, 0)
	for n := 0; ; {
		if n >= len(first) {
			caughtUp()
		}
		recs, more := v.from(topic, 0, n)
		if len(recs) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-more:
			}
			continue
		}
		if v.killed() || ctx.Err() != nil {
			return nil
		}
		n++
		if err := fn(recs[:1]); err != nil {
			return err
		}
	}
}

func (v *view) Consume(ctx context.Context, _, topic string, open bus.Open) error {
	var wg sync.WaitGroup
	for _, p := range v.partitions {
		wg.Go(func() {
			handler, _, err := open(ctx, p)
			for err == nil && ctx.Err() == nil {
				recs, more := v.from(topic, p, v.commits[p])
				if len(recs) == 0 {
					select {
					case <-ctx.Done():
					case <-more:
					}
					continue
				}
				if v.killed() {
					return
				}
				if handler.Handle(ctx, recs) != nil {
					time.Sleep(50 * time.Millisecond)
					continue
				}
				if v.killed() || v.dead.Load() {
					return
				}
				v.commits[p] += len(recs)
			}
		})
	}
	wg.Wait()
	return nil
}

// steady is traffic in which everybody has a small share. It falls when it is told to. NAT is an office.
type steady struct{ fallen atomic.Bool }

func (*steady) Share(*decision.Decision) (float64, int64) { return 0.001, 1_000_000 }
func (*steady) Principals(a netip.Addr, _, _ string) int {
	if a.String() == "203.0.113.9" {
		return 200
	}
	return 0
}
func (s *steady) Fell(time.Time) (float64, bool) { return 0.5, s.fallen.Load() }

// life runs enforcers, each in the place of the one before, until ctx ends.
type life struct {
	t       *testing.T
	cfg     Config
	broker  *broker
	traffic *steady
	victim  *view // the first one of partition 0
}

// run keeps one enforcer alive for the partitions; the first one dies in its kill-th operation. alive is told of each.
func (l *life) run(ctx context.Context, partitions []int, kill, keep int, lives bool, alive func(*Enforcer)) {
	for ctx.Err() == nil {
		mine, die := context.WithCancel(ctx)
		v := &view{broker: l.broker, partitions: partitions, kill: kill, keep: keep, lives: lives, die: die}
		if partitions[0] == 0 && l.victim == nil {
			l.victim = v
		}
		e, err := New(l.cfg, v, l.traffic, nil, slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry())
		if err != nil {
			l.t.Error(err)
			die()
			return
		}
		alive(e)
		if err := e.Run(mine); err != nil && !v.dead.Load() {
			l.t.Error(err)
		}
		die()
		kill = -1
		time.Sleep(10 * time.Millisecond)
	}
}

type step struct {
	at time.Duration
	do func(context.Context, *Enforcer) error
}

// walk lives through the scenario with one enforcer or two, of which the first is killed in its kill-th operation. It returns the topics, how
// many operations the first one made, and of how many records the write was that it died in.
func walk(t *testing.T, kill, keep int, lives, two bool, budget int) (l *log, ops, size int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Enforce, cfg.MaxNewPerMinute = true, budget
		cfg.MaxTTL, cfg.KeepEnded, cfg.Ladder.Remember = config.Duration(30*time.Minute), 0, config.Duration(10*time.Minute)
		w := &life{t: t, cfg: cfg, broker: &broker{partitions: 1, more: make(chan struct{})}, traffic: &steady{}}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var first, second atomic.Pointer[Enforcer]
		if two {
			w.broker.partitions = 2
			wg.Go(func() { w.run(ctx, []int{1}, -1, 0, false, second.Store) })
		}
		wg.Go(func() { w.run(ctx, []int{0}, kill, keep, lives, first.Store) })
		begin := time.Now()
		for i, s := range scenario(w, begin) {
			time.Sleep(time.Until(begin.Add(s.at)))
			for try := 0; ; try++ {
				e := first.Load()
				if two && i%2 == 1 {
					e = second.Load()
				}
				call, done := context.WithTimeout(ctx, time.Second)
				err := s.do(call, e)
				done()
				if err == nil {
					break
				}
				if try == 5 {
					t.Fatalf("step %d, killed in operation %d after %d records: %v", i, kill, keep, err)
				}
				time.Sleep(100 * time.Millisecond)
			}
			synctest.Wait()
		}
		stop()
		wg.Wait()
		l, ops, size = &w.broker.log, int(w.victim.ops.Load()), w.victim.size
	})
	return l, ops, size
}

func scenario(w *life, begin time.Time) []step {
	alerts := func(as ...*alert.Alert) func(context.Context, *Enforcer) error {
		return func(context.Context, *Enforcer) error {
			var recs []bus.Record
			for _, a := range as {
				rec, err := alertRecord(a)
				if err != nil {
					return err
				}
				rec.Key = []byte(a.Group["source.address"])
				recs = append(recs, rec)
			}
			w.broker.write(recs)
			return nil
		}
	}
	ip := func(n int, at time.Duration) *alert.Alert {
		return attack(fmt.Sprintf("203.0.113.%d", n), begin.Add(at), nil)
	}
	nat := attack("203.0.113.9", begin, func(a *alert.Alert) {
		a.Sample = &alert.Sample{Principal: "mallory", PrincipalType: "jwt", Address: "203.0.113.9"}
	})
	on := func(key string, fn func(context.Context, *Enforcer, string) error) func(context.Context, *Enforcer) error {
		return func(ctx context.Context, e *Enforcer) error {
			d := e.ledger.at([]byte(key))
			if d == nil {
				return fmt.Errorf("there is no %s", key)
			}
			return fn(ctx, e, d.ID)
		}
	}
	throw := func(m decision.Mode) func(context.Context, *Enforcer) error {
		return func(ctx context.Context, e *Enforcer) error { _, err := e.Throw(ctx, "person:ann", m, ""); return err }
	}
	falls := func(yes bool) func(context.Context, *Enforcer) error {
		return func(context.Context, *Enforcer) error { w.traffic.fallen.Store(yes); return nil }
	}
	const s, m = time.Second, time.Minute
	return []step{
		{5 * s, alerts(ip(1, 5*s), nat, ip(2, 5*s), ip(3, 5*s), ip(4, 5*s))},
		{6 * s, alerts(ip(1, 5*s), nat, ip(4, 5*s))},
		{7 * s, func(ctx context.Context, e *Enforcer) error {
			_, err := e.Add(ctx, "person:ann", Request{Action: decision.Block, TTL: 10 * m, Nonce: "1",
				Terms: []decision.Term{{Scope: decision.Principal, Value: "eve"}}})
			return err
		}},
		{9 * s, on("block|principal.id|eve", func(ctx context.Context, e *Enforcer, id string) error {
			_, err := e.Extend(ctx, "person:ann", id, 20*m)
			return err
		})},
		{11 * s, on(blocked, func(ctx context.Context, e *Enforcer, id string) error {
			_, err := e.Revoke(ctx, "person:bob", id, "mistake")
			return err
		})},
		{13 * s, throw(decision.Observe)},
		{15 * s, throw(decision.Enforce)},
		{30 * s, falls(true)},
		{35 * s, falls(false)},
		{36 * s, alerts(ip(2, 36*s), ip(5, 36*s))},
		{2 * m, alerts(ip(6, 2*m), ip(7, 2*m))},
		{21 * m, alerts(ip(6, 21*m))},
		{23 * m, alerts(ip(5, 23*m), ip(7, 23*m))},
		{70 * m, falls(false)},
	}
}

// history is what each decision went through, repeats of one state left out, and the alerts that people got. A call that had to be repeated is
// a little later: times count in minutes.
func history(t *testing.T, l *log) map[string][]string {
	t.Helper()
	out, rolledBack := map[string][]string{}, map[string]bool{}
	for _, r := range l.recs {
		if r.Topic != bus.TopicDecisions || string(r.Key) == decision.SwitchKey || len(r.Value) == 0 {
			continue
		}
		d, err := decision.Decode(r.Value)
		if err != nil {
			t.Fatalf("%s: %v", r.Value, err)
		}
		now := fmt.Sprintf("%s %s until %s, share %.3f, offence %d", d.State, d.Entity(), d.Expires.Truncate(time.Minute).Format(time.RFC3339), d.Share, d.Offence)
		if h := out[d.ID]; len(h) == 0 || h[len(h)-1] != now {
			out[d.ID] = append(h, now)
		}
	}
	for _, a := range l.alerts(t) {
		switch {
		case a.Rule == GuardrailRule && a.RuleVersion == guardRollback:
			rolledBack[a.ID] = true // made of when a decision was made, which a kill delays
		case a.Rule == GuardrailRule:
			out["alert "+a.ID] = []string{a.Title}
		}
	}
	out["rollbacks"] = []string{fmt.Sprint(len(rolledBack))}
	return out
}

// Killed in any operation on the bus, with any part of a write on the topics, the enforcer that follows brings about what the uninterrupted one
// does, and so does one whose write only failed: no decision is lost, none is made twice, and in the end none is left. One enforcer keeps a tight budget; two at work at the same
// time each see the other's decisions late, so theirs is wide.
func TestKilledInAnyOperation(t *testing.T) {
	for _, c := range []struct {
		lives, two bool
		budget     int
	}{{false, false, 3}, {true, false, 3}, {false, true, 100}} {
		l, _, _ := walk(t, -1, 0, false, false, c.budget)
		want := history(t, l)
		if len(want) < 9 {
			t.Fatalf("the scenario makes %d decisions and alerts: %v", len(want), want)
		}
		_, ops, _ := walk(t, -1, 0, false, c.two, c.budget)
		if ops < 50 {
			t.Fatalf("the scenario takes %d operations", ops)
		}
		for kill := range ops {
			for keep, size := 0, 0; keep <= size; keep++ {
				var l *log
				l, _, size = walk(t, kill, keep, c.lives, c.two, c.budget)
				if diff := cmp.Diff(want, history(t, l)); diff != "" {
					t.Fatalf("killed in operation %d, %d records written, %+v (-want +got):\n%s", kill, keep, c, diff)
				}
				if left := l.decisions(t); len(left) > 0 {
					t.Fatalf("killed in operation %d, %d records written: left over: %v", kill, keep, left)
				}
			}
		}
	}
}
