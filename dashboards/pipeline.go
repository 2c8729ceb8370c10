package dashboards

import "fmt"

// lossRows narrows metrics AS m to the counters of what is gone for good, and lossPlace names the place where: SQL over [growth] AS g.
const (
	lossRows = `m.name IN ('warder_collector_spool_dropped_total', 'warder_gateway_events_lost_total', 'warder_collector_accesslog_refused_total',
        'warder_collector_accesslog_lost_files_total', 'warder_detector_records_dropped_total', 'warder_store_dropped_total', 'warder_sinks_alerts_total',
        'warder_sinks_events_total')
        AND m.labels['reason'] NOT IN ('tombstone', 'repeat') AND m.labels['outcome'] IN ('', 'failed', 'undecodable')`
	lossPlace = `concat(extract(g.name, 'warder_(gateway|collector_spool|collector_accesslog|detector|store|sinks)'), ' ',
        g.labels['sink'], g.labels['topic'], ' ', g.labels['reason'], g.labels['outcome'])`
	deadLetterRows = "m.name = 'warder_bus_dead_letters_total'"
)

// failureRows narrows metrics AS m to counters of what went wrong and was tried again.
const failureRows = `m.name IN ('warder_engine_restarts_total', 'warder_store_insert_failures_total', 'warder_collector_ship_errors_total',
        'warder_bus_produce_errors_total', 'warder_bus_handle_errors_total', 'warder_bus_fetch_errors_total', 'warder_bus_group_errors_total',
        'warder_bus_offset_resets_total', 'warder_gateway_upstream_errors_total', 'warder_gateway_panics_total')`

// pipeline is the board of Warder's own health.
func pipeline() Board {
	return Board{
		UID: "warder-pipeline", Title: "Pipeline health", Span: "now-3h", Refresh: "30s",
		Description: "Whether every request is seen, judged and stored in time: throughput, lag, losses, and the processes that do the work.",
		Links:       []string{"warder-overview", "warder-enforcement", "warder-rules", "warder-compliance"},
		Rows: []Row{
			{Title: "Is anything lost or late?", Panels: pipelineFigures()},
			{Title: "Flow", Panels: pipelineFlow()},
			{Title: "Losses and failures", Panels: pipelineTrouble()},
			{Title: "Store, deliveries and processes", Panels: pipelineTables()},
		},
	}
}

func pipelineFigures() []Panel {
	total := func(as, where string) string {
		return "SELECT round(sum(g.grown)) AS " + as + "\nFROM (" + growth(pieces, where) + ") AS g"
	}
	return []Panel{
		{Title: "Lost for good", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"lost"}, Thresholds: steps(1, 100),
			Description: "Events, log lines and alerts that were lost for good in the span, all places together. If it is not zero, detection and evidence are " +
				"incomplete: the graph of losses names the place and the reason.",
			Query: total("lost", lossRows)},
		{Title: "Dead letters", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"records"}, Thresholds: steps(1, 100),
			Description: "Records that could not be decoded and were put on warder.dlq with the reason. If there are any: read them there. They come from  a writer of another version, " +
				"or a stranger who writes to the topics.",
			Query: total("records", deadLetterRows)},
		{Title: "Largest lag", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"records"}, Thresholds: steps(1000, 100000),
			Description: "Records that the slowest consumer group has before it now. If it grows, that stage is too slow or stands still: " +
				"blocks come late when it is the detector or the enforcer, history when it is the store.",
			Query: "SELECT max(behind) AS records\nFROM (\n    SELECT sum(latest) AS behind\n    FROM (" +
				"\n        SELECT m.labels['group'] AS consumer, argMax(m.value, m.time) AS latest\n        FROM metrics AS m\n" +
				"        WHERE m.name = 'warder_bus_lag_records' AND m.time >= $__toTime - toIntervalMinute(2) AND m.time <= $__toTime\n" +
				"        GROUP BY consumer, m.instance, m.labels\n    )\n    GROUP BY consumer\n)"},
		{Title: "Processes that are gone", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"processes"}, Thresholds: steps(1, 2),
			Description: "Instances that reported in the hour before the end of the span, and no longer in its last two minutes. " +
				"If one is: it was stopped on purpose, crashed, or is cut off from ClickHouse; the table of processes names it.",
			Query: "SELECT countIf(last < $__toTime - toIntervalMinute(2)) AS processes\nFROM (\n    SELECT max(m.time) AS last\n    FROM metrics AS m\n" +
				"    WHERE m.name = 'go_goroutines' AND m.time >= $__toTime - toIntervalHour(1) AND m.time <= $__toTime\n    GROUP BY m.instance\n)"},
	}
}

