package spool

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	appended    prometheus.Counter
	dropped     *prometheus.CounterVec
	volatile    prometheus.Counter
	writeErrors prometheus.Counter
	torn        prometheus.Counter
	corrupt     prometheus.Counter
	disk        prometheus.Gauge
	memory      prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_collector_spool_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "warder_collector_spool_" + name, Help: help})
	}
	m := &metrics{
		appended: counter("appended_total", "Events taken into the spool."),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_collector_spool_dropped_total",
			Help: "Events lost for good, by reason."}, []string{"reason"}),
		volatile:    counter("volatile_total", "Events that were held in memory only, because the disk failed or hung."),
		writeErrors: counter("write_errors_total", "Failed writes to the spool's folder."),
		torn:        counter("torn_total", "Records cut off by a crash and removed when the spool was opened."),
		corrupt:     counter("corrupt_bytes_total", "Bytes of damaged records that were skipped."),
		disk:        gauge("disk_bytes", "Size of the segments on disk."),
		memory:      gauge("memory_bytes", "Size of what is held in memory."),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.appended, m.dropped, m.volatile, m.writeErrors, m.torn, m.corrupt, m.disk, m.memory} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register spool metrics: %w", err)
		}
	}
	return m, nil
}
