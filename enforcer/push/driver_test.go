package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/active"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a gateway in memory that supports addresses alone.
type fake struct {
	mu       sync.Mutex
	held     []string
	calls    int
	verified int
	fail     error
	repair   int
	took     time.Duration
}

func (f *fake) Sync(ctx context.Context, want []*decision.Decision, verify bool) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.took > 0 {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	if f.fail != nil {
		return 0, f.fail
	}
	if verify {
		f.verified++
	}
	f.held = nil
	for _, d := range want {
		f.held = append(f.held, d.Value)
	}
	return f.repair, nil
}

func (f *fake) Supports(d *decision.Decision) error {
	if d.Scope != decision.Address {
		return fmt.Errorf("scope %s", d.Scope)
	}
	return nil
}

func (f *fake) values() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.held)
}

type counts struct{ calls, verified int }

func (f *fake) count() counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return counts{f.calls, f.verified}
}

type bench struct {
	*testing.T
	set  *active.Set
	gw   *fake
	mu   sync.Mutex // guards acks and logs
	acks []decision.Ack
	logs strings.Builder
	stop func()
}

// run starts a driver within a bubble of synctest.
func run(t *testing.T, gw *fake) *bench {
	t.Helper()
	set, err := active.Open(filepath.Join(t.TempDir(), "set"), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, set: set, gw: gw}
	log := slog.New(slog.NewTextHandler(io.Writer(b), nil))
	d, err := New("edge-1/fake", "fake", gw, set, DefaultConfig(), b.acked, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	}
	synctest.Wait()
	return b
}

func (b *bench) acked(a decision.Ack) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acks = append(b.acks, a)
}

// Write takes what is logged.
func (b *bench) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logs.Write(p)
}

func (b *bench) logged() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logs.String()
}

func (b *bench) told() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.acks)
}

func (b *bench) last() decision.Ack {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.acks) == 0 {
		b.Fatal("no acknowledgement")
	}
	return b.acks[len(b.acks)-1]
}

// after lets time pass.
func (b *bench) after(d time.Duration) {
	time.Sleep(d) // the bubble's clock
	synctest.Wait()
}

func (b *bench) holds(want ...string) {
	b.Helper()
	if diff := cmp.Diff(want, b.gw.values()); diff != "" {
		b.Errorf("held (-want +got):\n%s", diff)
	}
}

func block(value string, ttl time.Duration) *decision.Decision {
	now := time.Now()
	return &decision.Decision{Version: decision.Version, ID: "id-" + value, Action: decision.Block, Scope: decision.Address, Value: value,
		Mode: decision.Enforce, State: decision.Active, Creator: "rule:r", Created: now, Expires: now.Add(ttl)}
}

func bubble(t *testing.T, gw *fake, fn func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := run(t, gw)
		fn(b)
		b.stop()
		if !b.last().Left {
			t.Error("the end was not told")
		}
	})
}

func TestFollows(t *testing.T) {
	bubble(t, &fake{}, func(b *bench) {
		if b.gw.count().calls != 1 || b.gw.count().verified != 1 {
			b.Errorf("%d calls at the start, %d verified, want one that verifies", b.gw.count().calls, b.gw.count().verified)
		}
		for i := range 100 {
			b.set.Apply(block(fmt.Sprintf("203.0.113.%d", i), time.Hour))
		}
		b.set.Mark(99)
		b.after(10 * time.Millisecond)
		if n := len(b.gw.values()); n != 100 || b.gw.count().calls != 2 {
			b.Errorf("%d held after %d calls, want 100 after 2: a burst is one call", n, b.gw.count().calls)
		}
		if !slices.IsSorted(b.gw.values()) {
			b.Error("not in the order of keys")
		}
		if a := b.last(); a.Offset != 99 || a.Held != 100 || a.Gateway != "edge-1/fake" || a.Kind != "fake" {
			b.Errorf("acknowledged %+v", a)
		}
		end := *block("203.0.113.7", time.Hour)
		end.State = decision.Revoked
		b.set.Apply(&end)
		b.after(10 * time.Millisecond)
		if slices.Contains(b.gw.values(), "203.0.113.7") {
			b.Error("a revoked decision is still held")
		}
	})
}