func pipelineFlow() []Panel {
	return []Panel{
		{Title: "Events a second by stage", Kind: TimeSeries, Width: 8, Height: 8, Unit: "ops", By: "stage", Columns: []string{"time", "stage", "events"},
			Description: "What taps emitted, the broker acknowledged, detection read (heartbeats and repeats included) and the store inserted. " +
				"The lines lie on one another. Where they part, the stage after it holds up the flow.",
			Query: "SELECT g.piece AS time, multiIf(g.name = 'warder_collector_events_total', '1 tapped', g.name = 'warder_collector_shipped_total', '2 shipped',\n" +
				"    g.name = 'warder_detector_records_in_total', '3 detected', '4 stored') AS stage, sum(g.grown) / " + pieceSeconds(30) + " AS events\nFROM (" +
				growth(points(), "(m.name IN ('warder_collector_events_total', 'warder_collector_shipped_total')\n"+
					"        OR m.name = 'warder_detector_records_in_total' AND endsWith(m.labels['topic'], 'events')\n"+
					"        OR m.name = 'warder_store_inserted_total' AND m.labels['table'] = 'events')") +
				") AS g\nGROUP BY time, stage\nORDER BY time"},
		{Title: "Lag by consumer group", Kind: TimeSeries, Width: 8, Height: 8, Unit: "none", By: "consumer", Columns: []string{"time", "consumer", "records"},
			Thresholds: steps(1000, 100000),
			Description: "Records that each consumer group has before it, all partitions together. A saw is a batch. If a slope does not come down: it needs more instances, " +
				"more partitions, or a look at what the stage waits for.",
			Query: "SELECT time, consumer, sum(behind) AS records\nFROM (\n    SELECT " + points() + " AS time, m.labels['group'] AS consumer, argMax(m.value, m.time) AS behind\n" +
				"    FROM metrics AS m\n    WHERE m.name = 'warder_bus_lag_records' AND $__timeFilter_ms(m.time)\n    GROUP BY time, consumer, m.instance, m.labels\n)\n" +
				"GROUP BY time, consumer\nORDER BY time"},
		{Title: "From request to block", Kind: TimeSeries, Width: 8, Height: 8, Unit: "s", By: "part", Columns: []string{"time", "part", "median", "p99"},
			Thresholds: []Threshold{{Color: "green"}, {0.5, "yellow"}, {2, "red"}},
			Description: "How long it takes from the request that trips a rule to the alert and to the decision, and from the decision to each gateway's acknowledgement. " +
				"If the p99 is above half a second: look at the lag of detector and enforcer, then at the gateway that acknowledges last.",
			Query: "SELECT time, key AS part, " + quantile(0.5) + " AS median, " + quantile(0.99) + " AS p99\nFROM (" +
				buckets(points(), "multiIf(g.name = 'warder_proof_ack_seconds_bucket', 'decision to acknowledgement', "+
					"g.name = 'warder_detector_alert_latency_seconds_bucket', 'request to alert', 'request to decision')",
					"m.name IN ('warder_detector_alert_latency_seconds_bucket', 'warder_enforcer_decision_latency_seconds_bucket', 'warder_proof_ack_seconds_bucket')") +
				")\nORDER BY time"},
	}
}

