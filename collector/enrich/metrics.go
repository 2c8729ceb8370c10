package enrich

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	reloads *prometheus.CounterVec
}

// newMetrics registers the counts of x; a nil reg exposes nothing.
func newMetrics(x *Enricher, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{reloads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_enrich_reloads_total",
		Help: "Databases and lists that changed on disk, by what became of them."}, []string{"kind", "result"})}
	for _, kind := range []string{"geo", "intel"} {
		m.reloads.WithLabelValues(kind, "ok")
		m.reloads.WithLabelValues(kind, "failed")
	}
	all := []prometheus.Collector{m.reloads}
	gauge := func(name, help string, fn func() float64) {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, fn))
	}
	if x.geo != nil {
		gauge("warder_enrich_geo_stale", "Geo databases whose newest version on disk cannot be read.", func() float64 { return float64(x.geo.Stale()) })
		gauge("warder_enrich_geo_built_seconds", "When the oldest geo database was built, in Unix time.", func() float64 { return float64(x.geo.Built().Unix()) })
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "warder_enrich_geo_failed_total",
			Help: "Look-ups that met a damaged record of a geo database."}, func() float64 { return float64(x.geo.Failed()) }))
	}
	if x.lists != nil {
		gauge("warder_enrich_intel_stale", "Lists whose newest version on disk cannot be read.", func() float64 { return float64(x.lists.Stale()) })
		all = append(all, newListCollector(x))
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register enrichment metrics: %w", err)
		}
	}
	return m, nil
}

// listCollector reports the sizes of the lists as they are in use.
type listCollector struct {
	x                *Enricher
	entries, refused *prometheus.Desc
}

func newListCollector(x *Enricher) *listCollector {
	return &listCollector{x: x,
		entries: prometheus.NewDesc("warder_enrich_intel_entries", "Addresses and networks of a list.", []string{"list"}, nil),
		refused: prometheus.NewDesc("warder_enrich_intel_refused_lines", "Lines of a list that are no addresses.", []string{"list"}, nil)}
}

// Describe implements prometheus.Collector.
func (c *listCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.entries; ch <- c.refused }

// Collect implements prometheus.Collector.
func (c *listCollector) Collect(ch chan<- prometheus.Metric) {
	for name, r := range c.x.lists.Reports() {
		ch <- prometheus.MustNewConstMetric(c.entries, prometheus.GaugeValue, float64(r.Entries), name)
		ch <- prometheus.MustNewConstMetric(c.refused, prometheus.GaugeValue, float64(r.Refused), name)
	}
}
