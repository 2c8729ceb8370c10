package dashboards

// verdicts is SQL of a select of alert, state, verdict, acknowledged and closed: where the alerts of the board's span stand, by the newest
// row of each. The times are those of the first acknowledgement (or of closing without one) and of the newest closing; zero if there is none.
const verdicts = `SELECT t.alert AS alert, argMax(t.state, t.time) AS state, argMax(t.verdict, t.time) AS verdict,
        minIf(t.time, t.state IN ('acknowledged', 'closed')) AS acknowledged, maxIf(t.time, t.state = 'closed') AS closed
    FROM triage AS t
    WHERE t.time >= $__fromTime
    GROUP BY alert`

// suspendedRule is the rule of the alerts that say that a rule was suspended.
const suspendedRule = "warder.rule-suspended"

// ruleAlerts is the condition that alerts AS a are of the board's span, and of rules.
const ruleAlerts = "$__timeFilter_ms(a.time) AND a.rule != '" + suspendedRule + "'"

// ruleQuality is the board of how good the rules are.
func ruleQuality() Board {
	return Board{
		UID: "warder-rules", Title: "Rule quality", Span: "now-7d", Refresh: "5m",
		Description: "Which rules find attacks, which cry wolf, which are silent or broken, and how fast people deal with what they find.",
		Links:       []string{"warder-triage", "warder-baselines", "warder-pipeline"},
		Rows: []Row{
			{Title: "Can the rules be trusted?", Panels: ruleFigures()},
			{Title: "Noise", Panels: ruleNoise()},
			{Title: "Rules that do not work", Panels: ruleFaults()},
			{Title: "Effort", Panels: ruleEffort()},
		},
	}
}

func ruleFigures() []Panel {
	return []Panel{
		{Title: "False positives", Kind: Stat, Width: 6, Height: 4, Unit: "percentunit", Columns: []string{"share"}, Thresholds: steps(0.2, 0.5),
			Description: "The part of the span's alerts with a verdict that people called false positives. If it is above a fifth, people stop reading alerts: " +
				"begin with the rules at the top of the noisy ones.",
			Query: "SELECT if(count() = 0, 0, countIf(v.verdict = 'false_positive') / count()) AS share\nFROM (" + verdicts + ") AS v\n" +
				"WHERE v.verdict != '' AND v.alert IN (SELECT a.id FROM alerts AS a WHERE " + ruleAlerts + ")"},
		{Title: "Alerts nobody has looked at", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"alerts"}, Thresholds: steps(50, 500),
			Description: "Alerts of the span of medium severity and above, from rules that act, that are still open. When they pile up, verdicts and every figure here say less: " +
				"triage them, or move noisy rules back to shadow mode.",
			Query: "SELECT count() AS alerts\nFROM alerts AS a\nWHERE " + ruleAlerts + " AND a.rank >= 2 AND a.mode != 'shadow'\n" +
				"    AND a.id NOT IN (SELECT v.alert FROM (" + verdicts + ") AS v WHERE v.state IN ('acknowledged', 'closed'))"},
		{Title: "Suspended rules", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"rules"}, Thresholds: steps(1, 3),
			Description: "Rules that were suspended in the span because their expressions failed or cost too much: they detect nothing on that partition until they are changed. " +
				"If there are any: the table of failing rules names them.",
			Query: "SELECT uniqExact(a.entity['rule']) AS rules\nFROM alerts AS a\nWHERE $__timeFilter_ms(a.time) AND a.rule = '" + suspendedRule + "'"},
		{Title: "Rules in use", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"rules"}, Thresholds: []Threshold{{Color: "red"}, {1, "green"}},
			Description: "Rules that the detectors have loaded; the lowest of all instances, so that one with old files shows. " +
				"If there are fewer than you expect: see the reloads that were refused, in the table of failing rules.",
			Query: "SELECT min(latest) AS rules\nFROM (\n    SELECT argMax(m.value, m.time) AS latest\n    FROM metrics AS m\n" +
				"    WHERE m.name = 'warder_rules' AND m.time >= $__toTime - toIntervalMinute(10) AND m.time <= $__toTime\n    GROUP BY m.instance\n)"},
	}
}