func pipelineTrouble() []Panel {
	over := func(label, as, where string) string {
		return "SELECT g.piece AS time, " + label + " AS " + as + ", sum(g.grown) AS records\nFROM (" + growth(points(), where) + ") AS g\nGROUP BY time, " + as + "\nORDER BY time"
	}
	return []Panel{
		{Title: "Losses by place and reason", Kind: TimeSeries, Width: 12, Height: 8, Unit: "none", Stack: true, By: "place", Columns: []string{"time", "place", "records"},
			Thresholds: steps(1, 100),
			Description: "What was lost for good, where and why, and what was put aside as a dead letter. If it says collector_spool full: the broker was away for longer than the spool " +
				"has room; gateway timeout: the spool's disk is slow; undecodable: another version wrote it.",
			Query: over("if("+"g.name = 'warder_bus_dead_letters_total', concat('dead letter of ', g.labels['stage']), "+lossPlace+")", "place", "("+lossRows+" OR "+deadLetterRows+")")},
		{Title: "Failures that were repeated", Kind: TimeSeries, Width: 12, Height: 8, Unit: "none", Stack: true, By: "failure", Columns: []string{"time", "failure", "records"},
			Thresholds: steps(1, 100),
			Description: "Restarts of the embedded engine, inserts, writes and reads that failed and were tried again. If they are single: a restart somewhere. If they last: an outage; " +
				"the instance's log names the address and the setting. offset_resets means that a topic's retention is too short.",
			Query: over("concat(extract(g.name, 'warder_(.*)_total'), ' ', g.labels['table'], g.labels['group'], g.labels['reason'])", "failure", failureRows)},
	}
}

func pipelineTables() []Panel {
	return []Panel{
		{Title: "Inserts by table", Kind: Table, Judged: "p99", Width: 12, Height: 9, Unit: "none", Columns: []string{"table", "rows", "per_second", "repeats", "failures", "mean", "p99"},
			Units: map[string]string{"rows": "short", "per_second": "rowsps", "mean": "s", "p99": "s"}, Thresholds: []Threshold{{Color: "green"}, {2, "yellow"}, {10, "red"}},
			Description: "Rows inserted into ClickHouse in the span, repeats that were left out, failed inserts, and the time an insert took. " +
				"If inserts are slow with few rows: ClickHouse has too many parts or too little disk. If there are many repeats: a consumer was restarted often.",
			Query: insertQuery()},
		{Title: "Deliveries", Kind: Table, Judged: "failed", Width: 12, Height: 9, Unit: "none", Columns: []string{"sink", "kind", "delivered", "retried", "failed", "dropped", "p95", "last_error"},
			Units: map[string]string{"p95": "ns"}, Thresholds: steps(1, 10),
			Description: "What people, receivers and SIEMs were told in the span, by sink: attempts that were delivered, tried again, refused for good or dropped, the time of an attempt, " +
				"and the newest error. If some failed, they were not told at all: mend the address or the secret, and read the alerts here.",
			Query: "SELECT toString(d.sink) AS sink, toString(d.kind) AS kind, countIf(d.result = 'delivered') AS delivered, countIf(d.result = 'retry') AS retried,\n" +
				"    countIf(d.result = 'failed') AS failed, countIf(d.result = 'dropped') AS dropped, round(quantileTDigest(0.95)(d.duration)) AS p95,\n" +
				"    argMaxIf(d.error, d.time, d.error != '') AS last_error\nFROM deliveries AS d\nWHERE $__timeFilter_ms(d.time)\nGROUP BY sink, kind\nORDER BY failed + dropped DESC, sink\nLIMIT 100"},
		{Title: "Processes", Kind: Table, Judged: "silent", Width: 24, Height: 8, Unit: "none",
			Columns:    []string{"instance", "silent", "up", "cpu", "memory", "heap", "goroutines", "files", "engine_restarts"},
			Units:      map[string]string{"silent": "s", "up": "dtdurations", "cpu": "percentunit", "memory": "bytes", "heap": "bytes"},
			Thresholds: []Threshold{{Color: "green"}, {30, "yellow"}, {120, "red"}},
			Description: "Every instance that reported in the span: how long it has been silent, since when it is up, cores in use (100 % is one core) and memory. " +
				"If one is silent for more than two minutes: it is gone, or cannot reach ClickHouse. If memory only grows: take a heap profile from the admin listener.",
			Query: processQuery()},
	}
}