func TestExpiryAndHeartbeat(t *testing.T) {
	bubble(t, &fake{}, func(b *bench) {
		b.set.Apply(block("203.0.113.1", 2*time.Second), block("203.0.113.2", time.Hour))
		b.after(1900 * time.Millisecond)
		b.holds("203.0.113.1", "203.0.113.2")
		b.after(200 * time.Millisecond)
		b.holds("203.0.113.2")
		n := b.told()
		b.after(time.Minute)
		if got := b.told() - n; got < 5 || got > 7 {
			b.Errorf("%d acknowledgements in a quiet minute, want one every 10s", got)
		}
		b.set.Mark(7) // a record that changes nothing here
		b.after(2 * time.Second)
		if b.last().Offset != 7 {
			b.Errorf("acknowledged %+v, want offset 7", b.last())
		}
	})
}

// The switch on observe empties the gateway, and fills it again.
func TestSwitch(t *testing.T) {
	bubble(t, &fake{}, func(b *bench) {
		watched := block("203.0.113.2", time.Hour)
		watched.Mode = decision.Observe
		b.set.Apply(block("203.0.113.1", time.Hour), watched)
		b.after(10 * time.Millisecond)
		b.holds("203.0.113.1")
		b.set.Throw(decision.Observe)
		b.after(10 * time.Millisecond)
		b.holds()
		b.set.Throw(decision.Enforce)
		b.after(10 * time.Millisecond)
		b.holds("203.0.113.1")
	})
}

func TestRepeatsAndVerifies(t *testing.T) {
	bubble(t, &fake{}, func(b *bench) {
		b.gw.mu.Lock()
		b.gw.fail = errors.New("503 from the admin port")
		b.gw.mu.Unlock()
		b.set.Apply(block("203.0.113.1", time.Hour))
		b.set.Mark(3)
		b.after(10 * time.Second)
		if a := b.last(); a.Offset != -1 || !strings.Contains(a.Error, "503") {
			b.Errorf("acknowledged %+v, want the old offset and the error", a)
		}
		if n := b.gw.count().calls; n < 6 || n > 12 {
			b.Errorf("%d calls in 10s, want them to wait longer and longer", n)
		}
		b.gw.mu.Lock()
		b.gw.fail = nil
		verified := b.gw.verified
		b.gw.mu.Unlock()
		b.after(30 * time.Second)
		b.holds("203.0.113.1")
		if a := b.last(); a.Offset != 3 || a.Error != "" {
			b.Errorf("acknowledged %+v", a)
		}
		if b.gw.count().verified == verified {
			b.Error("after an error nothing was verified")
		}
		b.gw.mu.Lock()
		b.gw.repair = 2
		b.gw.mu.Unlock()
		b.after(31 * time.Second)
		if strings.Count(b.logged(), "level=ERROR") != 1 {
			b.Errorf("log: %s", b.logged())
		}
		b.after(heartbeat)
		if n := b.last().Repaired; n == 0 || n%2 != 0 {
			b.Errorf("acknowledged %+v, want two repaired by each verification", b.last())
		}
	})
}

func TestTimeout(t *testing.T) {
	bubble(t, &fake{took: time.Hour}, func(b *bench) {
		b.after(10 * time.Second)
		if a := b.last(); !strings.Contains(a.Error, "no answer within 10s") {
			b.Errorf("acknowledged %+v", a)
		}
	})
}

func TestUnsupported(t *testing.T) {
	bubble(t, &fake{}, func(b *bench) {
		for i := range 3 {
			d := block(fmt.Sprintf("user-%d", i), time.Hour)
			d.Scope = decision.Principal
			b.set.Apply(d)
			b.after(10 * time.Millisecond)
		}
		b.holds()
		if n := strings.Count(b.logged(), "cannot express"); n != 1 {
			b.Errorf("said %d times, want once: %s", n, b.logged())
		}
	})
}

func TestConfig(t *testing.T) {
	c := Config{Settle: -1}
	err := c.Validate()
	for _, key := range []string{"resync", "settle", "timeout"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%v does not name %s", err, key)
		}
	}
	if _, err := New("x", "x", &fake{}, nil, c, nil, slog.Default(), nil); err == nil {
		t.Error("New took it")
	}
}

// BenchmarkTake is one change among 100,000.
func BenchmarkTake(b *testing.B) {
	w := newWanted()
	now := time.Now()
	var cs []active.Change
	for i := range 100_000 {
		cs = append(cs, active.Change{New: block(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), time.Hour)})
	}
	w.note(cs)
	w.take(now)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.note([]active.Change{{New: block(fmt.Sprintf("192.0.2.%d", i&255), time.Hour)}})
		w.take(now)
	}
}
