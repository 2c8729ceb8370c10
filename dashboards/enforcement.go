package dashboards

func enforcement() Board {
	return Board{
		UID: "warder-enforcement", Title: "Enforcement", Span: "now-24h", Refresh: "1m", Tags: []string{"security", "enforcement"},
		Description: "What gateways refuse and why, whether they do as they were told, and how fast.",
		Links:       []string{"warder-triage", "warder-attacker", "warder-overview"},
		Rows: []Row{
			{Panels: []Panel{leaks(), outOfLine(), inForce(5), waiting(), blockLatency()}},
			{Title: "What is refused", Panels: []Panel{inForceOverTime(), answered(), newestDecisions()}},
			{Title: "Guardrails", Panels: []Panel{guardrails(), goodTouched()}},
			{Title: "Proof: gateways do as they were told", Panels: []Panel{latencyOverTime(), gatewayStates(), gateways()}},
		},
	}
}

// decisionsNow is each decision that was changed lately, as its newest change before the end of the span left it. A decision lives for
// 30 days at most without a change.
const decisionsNow = `(
    SELECT d.id AS id, argMax(d.state, d.updated) AS state, argMax(d.action, d.updated) AS action, argMax(d.mode, d.updated) AS mode, argMax(d.scope, d.updated) AS scope,
        argMax(d.value, d.updated) AS value, argMax(d.rule, d.updated) AS rule, argMax(d.creator, d.updated) AS creator, argMax(d.expires, d.updated) AS expires,
        argMax(d.note, d.updated) AS note, max(d.updated) AS updated
    FROM decisions AS d
    WHERE d.updated >= $__toTime - toIntervalDay(30) AND d.updated <= $__toTime
    GROUP BY d.id
)`

func inForce(width int) Panel {
	return Panel{
		Title: "Decisions in force", Kind: Stat, Width: width, Height: 4, Unit: "short", Columns: []string{"decisions"},
		Description: "Decisions by which gateways block, limit or challenge clients at the end of this span. If it jumps: see which rule makes them, and whether the " +
			"clients are bad ones; `warder decisions switch observe` stops all of them at once.",
		Thresholds: []Threshold{{Color: "text"}, {1000, "orange"}, {10000, "red"}},
		Query: `SELECT count() AS decisions
FROM ` + decisionsNow + `
WHERE state = 'active' AND expires > $__toTime AND mode = 'enforce' AND action != 'log'`,
	}
}

func leaks() Panel {
	return Panel{
		Title: "Requests that got through", Kind: Stat, Width: 5, Height: 4, Unit: "short", Columns: []string{"leaks"},
		Description: "Requests that a gateway served although a decision in force forbids them. If it is not 0: see below which gateway is behind or out of line; " +
			"`warder decisions gateways` tells why.",
		Thresholds: []Threshold{{Color: "green"}, {1, "red"}},
		Query: `SELECT sum(grown) AS leaks
FROM (
    SELECT deltaSumTimestamp(m.value, toUnixTimestamp64Milli(m.time)) AS grown
    FROM metrics AS m
    WHERE m.name = 'warder_proof_leaks_total' AND $__timeFilter_ms(m.time)
    GROUP BY m.instance, m.labels
)`,
	}
}

func outOfLine() Panel {
	return Panel{
		Title: "Gateways out of line", Kind: Stat, Width: 4, Height: 4, Unit: "short", Columns: []string{"gateways"},
		Description: "Gateways that are silent or behind the newest decisions, at the end of this span. If it is not 0: blocks do not hold there; restart or " +
			"reconnect that gateway's agent, the table below names it.",
		Thresholds: []Threshold{{Color: "green"}, {1, "red"}},
		Query: `SELECT sumIf(value, state IN ('behind', 'silent')) AS gateways
FROM (
    SELECT m.labels['state'] AS state, argMax(m.value, m.time) AS value
    FROM metrics AS m
    WHERE m.name = 'warder_proof_gateways' AND $__timeFilter_ms(m.time)
    GROUP BY state
)`,
	}
}

func waiting() Panel {
	return Panel{
		Title: "Waiting for approval", Kind: Stat, Width: 5, Height: 4, Unit: "short", Columns: []string{"proposals"},
		Description: "Decisions that a guardrail held back and that nobody has approved. If it is not 0: `warder decisions list`, then approve or revoke each; until " +
			"then their clients are let in.",
		Thresholds: []Threshold{{Color: "green"}, {1, "orange"}, {20, "red"}},
		Query: `SELECT count() AS proposals
FROM ` + decisionsNow + `
WHERE state = 'proposed' AND expires > $__toTime`,
	}
}

