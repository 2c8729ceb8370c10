package bus

import (
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the client's own. Labels are topics, groups, partitions and fixed reasons.
type metrics struct {
	produced       *prometheus.CounterVec   // topic
	produceRetries *prometheus.CounterVec   // topic
	produceErrors  *prometheus.CounterVec   // topic, reason
	produceSeconds *prometheus.HistogramVec // topic
	consumed       *prometheus.CounterVec   // group, topic
	handleErrors   *prometheus.CounterVec   // group, topic, call
	fetchErrors    *prometheus.CounterVec   // topic
	offsetResets   *prometheus.CounterVec   // topic
	groupErrors    *prometheus.CounterVec   // group, call
	generations    *prometheus.CounterVec   // group
	lag            *prometheus.GaugeVec     // group, topic, partition
	deadLetters    *prometheus.CounterVec   // stage
}

// latencyBuckets go from 100 µs, a hop on loopback, to 10 s, a broker that restarts.
func latencyBuckets() []float64 {
	return []float64{1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 10}
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_bus_" + name, Help: help}, labels)
	}
	m := &metrics{
		produced:       counter("produced_records_total", "Records acknowledged by the brokers.", "topic"),
		produceRetries: counter("produce_retries_total", "Attempts to write that failed and were repeated.", "topic"),
		produceErrors:  counter("produce_errors_total", "Produce calls that returned an error.", "topic", "reason"),
		produceSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "warder_bus_produce_seconds",
			Help: "Time from Produce to the acknowledgement, retries included.", Buckets: latencyBuckets()}, []string{"topic"}),
		consumed:     counter("consumed_records_total", "Records whose effect is complete.", "group", "topic"),
		handleErrors: counter("handle_errors_total", "Errors of a partition's consumer; open and handle are repeated.", "group", "topic", "call"),
		fetchErrors:  counter("fetch_errors_total", "Reads from a broker that failed and were repeated.", "topic"),
		offsetResets: counter("offset_resets_total", "Restarts at the earliest record because the wanted one is gone.", "topic"),
		groupErrors:  counter("group_errors_total", "Failures to join a group or to commit, all repeated.", "group", "call"),
		generations:  counter("generations_total", "Group generations taken part in; each after the first is a rebalance.", "group"),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "warder_bus_lag_records",
			Help: "Records between the handled offset and the end of the log."}, []string{"group", "topic", "partition"}),
		deadLetters: counter("dead_letters_total", "Records copied to the dead letter topic.", "stage"),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.produced, m.produceRetries, m.produceErrors, m.produceSeconds, m.consumed, m.handleErrors,
		m.fetchErrors, m.offsetResets, m.groupErrors, m.generations, m.lag, m.deadLetters} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register bus metrics: %w", err)
		}
	}
	return m, nil
}

// partitionLabel is a label value: partitions are few.
func partitionLabel(partition int) string { return strconv.Itoa(partition) }
