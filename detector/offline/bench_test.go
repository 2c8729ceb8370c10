package offline_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/collector"
	"github.com/warder/warder/collector/accesslog"
	"github.com/warder/warder/detector/offline"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// trafficLog returns that many lines of made-up traffic of 100,000 clients.
func trafficLog(lines int) []byte {
	t := newTraffic(1, 100_000, time.Duration(lines)*10*time.Millisecond, lines)
	var b []byte
	for range lines {
		b = t.line(b)
	}
	return b
}

// combined reads lines as `warder detect` does.
func combined(tb testing.TB) func(string, [][]byte) (func() (offline.Parse, error), error) {
	cfg := collector.DefaultNormaliseConfig()
	cfg.Routes.MaxPerHost = 0
	norm, err := collector.NewNormaliser(cfg, prometheus.NewRegistry())
	if err != nil {
		tb.Fatal(err)
	}
	return func(string, [][]byte) (func() (offline.Parse, error), error) {
		return func() (offline.Parse, error) {
			p, err := accesslog.NewParser("combined")
			return func(line []byte, e *event.Event) error {
				if err := p.Parse(line, e); err != nil {
					return err
				}
				norm.Apply(e)
				return nil
			}, err
		}, nil
	}
}

// BenchmarkDetect is `warder detect` with all shipped rules over made-up traffic. B/op and allocs/op are of the whole log;
// lines/s is of all cores together.
func BenchmarkDetect(b *testing.B) {
	const lines = 200_000
	data := trafficLog(lines)
	set, err := rules.Load(rules.Packs())
	if err != nil {
		b.Fatal(err)
	}
	format := combined(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		_, err := offline.Run(context.Background(), offline.Options{Inputs: []string{"-"}, Stdin: bytes.NewReader(data), Format: format, Set: set,
			Out: func(*alert.Alert) error { return nil }})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*lines/b.Elapsed().Seconds(), "lines/s")
}
