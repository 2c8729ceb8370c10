package collector

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/collector/enrich"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/geo/geotest"
)

// enriched is a configuration with everything on.
func enriched(t testing.TB) Config {
	t.Helper()
	cfg, dir := testConfig(t), t.TempDir()
	db, list := filepath.Join(dir, "city.mmdb"), filepath.Join(dir, "feed.txt")
	geotest.Write(t, db, map[string]geotest.Map{"203.0.113.0/24": geotest.City("SE", "EU", "Falun")})
	if err := os.WriteFile(list, []byte("203.0.113.9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Enrich.Geo.Databases = []string{db}
	cfg.Enrich.Intel = []enrich.IntelConfig{{Name: "feed", File: list}}
	cfg.Enrich.WAF.Enabled, cfg.Enrich.WAF.Paranoia, cfg.Enrich.WAF.Budget = true, 2, config.Duration(10*time.Second)
	return cfg
}

func targets() []*event.Event {
	var out []*event.Event
	for i, query := range []string{"q=shoes", "q=<script>alert(1)</script>", "password=geheim&q=1"} {
		e := testEvent(9)
		e.Time = e.Time.Add(time.Duration(i) * time.Second)
		e.Request.Host, e.Request.UserAgent, e.Request.Protocol = "shop.example.com", "curl/8.9.1", "HTTP/1.1"
		e.Request.Path, e.Request.Query = "/search", query
		out = append(out, e)
	}
	return out
}

// What leaves the collector has all that it was told to add, whatever the tap.
func TestEnriched(t *testing.T) {
	client := bustest.New(t)
	c := mustNew(t, enriched(t), client)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := c.Run(ctx, tapFunc(func(ctx context.Context, emit func(context.Context, *event.Event) error) error {
		for _, e := range targets() {
			if err := emit(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	type added struct {
		Country string
		Lists   []string
		WAF     event.WAF
	}
	got := map[uint64]added{}
	n, err := client.Partitions(ctx, bus.TopicEvents)
	if err != nil {
		t.Fatal(err)
	}
	for p := range n {
		if err := client.ReadPartition(ctx, bus.TopicEvents, p, func(r bus.Record) error {
			e, err := event.Decode(r.Value)
			if err == nil && e.Kind == event.Request {
				got[e.Seq] = added{e.Source.Country, e.Intel.Lists, e.WAF}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	at := []string{"feed"}
	want := map[uint64]added{1: {"SE", at, event.WAF{}}, 3: {"SE", at, event.WAF{}}, // a redacted password is nothing that an attacker sent
		2: {"SE", at, event.WAF{Score: 30, Rules: []string{"941100", "941110", "941160", "941320", "941390", "942131"}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// flaky refuses the first attempts, and keeps what it then takes.
type flaky struct {
	mu       sync.Mutex
	refusals int
	took     [][]byte
}

func (f *flaky) Produce(_ context.Context, recs ...bus.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusals > 0 {
		f.refusals--
		return errors.New("broker is away")
	}
	for _, r := range recs {
		f.took = append(f.took, r.Value)
	}
	return nil
}

func (f *flaky) Partitions(context.Context, string) (int, error) { return 1, nil }

// The firewall looks at an event once, however often the broker must be asked.
func TestJudgedOnce(t *testing.T) {
	producer := &flaky{refusals: 3}
	reg := prometheus.NewRegistry()
	cfg := enriched(t)
	c, err := New(cfg, producer, bustest.Log(), reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, e := range targets() {
		if err := c.Emit(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Run(ctx, numbered{func(context.Context, func(context.Context, *event.Event) error) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	judged := 0
	for _, v := range producer.took {
		e, err := event.Decode(v)
		if err != nil {
			t.Fatal(err)
		}
		if e.WAF.Score > 0 {
			judged++
		}
	}
	if len(producer.took) != 3 || judged != 1 {
		t.Errorf("%d events arrived, %d with a score; want 3 and 1", len(producer.took), judged)
	}
	if n := count(t, reg, "warder_waf_evaluated_total"); n != 3 {
		t.Errorf("%v requests were judged, want 3", n)
	}
}

// count reads a counter.
func count(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// A request does not wait for the firewall: emitting takes what it takes without.
func TestEmitDoesNotJudge(t *testing.T) {
	reg := prometheus.NewRegistry()
	c, err := New(enriched(t), failing{}, bustest.Log(), reg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, e := range targets() {
		if err := c.Emit(context.Background(), e); err != nil {
			t.Fatal(err)
		}
		if e.WAF.Score != 0 || e.Source.Country != "SE" {
			t.Errorf("score %d, country %q", e.WAF.Score, e.Source.Country)
		}
	}
	if n := count(t, reg, "warder_waf_evaluated_total"); n != 0 {
		t.Errorf("%v requests were judged before anything was shipped", n)
	}
}

// A file that cannot be read is named with its key, before the spool is touched.
func TestNewNamesTheFile(t *testing.T) {
	cfg := enriched(t)
	cfg.Enrich.Geo.Databases[0] = filepath.Join(t.TempDir(), "no.mmdb")
	_, err := New(cfg, failing{}, bustest.Log(), nil)
	want := "collector.enrich.geo.databases[0]: " + cfg.Enrich.Geo.Databases[0] + ": there is no such file; download it, or correct the path"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := os.Stat(cfg.Spool.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the spool was made: %v", err)
	}
}

func BenchmarkEmitEnriched(b *testing.B) {
	c := mustNew(b, enriched(b), failing{})
	ctx := context.Background()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			e := testEvent(i % 1000)
			e.Source.Address = netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
			if err := c.Emit(ctx, e); err != nil {
				b.Fatal(err)
			}
		}
	})
}
