package collector

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/warder/warder/collector/accesslog"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

var (
	_ Producer = (*bus.Client)(nil)
	_ Tap      = (*accesslog.Tap)(nil)
	_ Numbered = (*accesslog.Tap)(nil)
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testConfig(t testing.TB) Config {
	c := DefaultConfig()
	c.Spool.Dir = filepath.Join(t.TempDir(), "spool")
	c.Heartbeat = config.Duration(100 * time.Millisecond)
	return c
}

func mustNew(t testing.TB, cfg Config, p Producer) *Collector {
	t.Helper()
	c, err := New(cfg, p, bustest.Log(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func testEvent(i int) *event.Event {
	e := &event.Event{Time: time.Unix(1_700_000_000, int64(i)).UTC()}
	e.Request.Method, e.Request.Path, e.Request.Query = "GET", fmt.Sprintf("/users/%d", i), "token=geheim&q=1"
	e.Source.Address = netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
	return e
}

// tapFunc is a tap that is a function.
type tapFunc func(ctx context.Context, emit func(context.Context, *event.Event) error) error

func (f tapFunc) Run(ctx context.Context, emit func(context.Context, *event.Event) error) error {
	return f(ctx, emit)
}

// fromBus reads the topic as a consumer does: it checks that numbers ascend within each partition, apart from repeats that
// ascend again, and returns how often each number came.
func fromBus(t *testing.T, c *bus.Client) (seen map[uint64]int, beats map[int]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	n, err := c.Partitions(ctx, bus.TopicEvents)
	if err != nil {
		t.Fatal(err)
	}
	seen, beats = map[uint64]int{}, map[int]int{}
	for p := range n {
		high := uint64(0)
		err := c.ReadPartition(ctx, bus.TopicEvents, p, func(r bus.Record) error {
			e, err := event.Decode(r.Value)
			if err != nil {
				return err
			}
			if e.Kind == event.Heartbeat {
				beats[p]++
				return nil
			}
			if e.Seq <= high && seen[e.Seq] == 0 {
				return fmt.Errorf("partition %d: number %d came behind %d for the first time", p, e.Seq, high)
			}
			high = max(high, e.Seq)
			seen[e.Seq]++
			if strings.Contains(e.Request.Query, "geheim") {
				return errors.New("a secret reached the bus")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return seen, beats
}

// heartbeatSent waits for a heartbeat to reach the broker.
func heartbeatSent(ctx context.Context, c *Collector) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		var d dto.Metric
		if err := c.m.heartbeats.WithLabelValues("sent").Write(&d); err != nil || d.GetCounter().GetValue() > 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestShipsEverythingInOrder(t *testing.T) {
	client := bustest.New(t)
	c := mustNew(t, testConfig(t), client)
	const total = 5000
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := c.Run(ctx, tapFunc(func(ctx context.Context, emit func(context.Context, *event.Event) error) error {
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := w; i < total; i += 8 {
					if err := emit(ctx, testEvent(i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		return heartbeatSent(ctx, c)
	}))
	if err != nil {
		t.Fatal(err)
	}
	seen, beats := fromBus(t, client)
	for i := uint64(1); i <= total; i++ {
		if seen[i] != 1 {
			t.Fatalf("number %d came %d times", i, seen[i])
		}
	}
	n, err := client.Partitions(context.Background(), bus.TopicEvents)
	if err != nil {
		t.Fatal(err)
	}
	if len(beats) != n {
		t.Errorf("heartbeats in %d of %d partitions", len(beats), n)
	}
}

// The broker is away while events come: emit goes on, and everything arrives when it is back.
func TestBrokerOutage(t *testing.T) {
	dir := t.TempDir()
	broker := bustest.Broker(t, dir, 0)
	client := bustest.Client(t, broker)
	port := netip.MustParseAddrPort(broker.Addrs()[0]).Port()
	cfg := testConfig(t)
	c := mustNew(t, cfg, client)
	const total = 3000
	var slowest time.Duration
	err := c.Run(context.Background(), tapFunc(func(ctx context.Context, emit func(context.Context, *event.Event) error) error {
		for i := range total {
			switch i {
			case total / 3:
				if err := broker.Close(); err != nil {
					t.Error(err)
				}
			case 2 * total / 3:
				broker = bustest.Broker(t, dir, int(port))
			}
			start := time.Now()
			if err := emit(ctx, testEvent(i)); err != nil {
				t.Error(err)
			}
			slowest = max(slowest, time.Since(start))
		}
		return c.spool.Empty(ctx)
	}))
	if err != nil {
		t.Fatal(err)
	}
	if slowest > time.Second {
		t.Errorf("an emit took %s while the broker was away", slowest)
	}
	seen, _ := fromBus(t, client)
	for i := uint64(1); i <= total; i++ {
		if seen[i] == 0 {
			t.Fatalf("number %d is lost", i)
		}
	}
}

// failing is a producer without a broker.
type failing struct{}

func (failing) Produce(ctx context.Context, _ ...bus.Record) error {
	<-ctx.Done()
	return ctx.Err()
}

func (failing) Partitions(context.Context, string) (int, error) { return 0, errors.New("no broker") }

// A collector that stops without a broker keeps what it has; the next one ships it.
func TestRestartShipsTheRest(t *testing.T) {
	cfg := testConfig(t)
	cfg.Drain = config.Duration(10 * time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	c := mustNew(t, cfg, failing{})
	err := c.Run(ctx, tapFunc(func(ctx context.Context, emit func(context.Context, *event.Event) error) error {
		cancel()
		for i := range 10 { // requests in flight end after the stop was asked for
			if err := emit(ctx, testEvent(i)); err != nil {
				t.Error(err)
			}
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Emit(context.Background(), testEvent(0)); err == nil {
		t.Error("a closed collector took an event")
	}
	client := bustest.New(t)
	next := mustNew(t, cfg, client)
	if next.Tap() != c.Tap() {
		t.Errorf("tap was %s and is %s", c.Tap(), next.Tap())
	}
	done := make(chan error, 1)
	ctx, cancel = context.WithCancel(context.Background())
	go func() { done <- next.Run(ctx) }()
	if err := next.spool.Empty(context.Background()); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if seen, _ := fromBus(t, client); len(seen) != 10 {
		t.Errorf("got %v", seen)
	}
}

func TestTapErrorEndsRun(t *testing.T) {
	cfg := testConfig(t)
	cfg.Drain = 0
	c := mustNew(t, cfg, failing{})
	want := errors.New("log file is gone")
	err := c.Run(context.Background(),
		tapFunc(func(context.Context, func(context.Context, *event.Event) error) error { return want }),
		tapFunc(func(ctx context.Context, _ func(context.Context, *event.Event) error) error { <-ctx.Done(); return nil }))
	if !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

type numbered struct{ tapFunc }

func (numbered) Numbered() bool { return true }

func TestOwnNumbersNoHeartbeat(t *testing.T) {
	cfg := testConfig(t)
	c := mustNew(t, cfg, failing{})
	if c.beats([]Tap{numbered{}}) || !c.beats([]Tap{numbered{}, tapFunc(nil)}) || !c.beats(nil) {
		t.Error("heartbeats belong to taps that the collector numbers")
	}
	e := testEvent(1)
	e.Tap, e.Seq = "file:abc", 77
	if err := c.Emit(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	if e.Tap != "file:abc" || e.Seq != 77 || e.ID != event.NewID("file:abc", 77) {
		t.Errorf("got %s %d %s", e.Tap, e.Seq, e.ID)
	}
}

func TestConfig(t *testing.T) {
	if err := testConfig(t).Validate(); err != nil {
		t.Error(err)
	}
	bad := Config{Drain: -1}
	bad.Normalise.Routes = RoutesConfig{Patterns: []string{"users", "/{a}/b", "/{b}/b", "/a/{rest...}/b", "/a//b", "/x{y}"}, MaxPerHost: -1}
	bad.Normalise.Redact.KeepHeaders = []string{""}
	err := bad.Validate()
	for _, want := range []string{"name: ", "heartbeat: ", "drain: ", "spool.dir: ", "routes.patterns[0]: ", "routes.patterns[2]: ",
		"routes.patterns[3]: ", "routes.patterns[4]: ", "routes.patterns[5]: ", "routes.max_per_host: ", "redact.keep_headers[0]: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestConfigYAML(t *testing.T) {
	c := DefaultConfig()
	text := "name: edge\nspool: {dir: spool, max_size: 2GiB}\nheartbeat: 2s\nroutes:\n  patterns: [\"/users/{id}\", x]\nredact: {secret_parameters: [iban]}\n"
	err := config.Decode("w.yaml", []byte(text), &c)
	if err == nil || !strings.Contains(err.Error(), "w.yaml:5: routes.patterns[1]: ") {
		t.Errorf("got %v", err)
	}
	if c.Spool.MaxSize != 2<<30 || c.Normalise.Redact.SecretParameters[0] != "iban" || c.Normalise.Routes.MaxPerHost != 2000 {
		t.Errorf("got %+v", c)
	}
}

func BenchmarkEmit(b *testing.B) {
	c := mustNew(b, testConfig(b), failing{})
	ctx := context.Background()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if err := c.Emit(ctx, testEvent(i%1000)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