// insertQuery puts four counters and a histogram of the store side by side, by table.
func insertQuery() string {
	return fmt.Sprintf(`SELECT i.table AS table, toUInt64(i.rows) AS rows, i.rows / %s AS per_second, toUInt64(i.repeats) AS repeats, toUInt64(i.failures) AS failures,
    i.seconds / nullIf(i.inserts, 0) AS mean, q.p99 AS p99
FROM (
    SELECT g.labels['table'] AS table, sumIf(g.grown, g.name = 'warder_store_inserted_total') AS rows, sumIf(g.grown, g.name = 'warder_store_repeats_total') AS repeats,
        sumIf(g.grown, g.name = 'warder_store_insert_failures_total') AS failures, sumIf(g.grown, g.name = 'warder_store_insert_seconds_sum') AS seconds,
        sumIf(g.grown, g.name = 'warder_store_insert_seconds_count') AS inserts
    FROM (%s) AS g
    GROUP BY table
) AS i
LEFT JOIN (SELECT key, %s AS p99 FROM (%s)) AS q ON q.key = i.table
ORDER BY rows DESC
LIMIT 100`, spanSeconds,
		growth(pieces, "m.name IN ('warder_store_inserted_total', 'warder_store_repeats_total', 'warder_store_insert_failures_total',\n"+
			"                'warder_store_insert_seconds_sum', 'warder_store_insert_seconds_count')"),
		quantile(0.99), bucketsInAll("g.labels['table']", "m.name = 'warder_store_insert_seconds_bucket'"))
}

// processQuery tells of each instance what its newest figures say, and what its counters grew by.
func processQuery() string {
	return fmt.Sprintf(`SELECT n.instance AS instance, n.silent AS silent, n.up AS up, c.cpu AS cpu, n.memory AS memory, n.heap AS heap,
    n.goroutines AS goroutines, n.files AS files, toUInt64(c.restarts) AS engine_restarts
FROM (
    SELECT toString(m.instance) AS instance, dateDiff('second', max(m.time), $__toTime) AS silent,
        toUnixTimestamp(max(m.time)) - argMaxIf(m.value, m.time, m.name = 'process_start_time_seconds') AS up,
        argMaxIf(m.value, m.time, m.name = 'process_resident_memory_bytes') AS memory,
        argMaxIf(m.value, m.time, m.name = 'go_memstats_heap_inuse_bytes') AS heap,
        argMaxIf(m.value, m.time, m.name = 'go_goroutines') AS goroutines, argMaxIf(m.value, m.time, m.name = 'process_open_fds') AS files
    FROM metrics AS m
    WHERE $__timeFilter_ms(m.time) AND m.name IN ('process_start_time_seconds', 'process_resident_memory_bytes', 'go_memstats_heap_inuse_bytes',
        'go_goroutines', 'process_open_fds')
    GROUP BY instance
) AS n
LEFT JOIN (
    SELECT toString(g.instance) AS instance, sumIf(g.grown, g.name = 'process_cpu_seconds_total') / greatest(60, dateDiff('second', min(g.piece), max(g.piece)) + 60) AS cpu,
        sumIf(g.grown, g.name = 'warder_engine_restarts_total') AS restarts
    FROM (%s) AS g
    GROUP BY instance
) AS c ON c.instance = n.instance
ORDER BY silent DESC, instance
LIMIT 200`, growth(minutes, "m.name IN ('process_cpu_seconds_total', 'warder_engine_restarts_total')"))
}
