package telemetry

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/warder/warder/internal/opsrecord"
)

// Bounds of one sampling.
const (
	maxSamples = 10_000
	maxBuckets = 8 // of a histogram, besides the last
)

// sample reads a registry. Of the metrics that are not Warder's own, only those that say how the process does are taken. It returns how
// many samples were left out because there were too many, or because they are no numbers.
func sample(from prometheus.Gatherer) (out []opsrecord.Sample, left int, err error) {
	families, err := from.Gather()
	if len(families) == 0 && err != nil {
		return nil, 0, err
	}
	for _, f := range families {
		if !wanted(f.GetName()) {
			continue
		}
		for _, m := range f.GetMetric() {
			out = series(out, f, m)
		}
	}
	all := len(out)
	out = slices.DeleteFunc(out, func(s opsrecord.Sample) bool { return math.IsNaN(s.Value) || math.IsInf(s.Value, 0) })
	out = out[:min(len(out), maxSamples)]
	return out, all - len(out), nil
}

func wanted(name string) bool {
	switch name {
	case "go_goroutines", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds":
		return true
	}
	return strings.HasPrefix(name, "warder_")
}

// series appends the samples of one series.
func series(out []opsrecord.Sample, f *dto.MetricFamily, m *dto.Metric) []opsrecord.Sample {
	labels := labelsOf(m)
	add := func(name string, kind opsrecord.Kind, labels map[string]string, value float64) {
		out = append(out, opsrecord.Sample{Name: opsrecord.Text(name, opsrecord.MaxName), Kind: kind, Labels: labels, Value: value})
	}
	switch f.GetType() {
	case dto.MetricType_COUNTER:
		add(f.GetName(), opsrecord.Counter, labels, m.GetCounter().GetValue())
	case dto.MetricType_GAUGE:
		add(f.GetName(), opsrecord.Gauge, labels, m.GetGauge().GetValue())
	case dto.MetricType_HISTOGRAM:
		h := m.GetHistogram()
		add(f.GetName()+"_count", opsrecord.Histogram, labels, float64(h.GetSampleCount()))
		add(f.GetName()+"_sum", opsrecord.Histogram, labels, h.GetSampleSum())
		for _, b := range thin(h.GetBucket()) {
			add(f.GetName()+"_bucket", opsrecord.Histogram, bucketLabels(labels, b.GetUpperBound()), float64(b.GetCumulativeCount()))
		}
		add(f.GetName()+"_bucket", opsrecord.Histogram, bucketLabels(labels, math.Inf(1)), float64(h.GetSampleCount()))
	}
	return out
}

// thin keeps maxBuckets of the finite buckets, always the same ones: a quantile can still be told, and one histogram is not most of a
// sampling.
func thin(all []*dto.Bucket) []*dto.Bucket {
	finite := slices.DeleteFunc(slices.Clone(all), func(b *dto.Bucket) bool { return math.IsInf(b.GetUpperBound(), 1) })
	if len(finite) <= maxBuckets {
		return finite
	}
	out := make([]*dto.Bucket, maxBuckets)
	for i := range out {
		out[i] = finite[i*(len(finite)-1)/(maxBuckets-1)]
	}
	return out
}

// labelsOf returns the labels, bounded; nil for none.
func labelsOf(m *dto.Metric) map[string]string {
	if len(m.GetLabel()) == 0 {
		return nil
	}
	out := make(map[string]string, len(m.GetLabel()))
	for i, l := range m.GetLabel() {
		if i == opsrecord.MaxLabels-1 { // one is left for a bucket's bound
			break
		}
		out[opsrecord.Text(l.GetName(), opsrecord.MaxName)] = opsrecord.Text(l.GetValue(), opsrecord.MaxValue)
	}
	return out
}

func bucketLabels(labels map[string]string, bound float64) map[string]string {
	out := make(map[string]string, len(labels)+1)
	for k, v := range labels {
		out[k] = v
	}
	out["le"] = "+Inf"
	if !math.IsInf(bound, 1) {
		out["le"] = strconv.FormatFloat(bound, 'g', -1, 64)
	}
	return out
}
