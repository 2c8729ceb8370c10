package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/opsrecord"
)

// ReportConfig says how a process tells the store of itself.
type ReportConfig struct {
	// Interval is how often it samples its metrics; 0 turns it off, and deliveries are still told.
	Interval config.Duration `yaml:"interval"`
}

// DefaultReportConfig returns every 15 seconds.
func DefaultReportConfig() ReportConfig {
	return ReportConfig{Interval: config.Duration(15 * time.Second)}
}

// Validate tells what is wrong with the configuration.
func (c *ReportConfig) Validate() error {
	if d := c.Interval.Std(); d != 0 && (d < time.Second || d > time.Hour) {
		return config.Errorf("interval", "is %s, want 1s to 1h, or 0 for never", c.Interval)
	}
	return nil
}

// Bounds of the reporter.
const (
	maxQueued   = 4096             // deliveries that wait for the bus
	gatherFor   = time.Second      // deliveries of this time share a record
	sendTimeout = 10 * time.Second // then the record is lost
	lastTimeout = 2 * time.Second  // for what is left at the end
	saidEvery   = 10 * time.Minute // between log lines about lost records
)

// Reporter writes samples of the process's metrics, and the deliveries it is told of, to the bus. Nothing ever waits for it: what
// cannot be written is lost and counted. Delivery may be called concurrently, Run once.
type Reporter struct {
	cfg      ReportConfig
	instance string
	send     func(ctx context.Context, key, value []byte) error
	from     prometheus.Gatherer
	log      *slog.Logger
	queue    chan opsrecord.Delivery
	dropped  *prometheus.CounterVec
	said     time.Time
}

// NewReporter returns a reporter. instance is host/role. send writes one record to the bus; it returns when that is done or ctx ends.
func NewReporter(cfg ReportConfig, instance string, send func(ctx context.Context, key, value []byte) error, reg *prometheus.Registry, log *slog.Logger) (*Reporter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	r := &Reporter{cfg: cfg, instance: opsrecord.Text(instance, opsrecord.MaxName), send: send, from: reg, log: log,
		queue: make(chan opsrecord.Delivery, maxQueued),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_telemetry_dropped_total",
			Help: "Samples of metrics and outcomes of deliveries that were not written to the bus."}, []string{"what"})}
	if err := reg.Register(r.dropped); err != nil {
		return nil, fmt.Errorf("telemetry: register metrics: %w", err)
	}
	for _, what := range []string{"sample", "delivery"} {
		r.dropped.WithLabelValues(what)
	}
	return r, nil
}

// Delivery hands over the outcome of a delivery. It never blocks.
func (r *Reporter) Delivery(d opsrecord.Delivery) {
	d.Bound()
	select {
	case r.queue <- d:
	default:
		r.dropped.WithLabelValues("delivery").Inc()
	}
}

// Run reports until ctx ends, then writes what is queued and returns nil.
func (r *Reporter) Run(ctx context.Context) error {
	var sampling <-chan time.Time
	if d := r.cfg.Interval.Std(); d > 0 {
		t := time.NewTicker(d)
		defer t.Stop()
		sampling = t.C
	}
	flush := time.NewTicker(gatherFor)
	defer flush.Stop()
	for {
		select {
		case at := <-sampling:
			r.sample(ctx, at)
		case <-flush.C:
			r.deliver(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTimeout)
			defer cancel()
			r.deliver(last)
			return nil
		}
	}
}

// sample writes what the registry says now.
func (r *Reporter) sample(ctx context.Context, at time.Time) {
	all, left, err := sample(r.from)
	r.lost("sample", left, err)
	for len(all) > 0 {
		n := min(len(all), opsrecord.MaxSamples)
		if err := r.write(ctx, &opsrecord.Record{Time: at, Samples: all[:n]}); err != nil {
			r.lost("sample", n, err)
		}
		all = all[n:]
	}
}

// deliver writes the deliveries that are queued.
func (r *Reporter) deliver(ctx context.Context) {
	for len(r.queue) > 0 {
		n := min(len(r.queue), opsrecord.MaxDeliveries)
		batch := make([]opsrecord.Delivery, n)
		for i := range batch {
			batch[i] = <-r.queue // Run alone takes from it
		}
		if err := r.write(ctx, &opsrecord.Record{Time: batch[n-1].Time, Deliveries: batch}); err != nil {
			r.lost("delivery", n, err)
		}
	}
}

func (r *Reporter) write(ctx context.Context, rec *opsrecord.Record) error {
	rec.Version, rec.Instance, rec.Time = opsrecord.Version, r.instance, rec.Time.UTC().Truncate(time.Millisecond)
	b, err := rec.Encode()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return r.send(ctx, rec.Key(), b)
}

// lost counts what was lost, and says so now and then.
func (r *Reporter) lost(what string, n int, err error) {
	if n == 0 && err == nil {
		return
	}
	r.dropped.WithLabelValues(what).Add(float64(n))
	if time.Since(r.said) >= saidEvery {
		r.said = time.Now()
		r.log.Warn("some of warder's own figures were not written to the bus; the dashboards lack them", "what", what, "lost", n, "error", err)
	}
}
