package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/opsrecord"
)

// topic collects what a reporter sends.
type topic struct {
	t    *testing.T
	mu   sync.Mutex
	recs []*opsrecord.Record
	fail error
}

func (p *topic) send(_ context.Context, key, value []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	r, err := opsrecord.Decode(value)
	if err != nil {
		p.t.Errorf("a record cannot be read: %v", err)
		return nil
	}
	if string(key) != r.Instance {
		p.t.Errorf("key %q, instance %q", key, r.Instance)
	}
	p.recs = append(p.recs, r)
	return nil
}

// run lets a reporter run for d.
func run(t *testing.T, cfg ReportConfig, p *topic, reg *prometheus.Registry, d time.Duration, during func(*Reporter)) *Reporter {
	t.Helper()
	r, err := NewReporter(cfg, "core-1/sinks", p.send, reg, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	if during != nil {
		during(r)
	}
	if err := r.Run(ctx); err != nil {
		t.Error(err)
	}
	return r
}

func registry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_x_total", Help: "x"}, []string{"topic"})
	c.WithLabelValues("warder.events").Add(3)
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "warder_broken", Help: "x"})
	g.Set(math.NaN())
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "warder_x_seconds", Help: "x", Buckets: prometheus.ExponentialBuckets(1, 2, 15)})
	h.Observe(3)
	other := prometheus.NewGauge(prometheus.GaugeOpts{Name: "go_gc_gogc_percent", Help: "x"})
	reg.MustRegister(c, g, h, other)
	return reg
}

func TestSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &topic{t: t}
		began := time.Now().UTC()
		r := run(t, DefaultReportConfig(), p, registry(), 31*time.Second, nil)
		if len(p.recs) != 2 || !p.recs[1].Time.Equal(began.Add(30*time.Second)) {
			t.Fatalf("%d records in 31 s, want 2", len(p.recs))
		}
		want := []opsrecord.Sample{{Name: "warder_telemetry_dropped_total", Labels: map[string]string{"what": "delivery"}, Kind: opsrecord.Counter},
			{Name: "warder_telemetry_dropped_total", Labels: map[string]string{"what": "sample"}, Kind: opsrecord.Counter},
			{Name: "warder_x_seconds_count", Kind: opsrecord.Histogram, Value: 1}, {Name: "warder_x_seconds_sum", Kind: opsrecord.Histogram, Value: 3}}
		for _, le := range []int{1, 4, 16, 64, 256, 1024, 4096, 16384} {
			want = append(want, opsrecord.Sample{Name: "warder_x_seconds_bucket", Labels: map[string]string{"le": fmt.Sprint(le)}, Kind: opsrecord.Histogram,
				Value: map[bool]float64{true: 1}[le >= 4]})
		}
		want = append(want, opsrecord.Sample{Name: "warder_x_seconds_bucket", Labels: map[string]string{"le": "+Inf"}, Kind: opsrecord.Histogram, Value: 1},
			opsrecord.Sample{Name: "warder_x_total", Labels: map[string]string{"topic": "warder.events"}, Kind: opsrecord.Counter, Value: 3})
		if d := cmp.Diff(want, p.recs[0].Samples, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("samples (-want +got):\n%s", d)
		}
		if n := testutil.ToFloat64(r.dropped.WithLabelValues("sample")); n != 2 { // the gauge that is no number, twice
			t.Errorf("%v samples were dropped, want 2", n)
		}
	})
}

// A large registry is parted into records, and one without end is cut.
func TestManySamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_many_total", Help: "x"}, []string{"a"})
		for i := range maxSamples + 500 {
			c.WithLabelValues(fmt.Sprintf("%d%s", i, strings.Repeat("ü\n", 100))).Inc()
		}
		reg.MustRegister(c)
		p := &topic{t: t}
		r := run(t, DefaultReportConfig(), p, reg, 16*time.Second, nil)
		if len(p.recs) != maxSamples/opsrecord.MaxSamples {
			t.Errorf("%d records, want %d", len(p.recs), maxSamples/opsrecord.MaxSamples)
		}
		if n := testutil.ToFloat64(r.dropped.WithLabelValues("sample")); n != 502 {
			t.Errorf("%v samples were dropped, want 502", n)
		}
	})
}

func TestDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &topic{t: t}
		hand := func(r *Reporter, n int) {
			for i := range n {
				r.Delivery(opsrecord.Delivery{Time: time.Now(), Sink: "soc", Result: opsrecord.Failed, Attempt: i, Error: strings.Repeat("\x00", 9999)})
			}
		}
		r := run(t, ReportConfig{}, p, prometheus.NewRegistry(), 1500*time.Millisecond, func(r *Reporter) {
			hand(r, maxQueued+5) // Run is not there yet: nobody waits
			go func() {
				time.Sleep(1200 * time.Millisecond)
				hand(r, 3) // less than a second before the end
			}()
		})
		n := 0
		for _, rec := range p.recs {
			n += len(rec.Deliveries)
		}
		if n != maxQueued+3 {
			t.Errorf("%d deliveries were written, want %d", n, maxQueued+3)
		}
		if d := testutil.ToFloat64(r.dropped.WithLabelValues("delivery")); d != 5 {
			t.Errorf("%v deliveries were dropped, want 5", d)
		}
	})
}

// A bus that is away costs what should have gone there, and nothing else.
func TestBusAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &topic{t: t, fail: errors.New("no broker")}
		r := run(t, DefaultReportConfig(), p, registry(), 16*time.Second, func(r *Reporter) {
			r.Delivery(opsrecord.Delivery{Time: time.Now(), Sink: "soc", Result: opsrecord.Delivered})
		})
		if s, d := testutil.ToFloat64(r.dropped.WithLabelValues("sample")), testutil.ToFloat64(r.dropped.WithLabelValues("delivery")); s != 15 || d != 1 {
			t.Errorf("%v samples and %v deliveries were dropped, want 15 and 1", s, d)
		}
	})
}

func TestReportConfig(t *testing.T) {
	for _, d := range []time.Duration{-1, time.Millisecond, 2 * time.Hour} {
		c := ReportConfig{Interval: config.Duration(d)}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "interval") {
			t.Errorf("%s: got error %v", d, err)
		}
		if _, err := NewReporter(c, "x", nil, prometheus.NewRegistry(), nil); err == nil {
			t.Errorf("%s: a reporter was made", d)
		}
	}
}