func ruleNoise() []Panel {
	return []Panel{
		{Title: "Noisy rules", Kind: Table, Judged: "false_share", Width: 24, Height: 11, Unit: "none",
			Columns: []string{"rule", "mode", "severity", "alerts", "entities", "per_entity", "true_positive", "false_positive", "benign", "no_verdict", "false_share", "advice"},
			Units:   map[string]string{"false_share": "percentunit", "alerts": "short", "entities": "short"}, Thresholds: steps(0.2, 0.5),
			Description: "Alerts a rule, the entities they are about, and the verdicts of people (the newest of an alert holds). If a few entities alert over and over: " +
				"lengthen suppress. If half are false: tune the rule or return it to shadow mode; advice says so. The rule leads to its alerts.",
			Links: []Link{{Column: "rule", Title: "Alerts", Board: "warder-triage", Variable: "rule"}},
			Query: `SELECT toString(a.rule) AS rule, toString(argMax(a.mode, a.time)) AS mode, toString(argMax(a.severity, a.time)) AS severity, count() AS alerts,
    uniq(a.entity) AS entities, round(alerts / entities, 1) AS per_entity, countIf(v.verdict = 'true_positive') AS true_positive,
    countIf(v.verdict = 'false_positive') AS false_positive, countIf(v.verdict = 'benign') AS benign, countIf(v.verdict = '') AS no_verdict,
    if(no_verdict = alerts, NULL, false_positive / (alerts - no_verdict)) AS false_share,
    multiIf(alerts - no_verdict >= 5 AND false_share >= 0.5, if(mode = 'shadow', 'tune', 'tune, or return to shadow'),
        per_entity >= 10, 'lengthen suppress', alerts - no_verdict < 5 AND alerts >= 20, 'give verdicts',
        mode = 'shadow' AND alerts - no_verdict >= 20 AND false_share <= 0.02, 'ready for canary', '') AS advice
FROM alerts AS a
LEFT JOIN (` + verdicts + `) AS v ON v.alert = a.id
WHERE ` + ruleAlerts + `
GROUP BY rule
ORDER BY alerts DESC
LIMIT 100`},
		{Title: "Alerts by rule", Kind: TimeSeries, Width: 16, Height: 8, Unit: "none", Stack: true, By: "rule", Columns: []string{"time", "rule", "alerts"},
			Description: "The ten rules with most alerts. If a rule jumps without an attack, something changed: the rule itself, an API, a client. " +
				"Compare with the traffic against its band.",
			Query: "SELECT " + piece("a.time", 300) + " AS time, toString(a.rule) AS rule, count() AS alerts\nFROM alerts AS a\nWHERE " + ruleAlerts +
				"\n    AND a.rule IN (SELECT a.rule FROM alerts AS a WHERE " + ruleAlerts + " GROUP BY a.rule ORDER BY count() DESC LIMIT 10)\nGROUP BY time, rule\nORDER BY time"},
		{Title: "Rules by mode", Kind: Pie, Width: 8, Height: 8, Unit: "none", Columns: []string{"mode", "rules"},
			Description: "The rules that alerted in the span by the mode of their newest alert: shadow records, canary acts on a share, enforce acts. " +
				"If rules stay in shadow, they protect nobody: move those without false positives on.",
			Query: "SELECT toString(mode) AS mode, count() AS rules\nFROM (\n    SELECT a.rule AS rule, argMax(a.mode, a.time) AS mode\n    FROM alerts AS a\n    WHERE " +
				ruleAlerts + "\n    GROUP BY rule\n)\nGROUP BY mode\nORDER BY rules DESC"},
	}
}

func ruleFaults() []Panel {
	return []Panel{
		{Title: "Failing and suspended rules", Kind: Table, Judged: "times", Width: 12, Height: 9, Unit: "none", Columns: []string{"rule", "what", "times", "last"}, Thresholds: steps(1, 1000),
			Description: "Rules whose expressions failed (taken as no match), rules that were suspended for it, and changed rule files that were refused. " +
				"If there are any: `warder rules explain` shows why an expression fails, `warder rules lint` why files are refused.",
			Query: `SELECT rule, what, times, last
FROM (
    SELECT a.entity['rule'] AS rule, 'suspended' AS what, count() AS times, toDateTime(max(a.time), 'UTC') AS last
    FROM alerts AS a
    WHERE $__timeFilter_ms(a.time) AND a.rule = '` + suspendedRule + `'
    GROUP BY rule
    UNION ALL
    SELECT if(g.name = 'warder_rules_loads_total', '(rule files)', g.labels['rule']) AS rule, if(g.name = 'warder_rules_loads_total', 'reload refused', 'failed') AS what,
        toUInt64(sum(g.grown)) AS times, toDateTime(maxIf(g.piece, g.grown > 0), 'UTC') AS last
    FROM (` + growth(minutes, "(m.name = 'warder_detector_rule_errors_total' OR m.name = 'warder_rules_loads_total' AND m.labels['result'] = 'refused')") + `) AS g
    GROUP BY rule, what
    HAVING times > 0
)
ORDER BY what = 'failed', times DESC
LIMIT 100`},
		{Title: "Silent rules", Kind: Table, Judged: "days_silent", Width: 12, Height: 9, Unit: "none", Columns: []string{"rule", "last_alert", "days_silent", "alerts_before"},
			Units: map[string]string{"days_silent": "d"}, Thresholds: []Threshold{{Color: "green"}, {14, "yellow"}, {45, "red"}},
			Description: "Rules that alerted in the 90 days before the span and not in it. If the attacks have not ended, a route, header or field has changed its name and the rule is blind: " +
				"run its tests, and a backtest. Rules that never alerted have no alerts to be listed by.",
			Query: `SELECT toString(a.rule) AS rule, toDateTime(max(a.time), 'UTC') AS last_alert, dateDiff('day', max(a.time), $__toTime) AS days_silent, count() AS alerts_before
FROM alerts AS a
WHERE a.time >= $__fromTime - toIntervalDay(90) AND a.time <= $__toTime
GROUP BY rule
HAVING max(a.time) < $__fromTime
ORDER BY last_alert DESC
LIMIT 100`},
	}
}