// firstActive is each rule's decision that came into force in the span, and the seconds from the request that tripped the rule to it.
const firstActive = `(
    SELECT d.id AS id, min(d.created) AS made, greatest(0, dateDiff('microsecond', parseDateTime64BestEffortOrNull(JSONExtractString(argMin(d.record, d.updated), 'reason', 'event_time'), 9, 'UTC'), made) / 1e6) AS took
    FROM decisions AS d
    WHERE $__timeFilter_ms(d.updated) AND d.state = 'active' AND d.alert != ''
    GROUP BY d.id
)`

func blockLatency() Panel {
	return Panel{
		Title: "Request to block, 95 of 100", Kind: Stat, Width: 5, Height: 4, Unit: "s", Columns: []string{"p95"},
		Description: "From the time of the request that tripped a rule to the decision about it, for 95 of 100 decisions. If this rises: the bus or the detector lags; " +
			"look at their lag before anything else.",
		Thresholds: []Threshold{{Color: "green"}, {1, "orange"}, {10, "red"}},
		Query:      "SELECT quantile(0.95)(took) AS p95\nFROM " + firstActive,
	}
}

func inForceOverTime() Panel {
	return Panel{
		Title: "Decisions in force over time", Kind: TimeSeries, Width: 12, Height: 8, Unit: "short", Stack: true,
		Columns: []string{"time", "block", "limit", "challenge", "log"},
		Description: "How many decisions were in force, by what they do. If it climbs without coming down: decisions are renewed as fast as they end; the attack goes " +
			"on, or a rule's block is too broad.",
		Query: `SELECT toDateTime(at, 'UTC') AS time, countIf(action = 'block') AS block, countIf(action = 'limit') AS limit, countIf(action = 'challenge') AS challenge, countIf(action = 'log') AS log
FROM (
    SELECT action, arrayJoin(range(intDiv(begun + $__interval_s - 1, $__interval_s) * $__interval_s, over, $__interval_s)) AS at
    FROM (
        SELECT d.id AS id, any(d.action) AS action, greatest(toUInt32(min(d.updated)), toUInt32($__fromTime)) AS begun,
            least(toUInt32(max(d.expires)), toUInt32($__toTime), minIf(toUInt32(d.updated), d.state IN ('expired', 'revoked')) AS ended, if(ended = 0, 4294967295, ended)) AS over
        FROM decisions AS d
        WHERE d.updated >= $__fromTime - toIntervalDay(30) AND d.updated <= $__toTime AND d.state != 'proposed'
        GROUP BY d.id
        HAVING begun < over AND countIf(d.state = 'active') > 0
    )
)
GROUP BY at
ORDER BY time`,
	}
}

func answered() Panel {
	return Panel{
		Title: "Requests that decisions answered", Kind: TimeSeries, Width: 12, Height: 8, Unit: "reqps", Stack: true,
		Columns: []string{"time", "block", "limit", "challenge", "log"},
		Description: "Requests a second that a decision blocked, limited, challenged or only marked. If this stays high while decisions are few: one client " +
			"hammers on; have the firewall before the gateway drop it.",
		Query: `SELECT ` + trafficPoint + ` AS time, sumIf(m.requests, m.action = 'block') / seconds AS block, sumIf(m.requests, m.action = 'limit') / seconds AS limit,
    sumIf(m.requests, m.action = 'challenge') / seconds AS challenge, sumIf(m.requests, m.action = 'log') / seconds AS log
FROM (SELECT time, requests, action, ` + trafficSeconds + ` AS seconds FROM ` + traffic + ` WHERE action != '') AS m
GROUP BY time, seconds
ORDER BY time`,
	}
}

func newestDecisions() Panel {
	return Panel{
		Title: "Newest decisions", Kind: Table, Width: 24, Height: 9, Unit: "none",
		Columns: []string{"updated", "state", "action", "mode", "entity", "scope", "rule", "creator", "expires", "note", "id"},
		Units:   map[string]string{"updated": "dateTimeFromNow", "expires": "dateTimeAsIso"},
		Description: "Decisions by their last change. If one hits somebody it should not: `warder decisions revoke ID` lets them in again within milliseconds, " +
			"and `warder decisions explain` says why it was made.",
		Links: []Link{
			{Column: "entity", Title: "Profile", Board: "warder-attacker", Variable: "entity"},
			{Column: "rule", Title: "The rule's alerts", Board: "warder-triage", Variable: "rule"},
		},
		Query: `SELECT updated, state, action, mode, value AS entity, scope, rule, creator, toDateTime(expires, 'UTC') AS expires, note, id
FROM ` + decisionsNow + `
WHERE $__timeFilter_ms(updated)
ORDER BY updated DESC, id
LIMIT 100`,
	}
}