func ruleEffort() []Panel {
	return []Panel{
		{Title: "Time to acknowledge and to close", Kind: Table, Judged: "median_to_acknowledge", Width: 12, Height: 8, Unit: "none",
			Columns:    []string{"severity", "alerts", "acknowledged", "closed", "median_to_acknowledge", "p90_to_acknowledge", "median_to_close", "p90_to_close"},
			Units:      map[string]string{"median_to_acknowledge": "s", "p90_to_acknowledge": "s", "median_to_close": "s", "p90_to_close": "s"},
			Thresholds: []Threshold{{Color: "green"}, {3600, "yellow"}, {86400, "red"}},
			Description: "From an alert's event to its first acknowledgement and to its closing, by severity, for alerts of rules that are not in shadow mode. " +
				"When critical ones wait longer than your own limit, page for them; when low ones never end, let them go to a report.",
			Query: `SELECT severity, count() AS alerts, countIf(toack >= 0) AS acknowledged, countIf(toclose >= 0) AS closed,
    if(acknowledged = 0, NULL, round(quantileExactIf(0.5)(toack, toack >= 0))) AS median_to_acknowledge, if(acknowledged = 0, NULL, round(quantileExactIf(0.9)(toack, toack >= 0))) AS p90_to_acknowledge,
    if(closed = 0, NULL, round(quantileExactIf(0.5)(toclose, toclose >= 0))) AS median_to_close, if(closed = 0, NULL, round(quantileExactIf(0.9)(toclose, toclose >= 0))) AS p90_to_close
FROM (
    SELECT toString(a.severity) AS severity, a.rank AS rank, if(toUnixTimestamp(v.acknowledged) = 0, -1, greatest(0, dateDiff('second', a.time, v.acknowledged))) AS toack,
        if(v.state != 'closed', -1, greatest(0, dateDiff('second', a.time, v.closed))) AS toclose
    FROM alerts AS a
    LEFT JOIN (` + verdicts + `) AS v ON v.alert = a.id
    WHERE ` + ruleAlerts + ` AND a.mode != 'shadow'
)
GROUP BY severity
ORDER BY any(rank) DESC
LIMIT 5`},
		{Title: "Verdicts a day", Kind: TimeSeries, Width: 6, Height: 8, Unit: "none", Stack: true, By: "verdict", Columns: []string{"time", "verdict", "alerts"},
			Description: "Verdicts by the day they were given. If a day has alerts and no verdict, nobody reviewed them: name who does.",
			Query: "SELECT toStartOfDay(v.closed) AS time, if(v.verdict = '', '(none)', toString(v.verdict)) AS verdict, count() AS alerts\nFROM (" + verdicts + ") AS v\n" +
				"WHERE v.state = 'closed'\nGROUP BY time, verdict\nORDER BY time"},
		{Title: "CPU time an event", Kind: TimeSeries, Width: 6, Height: 8, Unit: "µs", Columns: []string{"time", "cost"},
			Thresholds: []Threshold{{Color: "green"}, {200, "yellow"}, {1000, "red"}},
			Description: "CPU time of the processes that detect, divided by the records they read: an upper bound of what all rules cost together, as other stages of the same process are in it. " +
				"The cost of a single rule is not measured while it runs. When it steps up after a change of rules, `warder rules lint` and a backtest show the costly one.",
			Query: "SELECT g.piece AS time, sumIf(g.grown, g.name = 'process_cpu_seconds_total') * 1e6 / nullIf(sumIf(g.grown, g.name != 'process_cpu_seconds_total'), 0) AS cost\nFROM (" +
				growth(piece("m.time", 60), "(m.name = 'warder_detector_records_in_total' OR m.name = 'process_cpu_seconds_total'\n"+
					"        AND m.instance IN (SELECT m.instance FROM metrics AS m WHERE m.name = 'warder_detector_records_in_total' AND $__timeFilter_ms(m.time)))") +
				") AS g\nGROUP BY time\nORDER BY time"},
	}
}