func guardrails() Panel {
	return Panel{
		Title: "Held back by guardrails", Kind: Gauge, Width: 12, Height: 7, Unit: "short", Columns: []string{"guardrail", "decisions"},
		Neutral: "a guardrail that holds is neither good nor bad before somebody has looked",
		Description: "Decisions that became proposals, by the guardrail that held them. If max_share or too_many_blocks leads: a rule is too broad; if " +
			"shared_address does: write the rule by user rather than by address.",
		Query: `SELECT JSONExtractString(d.record, 'guardrail') AS guardrail, uniqExact(d.id) AS decisions
FROM decisions AS d
WHERE $__timeFilter_ms(d.updated) AND d.state = 'proposed'
GROUP BY guardrail
ORDER BY decisions DESC, guardrail
LIMIT 10`,
	}
}

func goodTouched() Panel {
	return Panel{
		Title: "Good traffic that decisions touch", Kind: TimeSeries, Width: 12, Height: 7, Unit: "percentunit", Columns: []string{"time", "share"},
		Description: "Part of the last minutes' successful requests that come from clients which decisions refuse, as estimated when they were made. If it nears the " +
			"configured max_share: further blocks will wait for approval; revoke the broad ones.",
		Thresholds: []Threshold{{Color: "green"}, {0.05, "orange"}, {0.2, "red"}},
		Query: `SELECT $__timeInterval(m.time) AS time, max(m.value) AS share
FROM metrics AS m
WHERE m.name = 'warder_enforcer_share_in_use_ratio' AND $__timeFilter_ms(m.time)
GROUP BY time
ORDER BY time`,
	}
}

func latencyOverTime() Panel {
	return Panel{
		Title: "From request to block", Kind: TimeSeries, Width: 12, Height: 8, Unit: "s", Columns: []string{"time", "p50", "p95", "p99"},
		Description: "Seconds from the request that tripped a rule to the decision about it: half of the decisions, 95 and 99 of 100. If all rise: the pipeline lags; " +
			"if only p99 does: rules with long windows or late taps.",
		Thresholds: []Threshold{{Color: "green"}, {1, "orange"}, {10, "red"}},
		Query: `SELECT $__timeInterval(made) AS time, quantile(0.5)(took) AS p50, quantile(0.95)(took) AS p95, quantile(0.99)(took) AS p99
FROM ` + firstActive + `
WHERE $__timeFilter_ms(made)
GROUP BY time
ORDER BY time`,
	}
}

func gatewayStates() Panel {
	return Panel{
		Title: "Gateways by state", Kind: TimeSeries, Width: 12, Height: 8, Unit: "short", Stack: true, Columns: []string{"time", "state", "gateways"}, By: "state",
		Description: "Gateways that are in line with the newest decisions, behind them, silent, or left in order. If some are behind or silent again and again: their " +
			"connection or configuration is at fault, and blocks there cannot be relied on.",
		Query: `SELECT $__timeInterval(m.time) AS time, m.labels['state'] AS state, max(m.value) AS gateways
FROM metrics AS m
WHERE m.name = 'warder_proof_gateways' AND $__timeFilter_ms(m.time)
GROUP BY time, state
ORDER BY time, state`,
	}
}

func gateways() Panel {
	return Panel{
		Title: "Gateways", Kind: Table, Width: 24, Height: 7, Unit: "short",
		Columns: []string{"gateway", "kind", "last_entry", "state", "decisions_held", "behind", "repaired", "error"},
		Units:   map[string]string{"last_entry": "dateTimeFromNow"},
		Description: "What each gateway acknowledged last, from the ledger: an entry is written when its watermark moves or what hinders it changes. If one is " +
			"behind, or has an error: decisions do not hold there. If repaired grows: somebody changes the gateway's lists by hand.",
		Query: `SELECT gateway, JSONExtractString(ack, 'kind') AS kind, last AS last_entry,
    multiIf(what = 'gateway.left', 'left', JSONExtractString(ack, 'error') != '', 'failing', 'acknowledging') AS state,
    JSONExtractInt(ack, 'held') AS decisions_held, greatest(0, max(JSONExtractInt(ack, 'offset')) OVER () - JSONExtractInt(ack, 'offset')) AS behind,
    JSONExtractInt(ack, 'repaired') AS repaired, JSONExtractString(ack, 'error') AS error
FROM (
    SELECT l.gateway AS gateway, argMax(l.kind, l.seq) AS what, max(l.time) AS last, JSONExtractRaw(argMax(l.line, l.seq), 'entry', 'gateway') AS ack
    FROM ledger AS l
    WHERE l.chain = 'acks' AND l.kind IN ('gateway.ack', 'gateway.left') AND $__timeFilter_ms(l.time)
    GROUP BY gateway
)
ORDER BY behind DESC, gateway
LIMIT 100`,
	}
}
